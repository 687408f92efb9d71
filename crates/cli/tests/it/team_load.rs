//! A mixed load on a team server, and what its clients know: what they asked, and what they were answered.
//!
//! Before anything is sent it is noted as asked; after the answer as done, or as not done if it was refused. What was
//! asked and never answered may have happened or not. Everything else is a promise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::team_http::{Answer, Client, Gone};
use crate::team_process::{Home, RECIPIENT, decision_path, exchange, looks_like_age, wanted};
use crate::vault_load::Dice;

/// The keys of the load: a person is asked about the first of them.
pub(crate) const KEYS: [&str; 4] = ["NPM_A", "NPM_B", "FREE_A", "FREE_B"];

/// What is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Not,
    Asked,
    Done,
}

/// A request for a secret, as its clients know it.
#[derive(Debug)]
pub(crate) struct Request {
    pub round: u64,
    /// The answer to the request: `id` and `code`.
    pub asked: Value,
    /// The session that asked.
    pub session: String,
    pub key: &'static str,
    pub is_free: bool,
    pub approve: Fact,
    pub deny: Fact,
    pub cancel: Fact,
    pub grant: Fact,
    /// The grant's token, once it came.
    pub token: Option<String>,
    /// Secrets that came.
    pub delivered: u32,
    /// Fetches that were neither answered nor refused.
    pub open: u32,
}

/// What is changed of a request.
#[derive(Debug, Clone, Copy)]
enum Change {
    Approve,
    Deny,
    Cancel,
    Grant,
}

/// A token of the CI, or a session.
#[derive(Debug)]
pub(crate) struct Login {
    pub round: u64,
    pub token: String,
    pub used: Fact,
    pub session: Option<String>,
    pub ended: Fact,
}

/// A stored key: what is certain, and what was asked for since.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub version: u64,
    pub number: u64,
    pub open: Vec<u64>,
}

/// What all clients know, over all rounds.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub requests: BTreeMap<String, Request>,
    pub logins: Vec<Login>,
    pub stored: BTreeMap<&'static str, Stored>,
    /// The newest number in a value.
    pub numbers: u64,
}

impl Request {
    fn fact(&mut self, change: Change) -> &mut Fact {
        match change {
            Change::Approve => &mut self.approve,
            Change::Deny => &mut self.deny,
            Change::Cancel => &mut self.cancel,
            Change::Grant => &mut self.grant,
        }
    }

    /// Where the request may stand, by what is known of it.
    pub(crate) fn may_be(&self) -> Vec<&'static str> {
        if self.delivered > 0 {
            assert_ne!(self.deny, Fact::Done, "denied and fetched: {self:?}");
            assert_ne!(self.cancel, Fact::Done, "cancelled and fetched: {self:?}");
            return vec!["fetched"];
        }
        let ends = [("denied", self.deny), ("cancelled", self.cancel)];
        if let Some((word, _)) = ends.iter().find(|(_, fact)| *fact == Fact::Done) {
            assert_ne!(self.grant, Fact::Done, "{word} and granted: {self:?}");
            return vec![word];
        }
        let mut words = Vec::new();
        if self.grant != Fact::Done {
            words.extend(ends.iter().filter(|it| it.1 == Fact::Asked).map(|it| it.0));
            if self.approve != Fact::Done && !self.is_free {
                words.push("pending");
            }
            if self.approve != Fact::Not || self.is_free {
                words.push("approved");
            }
        }
        if self.grant != Fact::Not {
            words.push("granted");
        }
        if self.open > 0 {
            words.push("fetched");
        }
        words
    }

    /// Notes how a fetch ended. It was counted as open before.
    pub(crate) fn fetched(&mut self, answer: &Answer) {
        self.open -= 1;
        if answer.is_ok() {
            let secrets = answer.body["secrets"].as_array().unwrap();
            assert_eq!(secrets.len(), 1, "{answer:?}");
            assert_eq!(secrets[0]["key"], self.key);
            self.delivered += 1;
            assert_eq!(
                self.delivered, 1,
                "a grant was good more than once: {self:?}"
            );
            assert_ne!(self.deny, Fact::Done, "denied and fetched: {self:?}");
            return;
        }
        match answer.code() {
            // By this one's neighbours, or by one whose answer was lost.
            "grant_used" => assert!(
                self.delivered + self.open > 0,
                "used by nobody: {self:?}: {answer:?}"
            ),
            "approval_changed" => {}
            _ => panic!("{answer:?} for {self:?}"),
        }
    }
}

/// What the clients of one round share.
pub(crate) struct Load {
    pub history: Arc<Mutex<History>>,
    pub home: Arc<Home>,
    pub address: String,
    pub round: u64,
    answers: AtomicU64,
    enough: u64,
    reached: Notify,
}

