//! `fnox lifecycle offboard`

use fnox_testkit::Sandbox;
use serde_json::Value;

use crate::support::{json, ok, sandbox};

const ALICE: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";

/// A project that encrypts to alice and to whoever runs fnox, in the base and in a profile.
fn project() -> Sandbox {
    let sandbox = sandbox();
    let own = ok(&sandbox, &["age", "keygen"]);
    let own = own.trim();
    sandbox.write(
        "fnox.toml",
        format!(
            "[people.alice]\nemail = \"alice@example.com\"\nrecipients = [\"{ALICE}\"]\n\
             accounts = {{ github = \"alice-dev\" }}\n\n\
             [providers.age]\ntype = \"age\"\n# Whoever deploys.\nrecipients = [\"{own}\", \"{ALICE}\"]\n\n\
             [providers.team]\ntype = \"fnox-server\"\nurl = \"https://fnox.example.com\"\n\n\
             [secrets]\n\n\
             [leases.deploy]\ntype = \"command\"\nconsumes = [\"API_KEY\"]\n\
             create_command = '''printf '{{\"credentials\":{{\"TOKEN\":\"t\"}},\"lease_id\":\"made\",\"expires_at\":\"2099-01-01T00:00:00Z\"}}' '''\n\
             revoke_command = 'echo \"$FNOX_LEASE_ID\" >> revoked'\n\n\
             [leases.aws]\ntype = \"aws-sts\"\nregion = \"eu-central-1\"\nrole_arn = \"arn:aws:iam::123456789012:role/dev\"\n\n\
             [profiles.production.providers.age]\ntype = \"age\"\nrecipients = [\"{own}\", \"{ALICE}\"]\n\n\
             [profiles.production.secrets]\n"
        ),
    );
    let set = |arguments: &[&str]| {
        let run = sandbox.run([&["set"], arguments].concat());
        run.stdin("the-value").finish().succeeds();
    };
    set(&["API_KEY", "--provider", "age"]);
    set(&["PRODUCTION_KEY", "--provider", "age", "-P", "production"]);
    sandbox
}

fn step<'a>(document: &'a Value, name: &str) -> &'a Value {
    let steps = document["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {document}"))
}

fn plan(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let all = [&["lifecycle", "offboard", "--json"], arguments].concat();
    json(&ok(sandbox, &all))
}

#[test]
fn a_plan_names_everything_and_changes_nothing() {
    let sandbox = project();
    ok(&sandbox, &["lease", "create", "deploy"]);
    let before = sandbox.read("fnox.toml");
    for user in ["alice", "alice@example.com", "alice-dev", ALICE] {
        let document = plan(&sandbox, &[user]);
        assert_eq!(document["applied"], false);
        let recipients = step(&document, "recipients");
        assert_eq!(recipients["by"], "fnox");
        assert_eq!(recipients["items"].as_array().unwrap().len(), 2, "{user}");
        let rotate = step(&document, "rotate")["items"].to_string();
        assert!(rotate.contains("API_KEY") && rotate.contains("PRODUCTION_KEY"));
        assert!(!rotate.contains("the-value"));
        let leases = step(&document, "leases");
        assert!(leases["items"].to_string().contains("fnox lease revoke"));
        let sessions = step(&document, "sessions")["items"].to_string();
        assert!(
            sessions.contains("aws iam put-role-policy --role-name dev"),
            "{sessions}"
        );
        let server = step(&document, "server")["items"].to_string();
        assert!(
            server.contains("https://fnox.example.com/scim/v2/Users"),
            "{server}"
        );
        assert!(server.contains("alice@example.com"), "{server}");
        let accounts = step(&document, "accounts")["items"].to_string();
        assert!(accounts.contains("memberships/alice-dev"), "{accounts}");
    }
    assert_eq!(sandbox.read("fnox.toml"), before);
    assert!(!sandbox.project().join("revoked").exists());
}

