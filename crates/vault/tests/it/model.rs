//! Random histories, compared with a model that is too simple to be wrong.

use std::collections::HashMap;

use fnox_vault::{Identity, VaultError};
use fnox_vault_wire::methods::RenewLease;
use fnox_vault_wire::{Code, LeaseId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::support::{World, admin, agent, code};

const POLICY: &str = r#"
[[rule]]
agent = "a"
secret = "token"
hosts = ["one.example.com", "two.example.com"]
ttl = "100s"
max_ttl = "100s"
renewable = true
max_lifetime = "250s"
max_uses = 3

[[rule]]
agent = "b"
secret = "token"
hosts = ["one.example.com"]
ttl = "50s"
max_active = 2
"#;

const HOSTS: [&str; 2] = ["one.example.com", "two.example.com"];
const AGENTS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Request {
        agent: usize,
        host: usize,
    },
    Access {
        lease: usize,
        agent: usize,
        host: usize,
    },
    GiveBack {
        lease: usize,
    },
    Renew {
        lease: usize,
        agent: usize,
        seconds: i64,
    },
    Revoke {
        lease: usize,
        agent: usize,
    },
    RevokeAll {
        agent: usize,
    },
    Wait {
        seconds: i64,
    },
    Sweep,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (agent, host, lease) = (0..3usize, 0..2usize, 0..12usize);
    prop_oneof![
        4 => (agent.clone(), host.clone()).prop_map(|(agent, host)| Step::Request { agent, host }),
        6 => (lease.clone(), agent.clone(), host).prop_map(|(lease, agent, host)| Step::Access { lease, agent, host }),
        1 => lease.clone().prop_map(|lease| Step::GiveBack { lease }),
        2 => (lease.clone(), agent.clone(), 1..120i64)
            .prop_map(|(lease, agent, seconds)| Step::Renew { lease, agent, seconds }),
        1 => (lease, agent.clone()).prop_map(|(lease, agent)| Step::Revoke { lease, agent }),
        1 => agent.prop_map(|agent| Step::RevokeAll { agent }),
        3 => (1..60i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Restart),
    ]
}

/// What the model knows of a lease.
#[derive(Debug, Clone)]
struct Modelled {
    id: LeaseId,
    agent: usize,
    host: usize,
    until: Timestamp,
    latest: Timestamp,
    uses: u32,
    /// An access of which a use could still be given back.
    deliveries: u32,
    revoked: bool,
}

impl Modelled {
    fn max_uses(&self) -> Option<u32> {
        (self.agent == 0).then_some(3)
    }

    fn is_live(&self, now: Timestamp) -> bool {
        !self.revoked
            && now < self.until
            && self.max_uses().is_none_or(|maximum| self.uses < maximum)
    }
}

#[derive(Default)]
struct Model {
    leases: Vec<Modelled>,
    delivered: HashMap<LeaseId, u32>,
}

impl Model {
    fn request(&self, agent: usize, host: usize, now: Timestamp) -> Result<(), Code> {
        let live = self
            .leases
            .iter()
            .filter(|lease| lease.agent == agent && lease.is_live(now))
            .count();
        match (agent, host) {
            (1, 0) if live >= 2 => Err(Code::InvalidConfig),
            (0, _) | (1, 0) => Ok(()),
            _ => Err(Code::AccessDenied),
        }
    }

    fn access(lease: &Modelled, agent: usize, host: usize, now: Timestamp) -> Result<(), Code> {
        if lease.agent != agent {
            return Err(Code::LeaseNotFound);
        }
        if lease.revoked {
            return Err(Code::LeaseRevoked);
        }
        if !lease.is_live(now) {
            return Err(Code::LeaseExpired);
        }
        if lease.host == host {
            Ok(())
        } else {
            Err(Code::AccessDenied)
        }
    }
}

fn who(index: usize) -> Identity {
    agent(AGENTS[index], 100 + u32::try_from(index).unwrap())
}

async fn take(world: &mut World, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    match step {
        Step::Request { .. } | Step::Access { .. } | Step::GiveBack { .. } => {
            use_leases(world, model, step).await
        }
        _ => end_leases(world, model, step).await,
    }
}

