//! The vault killed at random moments of a mixed load: what it answered stays true.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fnox_vault_wire::methods::{
    AuditQuery, GetMetadata, LeaseInfo, LeaseStatus, ListLeases, ListTokens, TokenInfo,
};
use fnox_vault_wire::{Client, ClientError, Code, LeaseId, TokenId};

use crate::kill_rounds::{Trace, rounds, seed};
use crate::vault_load::{Dice, History, Known, Load, Withdrawal};
use crate::vault_process::{self, Home, LIMIT, Process, SECRET, access, verify_audit};

/// Agents that stay for all rounds.
const AGENTS: usize = 4;
/// Leases of earlier rounds that are used again after each restart.
const SAMPLE: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_true_after_the_vault_was_killed() {
    let mut trace = Trace {
        seed: seed(),
        round: 0,
    };
    let mut dice = Dice::new(trace.seed);
    let home = Home::new();
    let history = Arc::new(Mutex::new(History::default()));
    let mut vault = home.serve();
    let agents = prepare(&vault, &history).await;
    let mut sure_answers = 0;
    for round in 0..rounds() {
        trace.round = round;
        let enough = 20 + dice.below(120);
        sure_answers += enough;
        let load = Arc::new(Load::new(&history, round, home.agents_socket(), enough));
        let tasks = start(&vault, &load, &agents, &mut dice).await;
        tokio::time::timeout(LIMIT, load.enough()).await.unwrap();
        // Not right after an answer: somewhere in what comes then.
        let moment = Instant::now() + Duration::from_micros(dice.below(4000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        let ended = vault.kill();
        assert!(!ended.stderr.contains("panicked"), "{ended}");
        for task in tasks {
            task.await.unwrap();
        }
        vault = home.serve();
        check(&vault, &history, round, &mut dice).await;
    }
    exhaust(&vault, &history).await;
    let administrator = vault.administrator().await;
    verify_audit(&administrator).await;
    let recorded = recorded_uses(&administrator).await;
    every_use_is_on_record(&history.lock().unwrap(), &recorded);
    vault.end();
    assert!(sure_answers >= 20 * rounds());
    assert!(history.lock().unwrap().leases.len() > 10);
}

/// The secret, and the tokens of the agents that stay.
async fn prepare(vault: &Process, history: &Mutex<History>) -> Vec<TokenId> {
    let administrator = vault.administrator().await;
    vault_process::store(&administrator, "value 0").await;
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let agent = format!("agent-{number}");
        let created = vault_process::token(&administrator, &agent).await.unwrap();
        agents.push(created.id);
        let known = Known {
            token: created.token,
            agent,
            withdrawal: Withdrawal::Not,
        };
        history.lock().unwrap().tokens.insert(created.id, known);
    }
    agents
}

async fn start(
    vault: &Process,
    load: &Arc<Load>,
    agents: &[TokenId],
    dice: &mut Dice,
) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for &id in agents {
        let (token, agent) = {
            let history = load.history();
            let known = &history.tokens[&id];
            (known.token.clone(), known.agent.clone())
        };
        let client = vault.agent(&token).await.unwrap();
        let (load, seed) = (Arc::clone(load), dice.below(u64::MAX));
        tasks.push(tokio::spawn(async move {
            load.agent(client, id, agent, seed).await;
        }));
    }
    for which in 0..2 {
        let client = vault.administrator().await;
        let (load, seed) = (Arc::clone(load), dice.below(u64::MAX));
        tasks.push(tokio::spawn(async move {
            load.administrator(client, which, seed).await;
        }));
    }
    tasks
}

/// Everything that was answered in any round is still so.
async fn check(vault: &Process, history: &Arc<Mutex<History>>, round: u64, dice: &mut Dice) {
    let administrator = vault.administrator().await;
    verify_audit(&administrator).await;
    let tokens = all_tokens(&administrator).await;
    let leases = all_leases(&administrator).await;
    let metadata = GetMetadata {
        name: SECRET.to_owned(),
    };
    administrator.call(&metadata).await.unwrap();
    let (chosen, tokens_to_try) = {
        let history = history.lock().unwrap();
        check_tokens(&history, &tokens);
        check_leases(&history, &leases);
        let new = |id: &&LeaseId| history.leases[*id].round == round;
        let mut chosen: Vec<LeaseId> = history.leases.keys().filter(new).copied().collect();
        let all: Vec<LeaseId> = history.leases.keys().copied().collect();
        for _ in 0..SAMPLE {
            let index = dice.below(u64::try_from(all.len()).unwrap());
            chosen.push(all[usize::try_from(index).unwrap()]);
        }
        let used: Vec<TokenId> = chosen.iter().map(|id| history.leases[id].token).collect();
        (chosen, used)
    };
    let clients = connect(vault, history, &tokens_to_try).await;
    for id in chosen {
        use_once(&clients, history, id).await;
    }
}

async fn all_tokens(administrator: &Client) -> BTreeMap<TokenId, TokenInfo> {
    let list = administrator.call(&ListTokens {}).await.unwrap();
    let pairs = list.tokens.into_iter().map(|token| (token.id, token));
    pairs.collect()
}

async fn all_leases(administrator: &Client) -> BTreeMap<LeaseId, LeaseInfo> {
    let mut all = BTreeMap::new();
    let mut query = ListLeases {
        all: true,
        ..ListLeases::default()
    };
    loop {
        let page = administrator.call(&query).await.unwrap();
        all.extend(page.leases.into_iter().map(|lease| (lease.lease_id, lease)));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return all,
        }
    }
}

