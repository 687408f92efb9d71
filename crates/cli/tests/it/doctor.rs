//! `fnox doctor`

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use crate::support::{json, sandbox, shown, with_age};

#[test]
fn everything_works_in_order() {
    let sandbox = with_age();
    let run = sandbox.run(["doctor"]).finish().succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
    fnox [version]

    configuration
      ✓ files: [project]/fnox.toml
      - profile: default
      - content: 0 secrets, 1 provider, 0 leases

    folders
      ✓ config: [home]/.config/fnox
      ✓ state: [home]/.local/state/fnox
      ✓ runtime: [sandbox]/run/fnox

    files
      ✓ modes: what is private is for this user only

    clock
      ✓ time: [time]

    providers
      ✓ age: age

    leases
      ✓ ledger: 0 on record, 0 active

    age identities
      ✓ [home]/.config/fnox/age.txt: [recipient]

    keychain
      - service: there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set
    ----
    ✓ Everything works
    ");
}

#[test]
fn what_does_not_work_is_told_with_its_remedy() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[providers]\nage = { type = \"age\", recipients = [\"age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\"], key_file = \"gone.txt\" }\nlater = { type = \"keeper-sm\" }\n",
    );
    let run = sandbox.run(["doctor", "--json"]).finish().exits_with(1);
    let document = json(&run.stdout);
    assert_eq!(document["healthy"], false);
    let examinations = document["examinations"].as_array().unwrap();
    let of = |group: &str, name: &str| {
        let found = examinations
            .iter()
            .find(|one| one["group"] == group && one["name"].as_str().unwrap().contains(name));
        found
            .unwrap_or_else(|| panic!("no {group}/{name} in {run}"))
            .clone()
    };
    assert_eq!(of("providers", "age")["outcome"], "failure");
    assert!(
        of("providers", "age")["remedy"]
            .as_str()
            .unwrap()
            .contains("fnox age keygen"),
        "{run}"
    );
    assert_eq!(of("providers", "later")["outcome"], "failure");
    assert!(
        of("providers", "later")["remedy"]
            .as_str()
            .unwrap()
            .contains("KSM_TOKEN"),
        "{run}"
    );
    assert_eq!(of("age identities", "key_file")["outcome"], "failure");
    assert_eq!(of("leases", "ledger")["outcome"], "ok");
    assert_eq!(of("clock", "time")["outcome"], "ok");
}

#[test]
fn an_identity_that_others_may_read_is_warned_of() {
    let sandbox = with_age();
    let path = sandbox.config_folder().join("age.txt");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = sandbox.run(["doctor"]).finish().succeeds();
    assert!(
        run.stdout.contains("other users may use it (mode 0644)"),
        "{run}"
    );
    assert!(
        run.stdout
            .contains(&format!("chmod go= {}", path.display())),
        "{run}"
    );
}

#[test]
fn a_key_that_the_configuration_names_is_to_be_private_too() {
    let sandbox = with_age();
    let text = sandbox.read("fnox.toml").replace(
        "type = \"age\"",
        "type = \"age\", key_file = \"project.txt\"",
    );
    sandbox.write("fnox.toml", text);
    let path = sandbox.project().join("project.txt");
    std::fs::copy(sandbox.config_folder().join("age.txt"), &path).unwrap();
    let examined = || sandbox.run(["doctor"]).finish().succeeds().stdout;
    let remedy = format!("chmod go= {}", path.display());
    assert!(!examined().contains(&remedy));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let said = examined();
    assert_eq!(said.matches(&remedy).count(), 1, "{said}");
}

#[test]
fn a_clock_that_was_set_back_is_noticed() {
    let sandbox = with_age();
    let tomorrow = std::time::Duration::from_hours(24);
    let file = std::fs::File::options()
        .append(true)
        .open(sandbox.project().join("fnox.toml"))
        .unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written + tomorrow).unwrap();
    let run = sandbox.run(["doctor"]).finish().succeeds();
    assert!(
        run.stdout.contains("! time: it is ") && run.stdout.contains("was written at"),
        "{run}"
    );
}

#[test]
fn a_wrong_configuration_does_not_stop_the_rest() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[secretz]\n");
    let run = sandbox.run(["doctor"]).finish().exits_with(1);
    assert!(
        run.stdout.contains("✗ files: unknown key `secretz`"),
        "{run}"
    );
    assert!(
        run.stdout.contains("did you mean `secrets`?") && run.stdout.contains("✓ time:"),
        "{run}"
    );
    let run = sandbox
        .run(["doctor"])
        .within(sandbox.home())
        .finish()
        .succeeds();
    assert!(
        run.stdout.contains("! files: no configuration found"),
        "{run}"
    );
}

#[test]
fn a_ledger_that_does_not_open_is_a_failure_and_left_as_it_is() {
    let sandbox = sandbox();
    let text = "[leases.l]\ntype = \"command\"\nconsumes = []\ncreate_command = \"\"\"printf '{\"credentials\":{\"T\":\"v\"},\"expires_at\":\"2099-01-01T00:00:00Z\"}'\"\"\"\n";
    sandbox.write("fnox.toml", text);
    sandbox.run(["lease", "create", "l"]).finish().succeeds();
    let run = sandbox.run(["doctor"]).finish().succeeds();
    assert!(
        run.stdout.contains("ledger: 1 on record, 1 active"),
        "{run}"
    );
    let leases = std::fs::read_dir(sandbox.state_folder().join("leases")).unwrap();
    let ledger = leases
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .unwrap();
    std::fs::write(&ledger, "version = 1\nnonsense = true\n").unwrap();
    let run = sandbox.run(["doctor"]).finish().exits_with(1);
    assert!(
        run.stdout.contains("✗ ledger: ") && run.stdout.contains("help: "),
        "{run}"
    );
    assert_eq!(
        std::fs::read_to_string(&ledger).unwrap(),
        "version = 1\nnonsense = true\n"
    );
}