async fn use_leases(world: &World, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    let now = world.engine.wall_clock();
    match *step {
        Step::Request { agent, host } => {
            let expected = model.request(agent, host, now);
            let outcome = world.request(&who(agent), "token", HOSTS[host]).await;
            prop_assert_eq!(
                outcome.as_ref().map(drop).map_err(VaultError::code),
                expected
            );
            if let Ok(grant) = outcome {
                let (ttl, lifetime) = if agent == 0 { (100, 250) } else { (50, 86_400) };
                let until = now + SignedDuration::from_secs(ttl);
                prop_assert_eq!(grant.expires_at, until);
                let latest = now + SignedDuration::from_secs(lifetime);
                let id = grant.lease_id;
                model.leases.push(Modelled {
                    id,
                    agent,
                    host,
                    until,
                    latest,
                    uses: 0,
                    deliveries: 0,
                    revoked: false,
                });
            }
        }
        Step::Access { lease, agent, host } => {
            let Some(index) = pick(model, lease) else {
                return Ok(());
            };
            let modelled = model.leases[index].clone();
            let expected = Model::access(&modelled, agent, host, now);
            let outcome = world.access(&who(agent), modelled.id, HOSTS[host]).await;
            prop_assert_eq!(
                outcome.map(drop).map_err(|error| VaultError::code(&error)),
                expected,
                "{:?}",
                modelled
            );
            if expected.is_ok() {
                model.leases[index].uses += 1;
                model.leases[index].deliveries += 1;
                *model.delivered.entry(modelled.id).or_default() += 1;
            }
        }
        Step::GiveBack { lease } => {
            let Some(index) = pick(model, lease) else {
                return Ok(());
            };
            if model.leases[index].deliveries == 0 {
                return Ok(());
            }
            let modelled = &mut model.leases[index];
            world
                .engine
                .undelivered(&who(modelled.agent), modelled.id)
                .await
                .unwrap();
            modelled.uses -= 1;
            modelled.deliveries -= 1;
            *model.delivered.get_mut(&modelled.id).unwrap() -= 1;
        }
        _ => {}
    }
    Ok(())
}

async fn end_leases(
    world: &mut World,
    model: &mut Model,
    step: &Step,
) -> Result<(), TestCaseError> {
    let now = world.engine.wall_clock();
    match *step {
        Step::Renew {
            lease,
            agent,
            seconds,
        } => {
            let Some(index) = pick(model, lease) else {
                return Ok(());
            };
            renew(world, &mut model.leases[index], agent, seconds, now).await?;
        }
        Step::Revoke { lease, agent } => {
            let Some(index) = pick(model, lease) else {
                return Ok(());
            };
            let modelled = &mut model.leases[index];
            let outcome = world.revoke(&who(agent), modelled.id).await;
            if modelled.agent == agent {
                prop_assert!(outcome.is_ok());
                modelled.revoked = true;
            } else {
                prop_assert_eq!(code(outcome), Code::LeaseNotFound);
            }
        }
        Step::RevokeAll { agent } => {
            let is_live = |lease: &&mut Modelled| lease.agent == agent && lease.is_live(now);
            let mut expected = 0;
            for lease in model.leases.iter_mut().filter(is_live) {
                lease.revoked = true;
                expected += 1;
            }
            world.engine.sweep().await;
            let count = world
                .engine
                .revoke_all_for_agent(&admin(), AGENTS[agent])
                .await
                .unwrap();
            prop_assert_eq!(count, expected);
        }
        Step::Wait { seconds } => world.clock.advance(SignedDuration::from_secs(seconds)),
        Step::Sweep => drop(world.engine.sweep().await),
        Step::Restart => {
            world.restart(POLICY).await;
            // Nobody waits for an answer of a vault that has ended.
            model
                .leases
                .iter_mut()
                .for_each(|lease| lease.deliveries = 0);
        }
        _ => {}
    }
    Ok(())
}

async fn renew(
    world: &World,
    lease: &mut Modelled,
    agent: usize,
    seconds: i64,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let params = RenewLease {
        lease_id: lease.id,
        extension_secs: seconds,
    };
    let outcome = world.engine.renew_lease(&who(agent), &params).await;
    let expected = if lease.agent != agent {
        Err(Code::LeaseNotFound)
    } else if lease.revoked {
        Err(Code::LeaseRevoked)
    } else if !lease.is_live(now) {
        Err(Code::LeaseExpired)
    } else if lease.agent == 1 {
        Err(Code::InvalidConfig)
    } else if lease.until >= lease.latest {
        Err(Code::RenewalLimitReached)
    } else {
        let wanted = now + SignedDuration::from_secs(seconds.min(100));
        Ok(wanted.min(lease.latest).max(lease.until))
    };
    prop_assert_eq!(
        outcome
            .map(|grant| grant.expires_at)
            .map_err(|error| error.code()),
        expected,
        "{:?}",
        lease
    );
    if let Ok(until) = expected {
        lease.until = until;
    }
    Ok(())
}

fn pick(model: &Model, lease: usize) -> Option<usize> {
    (!model.leases.is_empty()).then(|| lease % model.leases.len())
}

proptest! {
    #[test]
    fn the_engine_does_what_the_model_says(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(POLICY).await;
            let mut model = Model::default();
            for step in &steps {
                take(&mut world, &mut model, step).await?;
            }
            for lease in &model.leases {
                let delivered = model.delivered.get(&lease.id).copied().unwrap_or(0);
                prop_assert!(lease.max_uses().is_none_or(|maximum| delivered <= maximum));
            }
            prop_assert!(world.engine.audit_verify(&admin(), &[]).await.unwrap().intact);
            Ok(())
        })?;
    }
}