impl Load {
    pub(crate) fn new(
        history: &Arc<Mutex<History>>,
        home: &Arc<Home>,
        address: &str,
        (round, enough): (u64, u64),
    ) -> Self {
        Self {
            history: Arc::clone(history),
            home: Arc::clone(home),
            address: address.to_owned(),
            round,
            answers: AtomicU64::new(0),
            enough,
            reached: Notify::new(),
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// Waits until so many answers came as were asked for.
    pub(crate) async fn enough(&self) {
        self.reached.notified().await;
    }

    async fn send(
        &self,
        client: &mut Client,
        (method, path): (&str, &str),
        bearer: &str,
        body: &str,
    ) -> Result<Answer, Gone> {
        let answer = client.send(method, path, bearer, body).await?;
        assert!(answer.status < 500, "{method} {path}: {answer:?}");
        if self.answers.fetch_add(1, Ordering::Relaxed) + 1 == self.enough {
            self.reached.notify_one();
        }
        Ok(answer)
    }

    /// A change of a request that a person or a job asks for.
    async fn change(
        &self,
        client: &mut Client,
        call: (&str, &str),
        (bearer, body): (&str, &str),
        (id, change): (&str, Change),
    ) -> Result<Answer, Gone> {
        let note = |to| *self.history().requests.get_mut(id).unwrap().fact(change) = to;
        note(Fact::Asked);
        let answer = self.send(client, call, bearer, body).await?;
        note(if answer.is_ok() {
            Fact::Done
        } else {
            Fact::Not
        });
        Ok(answer)
    }

    /// Jobs of a CI, until the server is gone.
    pub(crate) async fn job(&self, seed: u64, deciders: mpsc::UnboundedSender<String>) {
        let mut dice = Dice::new(seed);
        let mut client = Client::new(&self.address);
        while self
            .one_job(&mut client, &mut dice, &deciders)
            .await
            .is_ok()
        {}
    }

    async fn one_job(
        &self,
        client: &mut Client,
        dice: &mut Dice,
        deciders: &mpsc::UnboundedSender<String>,
    ) -> Result<(), Gone> {
        let (place, session) = self.login(client).await?;
        if dice.below(6) == 0 {
            return self.logout(client, place, &session).await;
        }
        for _ in 0..=dice.below(3) {
            let id = self.ask(client, dice, &session).await?;
            let (path, is_free) = {
                let history = self.history();
                (
                    format!("/v1/approvals/{id}?wait=30"),
                    history.requests[&id].is_free,
                )
            };
            if !is_free {
                deciders.send(id.clone()).unwrap();
            }
            if dice.below(8) == 0 {
                let path = format!("/v1/approvals/{id}");
                let fact = (id.as_str(), Change::Cancel);
                self.change(client, ("DELETE", &path), (&session, ""), fact)
                    .await?;
                continue;
            }
            let stands = self.send(client, ("GET", &path), &session, "").await?;
            if stands.ok().text("status") == "approved" {
                self.grant_and_fetch(client, dice, &id).await?;
            }
        }
        Ok(())
    }

    async fn login(&self, client: &mut Client) -> Result<(usize, String), Gone> {
        let token = self.home.token();
        let place = {
            let mut history = self.history();
            history.logins.push(Login {
                round: self.round,
                token: token.clone(),
                used: Fact::Asked,
                session: None,
                ended: Fact::Not,
            });
            history.logins.len() - 1
        };
        let call = ("POST", "/v1/sessions");
        let session = self.send(client, call, &token, "").await?;
        let session = session.ok().text("token");
        let mut history = self.history();
        history.logins[place].used = Fact::Done;
        history.logins[place].session = Some(session.clone());
        Ok((place, session))
    }

    async fn logout(&self, client: &mut Client, place: usize, session: &str) -> Result<(), Gone> {
        self.history().logins[place].ended = Fact::Asked;
        let call = ("DELETE", "/v1/sessions/current");
        self.send(client, call, session, "").await?.ok();
        self.history().logins[place].ended = Fact::Done;
        Ok(())
    }

    async fn ask(
        &self,
        client: &mut Client,
        dice: &mut Dice,
        session: &str,
    ) -> Result<String, Gone> {
        let key = KEYS[usize::try_from(dice.below(KEYS.len() as u64)).unwrap()];
        let body = wanted(key, dice.below(u64::MAX));
        let call = ("POST", "/v1/approvals");
        let asked = loop {
            let answer = self.send(client, call, session, &body).await?;
            // A value that was stored in this very moment is not what the policy was asked about.
            if answer.code() != "approval_changed" {
                break answer.ok();
            }
        };
        let id = asked.text("id");
        let request = Request {
            round: self.round,
            session: session.to_owned(),
            key,
            is_free: asked.text("status") == "approved",
            asked: asked.body,
            approve: Fact::Not,
            deny: Fact::Not,
            cancel: Fact::Not,
            grant: Fact::Not,
            token: None,
            delivered: 0,
            open: 0,
        };
        assert_eq!(request.is_free, key.starts_with("FREE"));
        let before = self.history().requests.insert(id.clone(), request);
        assert!(before.is_none(), "an id came twice");
        Ok(id)
    }

    async fn grant_and_fetch(
        &self,
        client: &mut Client,
        dice: &mut Dice,
        id: &str,
    ) -> Result<(), Gone> {
        let (session, body) = {
            let history = self.history();
            let request = &history.requests[id];
            (request.session.clone(), exchange(&request.asked))
        };
        let fact = (id, Change::Grant);
        let call = ("POST", "/v1/grants");
        let granted = self.change(client, call, (&session, &body), fact).await?;
        if !granted.is_ok() {
            return Ok(());
        }
        let token = granted.text("grant_token");
        self.history().requests.get_mut(id).unwrap().token = Some(token.clone());
        match dice.below(6) {
            // Left for later.
            0 => Ok(()),
            1 => {
                let mut other = Client::new(&self.address);
                let both = tokio::join!(
                    self.fetch(client, id, &token),
                    self.fetch(&mut other, id, &token)
                );
                both.0.and(both.1)
            }
            2 => {
                self.fetch(client, id, &token).await?;
                self.fetch(client, id, &token).await
            }
            _ => self.fetch(client, id, &token).await,
        }
    }

    async fn fetch(&self, client: &mut Client, id: &str, token: &str) -> Result<(), Gone> {
        self.history().requests.get_mut(id).unwrap().open += 1;
        let answer = self.send(client, ("POST", "/v1/fetch"), token, "").await?;
        let mut history = self.history();
        history.requests.get_mut(id).unwrap().fetched(&answer);
        Ok(())
    }

    /// A person who decides about what jobs ask, until the server is gone.
    pub(crate) async fn decider(
        &self,
        seed: u64,
        asked: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>>,
    ) {
        let mut dice = Dice::new(seed);
        let mut client = Client::new(&self.address);
        loop {
            let next = asked.lock().await.recv().await;
            let Some(id) = next else { return };
            if self.decide(&mut client, &mut dice, &id).await.is_err() {
                return;
            }
        }
    }

    async fn decide(&self, client: &mut Client, dice: &mut Dice, id: &str) -> Result<(), Gone> {
        let code = self.history().requests[id].asked["code"].clone();
        let (first, second) = match dice.below(5) {
            0 => (None, true),
            1 => (Some(()), true),
            _ => (Some(()), false),
        };
        let path = decision_path(id);
        let call = ("POST", path.as_str());
        if first.is_some() {
            let body = json!({"decision": "approve", "code": code}).to_string();
            let fact = (id, Change::Approve);
            self.change(client, call, (&self.home.admin, &body), fact)
                .await?;
        }
        if second {
            let body = json!({"decision": "deny", "code": code}).to_string();
            let fact = (id, Change::Deny);
            self.change(client, call, (&self.home.admin, &body), fact)
                .await?;
        }
        Ok(())
    }

    /// The one who stores new values, until the server is gone: of two, neither could tell which value is newer.
    pub(crate) async fn writer(&self, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut client = Client::new(&self.address);
        loop {
            let key = KEYS[usize::try_from(dice.below(KEYS.len() as u64)).unwrap()];
            if self.put(&mut client, key).await.is_err() {
                return;
            }
        }
    }

    pub(crate) async fn put(&self, client: &mut Client, key: &'static str) -> Result<(), Gone> {
        let number = {
            let mut history = self.history();
            history.numbers += 1;
            let number = history.numbers;
            history.stored.entry(key).or_default().open.push(number);
            number
        };
        let path = format!("/v1/projects/my-app/secrets/{key}");
        let body = json!({"ciphertext": looks_like_age(number), "recipients": [RECIPIENT]});
        let call = ("PUT", path.as_str());
        let answer = self
            .send(client, call, &self.home.admin, &body.to_string())
            .await?
            .ok();
        let version = answer.body["version"].as_u64().unwrap();
        let mut history = self.history();
        let stored = history.stored.get_mut(key).unwrap();
        let most = stored.version + stored.open.len() as u64;
        assert!(
            (stored.version + 1..=most).contains(&version),
            "version {version} after {stored:?}"
        );
        *stored = Stored {
            version,
            number,
            open: Vec::new(),
        };
        Ok(())
    }
}