#[test]
fn apply_does_its_part_once() {
    let sandbox = project();
    ok(&sandbox, &["lease", "create", "deploy"]);
    let document = plan(&sandbox, &["alice", "--apply", "--force"]);
    assert_eq!(step(&document, "recipients")["state"], "done");
    assert_eq!(step(&document, "leases")["state"], "done");
    assert_eq!(step(&document, "rotate")["state"], "open");
    let text = sandbox.read("fnox.toml");
    assert_eq!(text.matches(ALICE).count(), 1, "in [people] alone: {text}");
    assert!(text.contains("# Whoever deploys."), "{text}");
    ok(&sandbox, &["reencrypt", "--check"]);
    ok(&sandbox, &["reencrypt", "--check", "-P", "production"]);
    assert_eq!(ok(&sandbox, &["get", "API_KEY"]).trim_end(), "the-value");
    let get = ["get", "PRODUCTION_KEY", "-P", "production"];
    assert_eq!(ok(&sandbox, &get).trim_end(), "the-value");
    assert_eq!(sandbox.read("revoked").lines().count(), 1);

    let again = plan(&sandbox, &["alice", "--apply", "--force"]);
    let names = again["steps"].to_string();
    assert!(
        !names.contains("\"recipients\"") && !names.contains("\"leases\""),
        "{names}"
    );
    assert_eq!(sandbox.read("fnox.toml"), text);
}

