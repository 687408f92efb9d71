//! Rules that use leases: minted by the first request that needs them, and withdrawn after the run.

use std::time::Duration;

use fnox_testkit::stand_in::Upstream;
use fnox_testkit::wait::until;
use fnox_testkit::{Run, Sandbox};

use crate::agent_support::{MOMENTS, events_in};
use crate::support;

/// A lease whose issuer writes down what it is asked, and makes tokens that live so many seconds.
struct World {
    sandbox: Sandbox,
    upstream: Upstream,
}

impl World {
    fn new(seconds: u32) -> Self {
        let sandbox = support::sandbox();
        let upstream = Upstream::start();
        let authority = upstream.write_authority(&sandbox.project());
        let port = upstream.port();
        sandbox.write(
            "issuer.sh",
            "echo create >> calls\n\
             test -e down && { echo 'the issuer is down' >&2; exit 1; }\n\
             end=$(date -u -d \"+$LIFE seconds\" +%Y-%m-%dT%H:%M:%SZ)\n\
             printf '{\"credentials\":{\"API_TOKEN\":\"minted-%s-from-%s\"},\"expires_at\":\"%s\"}' \
             \"$(grep -c create calls)\" \"$MASTER\" \"$end\"\n",
        );
        let text = format!(
            "[secrets]\nMASTER = {{ default = \"long-lived-master\" }}\nLIFE = {{ default = \"{seconds}\" }}\n\
             [leases.api]\ntype = \"command\"\ncreate_command = \"sh issuer.sh\"\nconsumes = [\"MASTER\", \"LIFE\"]\n\
             produces = [\"API_TOKEN\"]\nrevoke_command = \"echo revoke >> calls\"\n\
             [proxy]\nallow_private = [\"127.0.0.1:{port}\"]\n\
             [[proxy.rules]]\nlease = \"api\"\ndomain = \"localhost\"\nport = {port}\nca_file = \"{}\"\n",
            authority.display()
        );
        sandbox.write("fnox.toml", text);
        Self { sandbox, upstream }
    }

    fn run(&self, script: &str) -> Run {
        self.sandbox
            .run(["agent", "run", "--", "sh", "-euc", script])
            .env("URL", self.upstream.url(""))
            .finish()
            .succeeds()
    }

    fn calls(&self) -> Vec<String> {
        let path = self.sandbox.project().join("calls");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn authorizations(&self) -> Vec<String> {
        let received = self.upstream.received();
        let headers = received
            .iter()
            .filter_map(|one| one.header("authorization"));
        headers.map(str::to_owned).collect()
    }
}

const CALL: &str = "curl -sS -o /dev/null -H \"Authorization: Bearer $API_TOKEN\" $URL/a";

#[test]
fn a_lease_is_minted_once_for_all_requests_and_withdrawn_after_the_run() {
    let world = World::new(3600);
    let run = world.run(&format!(
        "{CALL} & {CALL} & {CALL} & wait; {CALL}; cat calls; env"
    ));
    assert_eq!(run.stdout.lines().next(), Some("create"));
    assert!(!run.stdout.contains("long-lived-master"), "{}", run.stdout);
    assert!(!run.stdout.contains("minted-"), "{}", run.stdout);
    let expected = vec!["Bearer minted-1-from-long-lived-master".to_owned(); 4];
    assert_eq!(world.authorizations(), expected);
    assert_eq!(world.calls(), ["create", "revoke"]);
}

#[test]
fn a_run_that_needs_no_lease_mints_none() {
    let world = World::new(3600);
    world.run("true");
    assert!(world.calls().is_empty());
}

#[test]
fn each_request_can_have_a_credential_of_its_own() {
    let world = World::new(3600);
    let path = world.sandbox.project().join("fnox.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "type = \"command\"",
        "type = \"command\"\nper_operation = true",
    );
    world.sandbox.write("fnox.toml", text);
    // Withdrawn when its answer is through, not only at the end.
    let withdrawn = "until grep -q revoke calls; do sleep 0.05; done";
    world.run(&format!("{CALL}; {withdrawn}; {CALL}; {CALL}"));
    let expected = [1, 2, 3].map(|number| format!("Bearer minted-{number}-from-long-lived-master"));
    assert_eq!(world.authorizations(), expected);
    let calls = world.calls();
    let count = |word: &str| calls.iter().filter(|call| *call == word).count();
    assert_eq!((count("create"), count("revoke")), (3, 3), "{calls:?}");
}

#[test]
fn a_request_without_a_credential_does_not_leave() {
    let world = World::new(3600);
    world.sandbox.write("down", "");
    let run = world.run("curl -sS -i -H \"Authorization: Bearer $API_TOKEN\" $URL/a");
    assert!(run.stdout.contains("gateway::credential"), "{}", run.stdout);
    assert!(world.upstream.received().is_empty());
}

/// A minute of events, ten a second, into a file.
const DOWNLOAD: &str = "curl -sS -N -o events -H \"Authorization: Bearer $API_TOKEN\" $URL/drip/600 || echo broken off";

#[test]
fn what_is_on_its_way_breaks_off_when_somebody_withdraws_its_lease() {
    let world = World::new(3600);
    let script = format!("{DOWNLOAD}; curl -sS -H \"Authorization: Bearer $API_TOKEN\" $URL/b");
    let running = world
        .sandbox
        .run(["agent", "run", "--", "sh", "-euc", &script])
        .env("URL", world.upstream.url(""))
        .start();
    let file = world.sandbox.project().join("events");
    until("the download", Duration::from_secs(30), || {
        events_in(&file) > 0
    });
    support::ok(&world.sandbox, &["lease", "revoke", "api"]);
    let before = events_in(&file);
    let run = running.finish().succeeds();
    let events = events_in(&file);
    assert!(events <= before + MOMENTS, "{before}, then {events}: {run}");
    assert!(run.stdout.contains("broken off"), "{run}");
    assert!(run.stdout.contains("was withdrawn"), "{run}");
    assert_eq!(world.calls(), ["create", "revoke"]);
    assert_eq!(world.authorizations().len(), 1);
}

#[test]
fn what_is_on_its_way_breaks_off_when_the_time_of_its_lease_is_over() {
    let world = World::new(12);
    let run = world.run(&format!("{DOWNLOAD}; {CALL}"));
    let events = events_in(&world.sandbox.project().join("events"));
    // In twelve seconds.
    assert!(events <= 120 + MOMENTS, "{events}: {run}");
    assert!(run.stdout.contains("broken off"), "{run}");
    // The next request has a lease of its own.
    assert_eq!(world.authorizations().len(), 2);
    assert_ne!(world.authorizations()[0], world.authorizations()[1]);
}
