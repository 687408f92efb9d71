//! `fnox-agent credential-fill`.

use crate::world::{GITHUB, World};

const MANIFEST: &str = r#"{"secret_name": "github-token", "target_domain": "api.github.com",
    "inject": [{"type": "git_credential", "host": "github.com"}]}"#;

fn ask(world: &World, operation: &str, question: &str) -> fnox_testkit::Run {
    let manifest = world.manifest(MANIFEST);
    let arguments = ["--manifest", &manifest, operation];
    let run = world.agent("credential-fill", &arguments);
    run.stdin(question).finish()
}

#[test]
fn git_is_answered_for_the_host_that_it_names() {
    let world = World::new();
    let question = "protocol=https\nhost=github.com\n\n";
    for _ in 0..3 {
        let run = ask(&world, "get", question).succeeds();
        let password = format!("password={GITHUB}\n");
        assert!(run.stdout.contains("username=x-access-token\n"));
        assert!(run.stdout.contains(&password), "{}", run.stdout);
    }
    let leases = world.active();
    assert_eq!(
        leases.len(),
        1,
        "one lease answers until half of it is over"
    );
    assert_eq!(leases[0].domain, "github.com");
}

#[test]
fn nobody_else_is_answered() {
    let world = World::new();
    for (operation, question) in [
        ("get", "protocol=https\nhost=api.github.com\n\n"),
        ("get", "protocol=https\nhost=github.com.evil.example\n\n"),
        ("get", "protocol=ssh\nhost=github.com\n\n"),
        (
            "store",
            "protocol=https\nhost=github.com\nusername=a\npassword=b\n\n",
        ),
        ("erase", "protocol=https\nhost=github.com\n\n"),
    ] {
        let run = ask(&world, operation, question).succeeds();
        assert_eq!(run.stdout, "", "{question}");
    }
    let run = ask(&world, "get", "protocol=http\nhost=github.com\n\n");
    let run = run.exits_with(7);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("in clear"), "{}", run.stderr);
    assert_eq!(world.leases(), []);
}