#[test]
fn what_cannot_be_done_changes_nothing_and_fails() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        format!("[providers.age]\ntype = \"age\"\nrecipients = [\"{ALICE}\"]\n"),
    );
    let before = sandbox.read("fnox.toml");
    let arguments = ["lifecycle", "offboard", ALICE, "--apply", "--force"];
    let run = sandbox.run(arguments).finish().exits_with(1);
    assert!(run.stdout.contains("has no other recipient"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn a_value_that_cannot_be_read_keeps_its_recipients() {
    let sandbox = project();
    std::fs::remove_file(sandbox.config_folder().join("age.txt")).unwrap();
    let before = sandbox.read("fnox.toml");
    let arguments = ["lifecycle", "offboard", "alice", "--apply", "--force"];
    let run = sandbox.run(arguments).finish().exits_with(1);
    assert!(run.stdout.contains("[!] provider `age`"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn nobody_of_that_name_and_nobody_to_ask_are_errors() {
    let sandbox = project();
    let run = sandbox.run(["lifecycle", "offboard", "mallory"]);
    let run = run.finish().exits_with(2);
    assert!(run.stderr.contains("[people.mallory]"), "{run}");
    let run = sandbox.run(["lifecycle", "offboard", "alice", "--apply"]);
    let run = run.finish().exits_with(2);
    assert!(run.stderr.contains("--force"), "{run}");
}

/// An identity beside the one in its usual place: somebody else's. Its file and its recipient.
fn other(sandbox: &Sandbox) -> (String, String) {
    let path = sandbox.root().join("alice.txt").display().to_string();
    let recipient = ok(sandbox, &["age", "keygen", "-o", &path]);
    (path, recipient.trim().to_owned())
}

/// Whether a value opens with a key alone.
fn opens(sandbox: &Sandbox, key: &str, name: &str, profile: &str) -> bool {
    let get = ["--age-key-file", key, "get", name, "-P", profile];
    let run = sandbox.run(get);
    let run = run.env("FNOX_CONFIG_DIR", sandbox.root().join("tmp/empty"));
    run.finish().code == Some(0)
}

#[test]
fn whoever_left_opens_no_value_of_any_profile() {
    let sandbox = sandbox();
    let own = ok(&sandbox, &["age", "keygen"]);
    let (key, alice) = other(&sandbox);
    sandbox.write(
        "fnox.toml",
        format!(
            "[people.alice]\nrecipients = [\"{alice}\"]\n\n\
             [providers.age]\ntype = \"age\"\nrecipients = [\n  # people\n  \"{}\", # Olga\n  \"{alice}\", # Alice\n]\n\n\
             [secrets]\n\n[profiles.production.secrets]\n",
            own.trim()
        ),
    );
    // A profile that is known by its file alone.
    sandbox.write("fnox.staging.toml", "[secrets]\n");
    let set = |name: &str, profile: &str| {
        let run = sandbox.run(["set", name, "--provider", "age", "-P", profile]);
        run.stdin("the-value").finish().succeeds();
    };
    let all = [
        ("BASE", "default"),
        ("PROD", "production"),
        ("STAGE", "staging"),
    ];
    for (name, profile) in all {
        set(name, profile);
        assert!(opens(&sandbox, &key, name, profile), "{name}");
    }
    let rotate = plan(&sandbox, &["alice"]);
    let rotate = step(&rotate, "rotate")["items"].to_string();
    for (name, _) in all {
        assert!(rotate.contains(name), "{name}: {rotate}");
    }
    let document = plan(&sandbox, &["alice", "--apply", "--force"]);
    assert_eq!(step(&document, "recipients")["state"], "done");
    for (name, profile) in all {
        assert!(!opens(&sandbox, &key, name, profile), "{name}");
        let value = ok(&sandbox, &["get", name, "-P", profile]);
        assert_eq!(value.trim_end(), "the-value");
        ok(&sandbox, &["reencrypt", "--check", "-P", profile]);
    }
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("  # people\n") && text.contains("# Olga\n]"),
        "{text}"
    );
    assert!(!text.contains("# Alice"), "{text}");
}

#[test]
fn one_value_that_cannot_be_read_leaves_all_profiles_as_they_were() {
    let sandbox = sandbox();
    let own = ok(&sandbox, &["age", "keygen"]);
    let (_, alice) = other(&sandbox);
    let list = format!("[\"{}\", \"{alice}\"]", own.trim());
    let text = format!(
        "[people.alice]\nrecipients = [\"{alice}\"]\n[providers.age]\ntype = \"age\"\nrecipients = {list}\n\
         [secrets]\n[profiles.production.secrets]\nBROKEN = {{ provider = \"age\", value = \"AAAA\" }}\n"
    );
    sandbox.write("fnox.toml", text);
    let run = sandbox.run(["set", "BASE", "--provider", "age"]);
    run.stdin("the-value").finish().succeeds();
    let before = sandbox.read("fnox.toml");
    let arguments = ["lifecycle", "offboard", "alice", "--apply", "--force"];
    let run = sandbox.run(arguments).finish().exits_with(1);
    assert!(run.stdout.contains("BROKEN"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn the_list_that_all_projects_share_loses_the_person_too() {
    let sandbox = sandbox();
    let own = ok(&sandbox, &["age", "keygen"]);
    let (key, alice) = other(&sandbox);
    let global = sandbox.config_folder().join("config.toml");
    sandbox.write(
        &global,
        format!("[age]\nrecipients = [\"{}\", \"{alice}\"]\n", own.trim()),
    );
    sandbox.write(
        "fnox.toml",
        "[providers.age]\ntype = \"age\"\n[secrets]\n[profiles.production.secrets]\n",
    );
    let run = sandbox.run(["set", "PROD", "--provider", "age", "-P", "production"]);
    run.stdin("the-value").finish().succeeds();
    assert!(std::fs::read_to_string(&global).unwrap().contains(&alice));
    let document = plan(&sandbox, &[&alice, "--apply", "--force"]);
    assert_eq!(step(&document, "recipients")["state"], "done");
    assert!(!std::fs::read_to_string(&global).unwrap().contains(&alice));
    assert!(!opens(&sandbox, &key, "PROD", "production"));
    let value = ok(&sandbox, &["get", "PROD", "-P", "production"]);
    assert_eq!(value.trim_end(), "the-value");
}