fn check_tokens(history: &History, stored: &BTreeMap<TokenId, TokenInfo>) {
    for (id, known) in &history.tokens {
        let token = stored.get(id);
        let token = token.unwrap_or_else(|| panic!("token {id} of {} is lost", known.agent));
        assert_eq!(token.agent, known.agent);
        match known.withdrawal {
            Withdrawal::Not => assert!(!token.revoked, "{id} was not withdrawn"),
            Withdrawal::Asked => {}
            Withdrawal::Answered => assert!(token.revoked, "{id} was withdrawn"),
        }
    }
}

fn check_leases(history: &History, stored: &BTreeMap<LeaseId, LeaseInfo>) {
    for (id, held) in &history.leases {
        let lease = stored.get(id);
        let lease = lease.unwrap_or_else(|| panic!("lease {id} is lost: {held:?}"));
        let is = format!("{held:?} is {lease:?}");
        assert!(lease.uses >= held.delivered, "a use is forgotten: {is}");
        assert!(
            lease.uses <= held.delivered + held.open,
            "a use too many: {is}"
        );
        assert!(lease.uses <= held.max_uses, "a use too many: {is}");
        assert_eq!(lease.max_uses, Some(held.max_uses), "{is}");
        assert!(
            lease.expires_at >= held.expires_at,
            "a renewal is lost: {is}"
        );
        let is_spent = lease.uses == held.max_uses;
        match lease.status {
            LeaseStatus::Revoked => assert_ne!(held.withdrawal, Withdrawal::Not, "{is}"),
            LeaseStatus::Exhausted => assert!(is_spent, "{is}"),
            LeaseStatus::Active => {
                assert!(!is_spent, "{is}");
                assert_ne!(held.withdrawal, Withdrawal::Answered, "{is}");
            }
            LeaseStatus::Expired => panic!("too early: {is}"),
        }
    }
    let unknown = stored.len() - history.leases.len();
    assert!(
        unknown <= history.lost_requests,
        "{unknown} leases that nobody was answered, of {} requests",
        history.lost_requests
    );
}

/// A client for each of the tokens that works; one that was withdrawn must not.
async fn connect(
    vault: &Process,
    history: &Mutex<History>,
    tokens: &[TokenId],
) -> BTreeMap<TokenId, Client> {
    let mut clients = BTreeMap::new();
    for &id in tokens {
        if clients.contains_key(&id) {
            continue;
        }
        let (token, withdrawal) = {
            let history = history.lock().unwrap();
            let known = &history.tokens[&id];
            (known.token.clone(), known.withdrawal)
        };
        match vault.agent(&token).await {
            Ok(client) => {
                assert_ne!(withdrawal, Withdrawal::Answered, "token {id} works again");
                clients.insert(id, client);
            }
            Err(error) => {
                assert_eq!(error.known_code(), Some(Code::AuthenticationFailed), "{id}");
                assert_ne!(withdrawal, Withdrawal::Not, "token {id}: {error}");
            }
        }
    }
    clients
}

/// Uses a lease by its holder, and judges the answer; whether there was a value.
async fn use_once(
    clients: &BTreeMap<TokenId, Client>,
    history: &Mutex<History>,
    id: LeaseId,
) -> bool {
    let (client, certain) = {
        let mut history = history.lock().unwrap();
        let certain = history.stored;
        let held = history.leases.get_mut(&id).unwrap();
        let Some(client) = clients.get(&held.token) else {
            return false;
        };
        held.open += 1;
        (client, certain)
    };
    let outcome = access(client, id).await;
    assert!(
        matches!(outcome, Ok(_) | Err(ClientError::Remote(_))),
        "{outcome:?}"
    );
    history.lock().unwrap().used(id, certain, &outcome);
    outcome.is_ok()
}

/// Spends what is left of every lease: over the whole history none was used more often than it may be, which
/// [`History::used`] judges.
async fn exhaust(vault: &Process, history: &Mutex<History>) {
    let (leases, tokens) = {
        let history = history.lock().unwrap();
        let leases: Vec<LeaseId> = history.leases.keys().copied().collect();
        let tokens: Vec<TokenId> = leases.iter().map(|id| history.leases[id].token).collect();
        (leases, tokens)
    };
    let clients = connect(vault, history, &tokens).await;
    for &id in leases.iter().rev().take(500) {
        while use_once(&clients, history, id).await {}
    }
}

/// How many records of uses there are, for each lease.
async fn recorded_uses(administrator: &Client) -> BTreeMap<LeaseId, u32> {
    let mut recorded: BTreeMap<LeaseId, u32> = BTreeMap::new();
    let mut query = AuditQuery {
        event: Some("secret_accessed".to_owned()),
        ..AuditQuery::default()
    };
    loop {
        let page = administrator.call(&query).await.unwrap();
        for record in page.records {
            *recorded
                .entry(LeaseId(record.entry.lease.unwrap()))
                .or_default() += 1;
        }
        match page.next {
            Some(next) => query.from_sequence = Some(next),
            None => return recorded,
        }
    }
}

/// As many as there were.
fn every_use_is_on_record(history: &History, recorded: &BTreeMap<LeaseId, u32>) {
    for (id, held) in &history.leases {
        let count = recorded.get(id).copied().unwrap_or(0);
        let range = held.delivered..=held.delivered + held.open;
        assert!(range.contains(&count), "{id}: {count} records for {held:?}");
    }
}
