//! `fnox-agent provision` and `withdraw`.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use fnox_vault_wire::methods::{LeaseStatus, RevocationReason};

use crate::world::{GITHUB, World};

/// Two files, and a variable.
fn credentials(world: &World) -> String {
    format!(
        r#"{{"secret_name": "github-token", "target_domain": "api.github.com", "inject": [
            {{"type": "env", "var": "GH_TOKEN"}},
            {{"type": "git_credential", "host": "github.com"}},
            {{"type": "file", "path": "{}", "template": "token: ${{SECRET}}\n"}}]}},
           {{"secret_name": "pair", "target_domain": "s3.example", "inject": [
            {{"type": "file", "path": "{}",
              "template": "[default]\nid = ${{SECRET.ID}}\nkey = ${{SECRET.KEY|json}}\n"}}]}}"#,
        world.target("one/token").display(),
        world.target("aws/credentials").display()
    )
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn files_come_and_go_with_their_leases() {
    let world = World::new();
    let manifest = world.manifest(&credentials(&world));
    let env_file = world.target("env");
    let arguments = [
        "--manifest",
        &manifest,
        "--env-file",
        env_file.to_str().unwrap(),
    ];
    world.agent("provision", &arguments).finish().succeeds();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let token = world.target("one/token");
    assert_eq!(read(&token), format!("token: {GITHUB}\n"));
    let pair = world.target("aws/credentials");
    assert_eq!(
        read(&pair),
        "[default]\nid = AKIAEXAMPLE\nkey = k/e+y\\\"s\n"
    );
    assert_eq!(read(&env_file), format!("GH_TOKEN=\"{GITHUB}\"\n"));
    for path in [&token, &pair, &env_file] {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(token.parent().unwrap()), 0o700);
    assert_eq!(world.active().len(), 2);

    world.agent("withdraw", &[]).finish().succeeds();
    assert!(!token.parent().unwrap().exists() && !pair.exists() && !env_file.exists());
    let leases = world.leases();
    assert_eq!(leases.len(), 2);
    for lease in leases {
        assert_eq!(lease.status, LeaseStatus::Revoked);
        assert_eq!(lease.reason, Some(RevocationReason::Released));
    }
}

#[test]
fn one_refusal_takes_everything_back() {
    let world = World::new();
    let refused = r#"{"secret_name": "github-token", "target_domain": "evil.example",
        "inject": [{"type": "file", "path": "~/evil"}]}"#;
    let manifest = world.manifest(&format!("{},{refused}", credentials(&world)));
    let env_file = world.target("env");
    let arguments = [
        "--manifest",
        &manifest,
        "--env-file",
        env_file.to_str().unwrap(),
    ];
    let run = world.agent("provision", &arguments).finish().exits_with(7);
    assert!(run.stderr.contains("evil.example"), "{}", run.stderr);
    assert!(run.stderr.contains("policy explain"), "{}", run.stderr);
    assert!(!world.target("one").exists() && !world.target("aws").exists());
    assert!(!env_file.exists());
    assert_eq!(world.active(), []);
}

#[test]
fn a_file_that_cannot_be_written_takes_everything_back() {
    let world = World::new();
    std::fs::write(world.target("aws"), "a file where a folder should be").unwrap();
    let manifest = world.manifest(&credentials(&world));
    let arguments = ["--manifest", &manifest, "--env-file", "env"];
    let run = world.agent("provision", &arguments).finish();
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(!world.target("one").exists());
    assert!(!world.sandbox.project().join("env").exists());
    assert_eq!(world.active(), []);
}

#[test]
fn what_only_a_gateway_may_use_is_not_written() {
    let world = World::new();
    let manifest = world.manifest(
        r#"{"secret_name": "api-token", "target_domain": "localhost",
            "inject": [{"type": "file", "path": "~/api"}]}"#,
    );
    let run = world.agent("provision", &["--manifest", &manifest]);
    let run = run.finish().exits_with(7);
    assert!(run.stderr.contains("through the gateway"), "{}", run.stderr);
    assert!(!world.target("api").exists());
    assert_eq!(world.active(), []);
}

#[test]
fn a_manifest_that_is_wrong_asks_for_nothing() {
    let world = World::new();
    let manifest = world.manifest(r#"{"secret_name": "x", "target_domain": "y", "inject": []}"#);
    let run = world.agent("provision", &["--manifest", &manifest]);
    let run = run.finish();
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("credential 1"), "{}", run.stderr);
    assert_eq!(world.leases(), []);
    let open = world.sandbox.write("open.json", r#"{"credentials":[]}"#);
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o666)).unwrap();
    let arguments = ["--manifest", open.to_str().unwrap()];
    let run = world.agent("provision", &arguments).finish();
    assert!(
        run.stderr.contains("others must not write"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_wrong_token_and_a_missing_vault_are_told_apart() {
    let world = World::new();
    let manifest = world.manifest("");
    let wrong = world.sandbox.write_private("wrong", "fxv_wrong\n");
    let vault = world.connector().to_string();
    let token = wrong.to_str().unwrap();
    let arguments = |vault: &str| {
        let given = [
            "provision",
            "--manifest",
            &manifest,
            "--vault",
            vault,
            "--token-file",
            token,
        ];
        given.map(str::to_owned)
    };
    let run = world.sandbox.run(arguments(&vault)).finish().exits_with(4);
    assert!(run.stderr.contains("--token-file"), "{}", run.stderr);
    assert!(!run.stderr.contains("fxv_wrong"), "{}", run.stderr);
    let run = world.sandbox.run(arguments("unix:/nowhere")).finish();
    run.exits_with(6);
}

/// root writes for the user who needs it; whoever is not root is told before anything is leased.
#[test]
fn files_are_given_to_their_owner_by_root_alone() {
    let world = World::new();
    let manifest = world.manifest(&credentials(&world));
    let env_file = world.target("env");
    let arguments = [
        "--manifest",
        &manifest,
        "--env-file",
        env_file.to_str().unwrap(),
        "--owner",
        "12345:12346",
    ];
    let run = world.agent("provision", &arguments).finish();
    if !rustix::process::geteuid().is_root() {
        let run = run.exits_with(2);
        assert!(run.stderr.contains("only root"), "{}", run.stderr);
        assert_eq!(world.leases(), []);
        return;
    }
    run.succeeds();
    for path in [&world.target("one/token"), &env_file] {
        let about = path.metadata().unwrap();
        assert_eq!((about.uid(), about.gid()), (12_345, 12_346));
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    let folder = world.target("one");
    assert_eq!(
        (folder.metadata().unwrap().uid(), mode(&folder)),
        (0, 0o711)
    );
    world.agent("withdraw", &[]).finish().succeeds();
    assert!(!folder.exists() && !env_file.exists());
    let unknown = [&arguments[..5], &["nobody-of-this-name"]].concat();
    let run = world.agent("provision", &unknown).finish().exits_with(2);
    assert!(run.stderr.contains("there is no user"), "{}", run.stderr);
}
