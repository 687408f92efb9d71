//! The gateway killed at random moments of a mixed load: what was spent stays spent, what was withdrawn stays withdrawn, and
//! clients get nothing past it.

use std::path::PathBuf;
use std::time::Duration;

use fnox_testkit::Run;
use fnox_testkit::wait::until;
use rustix::process::Signal;

use crate::gateway_support::{VALUE, World};
use crate::kill_rounds::{Trace, rounds, seed};
use crate::support;
use crate::vault_load::Dice;

/// Uses of each lease.
const USES: usize = 40;
/// Requests of a load, twice in a round.
const LOAD: usize = 60;
/// How many agents whose lease was withdrawn try again in a round.
const LOOKED_AT: usize = 25;
/// Nothing takes this long unless it never comes.
const LIMIT: Duration = Duration::from_mins(1);

/// A program, and what it holds since the gateway's last start.
struct Agent {
    name: String,
    token: String,
    placeholder: String,
}

impl World {
    fn agent(&self, name: &str) -> Agent {
        let token = self.token_of(name);
        let placeholder = self.placeholder_for(&token);
        Agent {
            name: name.to_owned(),
            token,
            placeholder,
        }
    }

    fn placeholder_for(&self, token: &str) -> String {
        let session = ["-fsS", "http://gateway.fnox.invalid/session"];
        let run = self.curl_as(token, &session).finish().succeeds();
        let session = support::json(&run.stdout);
        session["variables"]["API_TOKEN"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What the upstream received below a path.
    fn count(&self, below: &str) -> usize {
        let received = self.upstream.received();
        received
            .iter()
            .filter(|one| one.target.starts_with(below))
            .count()
    }

    /// `curl` of many requests at once, whose bodies go to files and whose codes to its output.
    fn load(&self, agent: &Agent, below: &str) -> fnox_testkit::Invocation {
        let header = format!("Authorization: Bearer {}", agent.placeholder);
        let url = self.upstream.url(&format!("{below}[1-{LOAD}]"));
        let output = self.vault.sandbox.root().join("tmp/answer-#1");
        let arguments = [
            "-sS",
            "--parallel",
            "--parallel-max",
            "8",
            "-o",
            output.to_str().unwrap(),
            "-w",
            "%{http_code}\\n",
            "-H",
            &header,
            &url,
        ];
        self.curl_as(&agent.token, &arguments)
    }

    fn one(&self, agent: &Agent, path: &str) -> fnox_testkit::Invocation {
        let header = format!("Authorization: Bearer {}", agent.placeholder);
        let url = self.upstream.url(path);
        self.curl_as(&agent.token, &["-sS", "-N", "-i", "-H", &header, &url])
    }

    fn withdraw(&self, agent: &Agent) {
        let leases = self.vault.json(&["lease", "list"]);
        let mut leases = leases.as_array().unwrap().iter();
        let lease = leases.find(|lease| lease["agent"] == agent.name.as_str());
        let id = lease.expect("a lease")["lease_id"].as_str().unwrap();
        self.vault.ok(&["lease", "revoke", id]);
    }

    fn kill(&mut self) -> Run {
        let gateway = self.gateway.take().expect("a gateway that runs");
        gateway.signal(Signal::KILL);
        gateway.finish()
    }
}

#[test]
fn no_right_comes_back_when_the_gateway_was_killed() {
    let mut trace = Trace {
        seed: seed(),
        round: 0,
    };
    let mut dice = Dice::new(trace.seed);
    // Longer than all rounds take: when the time of a withdrawn lease is over, its agent may have another one.
    let mut world = World::lending_for("12h", &format!("max_uses = {USES}"));
    let mut withdrawn: Vec<Agent> = Vec::new();
    for round in 0..rounds() {
        trace.round = round;
        let mut spender = world.agent(&format!("coder-spends-{round}"));
        let streams = world.agent(&format!("coder-streams-{round}"));
        let gone = world.agent(&format!("coder-gone-{round}"));
        let first = world.one(&gone, "/gone").finish().succeeds();
        assert!(first.stdout.contains(" 200"), "{first}");
        world.withdraw(&gone);
        withdrawn.push(gone);

        let drips = world.count("/drip/");
        let stream = world.one(&streams, "/drip/600").start();
        let below = format!("/spends/{round}/");
        let load = world.load(&spender, &below).start();
        let enough = 1 + usize::try_from(dice.below(20)).unwrap();
        until("the load", LIMIT, || {
            world.count(&below) >= enough && world.count("/drip/") > drips
        });
        let old = world.kill();
        assert!(!old.stderr.contains("panicked"), "{old}");
        let ended = [stream.finish(), load.finish()];
        assert_ne!(ended[0].code, Some(0), "{}", ended[0]);
        check_clients_without_it(&world, &spender, &ended);

        let old = keep_certificate(&world);
        world.start();
        // Whoever believes the one that was killed does not talk to its successor.
        let before = world.upstream.received().len();
        let run = world.one(&spender, "/old").env("CURL_CA_BUNDLE", old);
        assert_ne!(run.finish().code, Some(0));
        assert_eq!(world.upstream.received().len(), before);

        spender.placeholder = world.placeholder_for(&spender.token);
        world.load(&spender, &below).finish();
        let last = world.one(&spender, &below).finish().succeeds();
        assert!(last.stdout.contains("has no uses left"), "{last}");
        let count = world.count(&below);
        assert!((enough..=USES).contains(&count), "{count} of {USES} uses");
        for agent in withdrawn.iter_mut().rev().take(LOOKED_AT) {
            agent.placeholder = world.placeholder_for(&agent.token);
            let run = world.one(agent, "/gone").finish().succeeds();
            assert!(run.stdout.contains("was withdrawn"), "{run}");
        }
    }
    // Those of before they were withdrawn.
    assert_eq!(world.count("/gone"), withdrawn.len());
    let verified = world.vault.json(&["audit", "verify"]);
    assert_eq!(verified["intact"], true, "{verified}");
}

/// While there is no gateway nothing leaves, and nothing that left before showed the value.
fn check_clients_without_it(world: &World, agent: &Agent, ended: &[Run]) {
    let before = world.upstream.received().len();
    let run = world.one(agent, "/direct").finish();
    assert_ne!(run.code, Some(0), "{run}");
    assert_eq!(world.upstream.received().len(), before);
    let runs: Vec<&Run> = ended.iter().chain([&run]).collect();
    let tmp = world.vault.sandbox.root().join("tmp");
    let outputs: Vec<(&str, &[u8])> = runs
        .iter()
        .flat_map(|run| {
            [
                ("stdout", run.stdout.as_bytes()),
                ("stderr", run.stderr.as_bytes()),
            ]
        })
        .collect();
    fnox_testkit::Canary::new(VALUE).assert_absent(&outputs, &[&tmp]);
}

/// A copy of the certificate that clients trust.
fn keep_certificate(world: &World) -> PathBuf {
    let folder = world.vault.sandbox.config_folder();
    let old = folder.join("old.pem");
    std::fs::copy(folder.join("gateway.pem"), &old).unwrap();
    old
}

/// A gateway that starts again in the ordinary way goes on with the leases of before, too.
#[test]
fn a_gateway_that_starts_again_goes_on_with_the_leases_that_there_are() {
    let mut world = World::new("max_uses = 3");
    assert!(world.call(&world.placeholder()).contains(" 200"));
    for _ in 0..2 {
        let gateway = world.gateway.take().unwrap();
        gateway.signal(Signal::TERM);
        gateway.finish().exits_with(0);
        world.start();
        assert!(world.call(&world.placeholder()).contains(" 200"));
    }
    let last = world.call(&world.placeholder());
    assert!(last.contains("has no uses left"), "{last}");
    let leases = world.vault.json(&["lease", "list", "--all"]);
    assert_eq!(leases.as_array().unwrap().len(), 1, "{leases}");
}
