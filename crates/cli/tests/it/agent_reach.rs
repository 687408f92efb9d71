//! What a program behind the gateway must not find: variables without a sandbox, files and sockets in one.

use std::os::unix::net::UnixListener;
use std::path::Path;

use fnox_testkit::Invocation;

use crate::agent_support::{Project, VALUE};

const IDENTITY: &str = "AGE-SECRET-KEY-1PLANTEDPLANTEDPLANTED";

impl Project {
    /// A script in a sandbox, with a `fnox.toml` that has more in front of it.
    fn with_front(front: &str, proxy: &str) -> Self {
        let project = Self::with(proxy, "");
        let text = project.sandbox.read("fnox.toml");
        project
            .sandbox
            .write("fnox.toml", format!("{front}\n{text}"));
        project
    }

    fn inside(&self, script: &str) -> Invocation {
        let run = ["agent", "run", "--sandbox", "--", "sh", "-uc", script];
        let fnox = env!("CARGO_BIN_EXE_fnox");
        self.sandbox.run(run).env("FNOX", fnox)
    }
}

/// Tries to get at the content of `$KEY` in every way that a program has.
const TRICKS: &str = "cat $KEY; cp $KEY copy; ln $KEY linked; mv $KEY moved; rm -f $KEY; \
    mv $(dirname $KEY) renamed; cat renamed/$(basename $KEY); cat moved linked copy; cat /proc/1/root$PWD/$KEY; \
    cat /proc/self/root$PWD/$KEY; cat /proc/*/cwd/$KEY; echo mine > $KEY; cat $KEY; echo done";

#[test]
fn the_key_that_opens_the_project_is_not_there() {
    for place in ["identity.txt", "keys/deep/identity.txt"] {
        let project = Project::with_front(
            &format!("[providers.age]\ntype = \"age\"\nrecipients = []\nkey_file = \"{place}\"\n"),
            "",
        );
        let key = project.sandbox.write_private(place, IDENTITY);
        let run = project.inside(TRICKS).env("KEY", place).finish().succeeds();
        assert!(!run.stdout.contains("PLANTED"), "{run}");
        assert!(run.stdout.ends_with("done\n"), "{run}");
        // Nor did it get lost.
        let there = key.exists().then_some(key);
        let there = there.or_else(|| Some(project.sandbox.project().join("renamed/identity.txt")));
        assert_eq!(std::fs::read_to_string(there.unwrap()).unwrap(), IDENTITY);
    }
}

#[test]
fn keys_of_every_profile_and_of_services_are_not_there() {
    let project = Project::with_front(
        "[profiles.prod.providers.kp]\ntype = \"keepass\"\ndatabase = \"prod.kdbx\"\n\
         [leases.app]\ntype = \"github-app\"\napp_id = \"1\"\ninstallation_id = \"1\"\nprivate_key_file = \"app.pem\"\n",
        "approval_token_file = \"gateway.token\"",
    );
    project.sandbox.write(
        "fnox.staging.toml",
        "[providers.age]\ntype = \"age\"\nrecipients = []\nkey_file = \"staging.txt\"\n",
    );
    project.sandbox.write(
        "vault/vault.toml",
        "key = \"file:sealing.key\"\nstore = \"sqlite:vault.db\"\n",
    );
    let files = [
        "prod.kdbx",
        "app.pem",
        "gateway.token",
        "staging.txt",
        "vault/sealing.key",
        "vault/vault.db",
        "by-variable.txt",
        "token",
        "gcp.json",
    ];
    for file in files {
        project.sandbox.write_private(file, IDENTITY);
    }
    project.sandbox.write("notes", "seen");
    let at = |name: &str| project.sandbox.project().join(name);
    let run = project
        .inside("for file in $FILES; do cat $file; done; cat notes; echo x >> fnox.staging.toml")
        .env("FILES", files.join(" "))
        .env("FNOX_VAULT_CONFIG", at("vault/vault.toml"))
        .env("FNOX_AGE_KEY_FILE", at("by-variable.txt"))
        .env("FNOX_VAULT_TOKEN_FILE", at("token"))
        .env("GOOGLE_APPLICATION_CREDENTIALS", "gcp.json")
        .finish();
    assert_eq!(run.stdout, "seen", "{run}");
    assert!(!project.sandbox.read("fnox.staging.toml").ends_with("x\n"));
}

#[test]
fn what_opens_any_store_is_not_inherited_whether_it_is_used_or_not() {
    let project = Project::with_front(
        "[providers.ks]\ntype = \"keepass\"\ndatabase = \"a.kdbx\"\n\
         [profiles.prod.providers.dop]\ntype = \"doppler\"\ntoken = { secret = \"MY_OWN_DOPPLER\" }\n\
         [profiles.prod.secrets]\nOF_PRODUCTION = { default = \"x\" }\n",
        "",
    );
    let names = [
        "KEEPASS_PASSWORD",
        "FNOX_KEEPASS_PASSWORD",
        "FNOX_OP_SERVICE_ACCOUNT_TOKEN",
        "INFISICAL_CLIENT_SECRET",
        "FNOX_INFISICAL_TOKEN",
        "FNOX_BW_SESSION",
        "FNOX_DOPPLER_TOKEN",
        "FNOX_FOKS_BOT_TOKEN",
        "KSM_TOKEN",
        "PASSWORDSTATE_API_KEY",
        "VAULT_SECRET_ID",
        "AWS_SECURITY_TOKEN",
        "GH_ENTERPRISE_TOKEN",
        "FNOX_VAULT_TOKEN_FILE",
        "FNOX_VAULT_SOCKET",
        "MY_OWN_DOPPLER",
        "OF_PRODUCTION",
    ];
    for sandboxed in ["--no-sandbox", "--sandbox"] {
        let run = ["agent", "run", sandboxed, "--", "env"];
        let mut run = project.sandbox.run(run).env("OPENAI_API_KEY", "passes");
        for name in names {
            run = run.env(name, format!("/planted-{name}"));
        }
        let run = run.finish().succeeds();
        assert!(!run.stdout.contains("planted"), "{run}");
        assert!(run.stdout.contains("OPENAI_API_KEY=passes"), "{run}");
        assert!(!run.stdout.contains(VALUE), "{run}");
    }
    let run = [
        "agent",
        "run",
        "--keep",
        "KSM_TOKEN",
        "--",
        "sh",
        "-c",
        "echo $KSM_TOKEN",
    ];
    let run = project.sandbox.run(run).env("KSM_TOKEN", "kept").finish();
    assert_eq!(run.succeeds().stdout, "kept\n");
}

#[test]
fn the_sockets_of_the_vault_are_not_there_wherever_they_are() {
    let project = Project::new("");
    let at = |name: &str| project.sandbox.project().join(name);
    let listen = |path: &Path| UnixListener::bind(path).unwrap();
    project.sandbox.write(
        "v/vault.toml",
        "socket = \"../admin.sock\"\nagent_socket = \"agents.sock\"\n",
    );
    let sockets = [
        listen(&at("admin.sock")),
        listen(&at("v/agents.sock")),
        listen(&at("named.sock")),
    ];
    let script = "import os, socket, sys\n\
        for path in sys.argv[1:]:\n\
        \x20   try: socket.socket(socket.AF_UNIX).connect(path)\n\
        \x20   except OSError: continue\n\
        \x20   raise SystemExit('connected to ' + path)\n\
        print('none')\n";
    project.sandbox.write("try.py", script);
    let run = project
        .inside("python3 try.py admin.sock v/agents.sock named.sock")
        .env("FNOX_VAULT_CONFIG", at("v/vault.toml"))
        .env("FNOX_VAULT_SOCKET", at("named.sock"))
        .finish();
    assert_eq!(run.succeeds().stdout, "none\n");
    drop(sockets);
}

#[test]
fn folders_of_fnox_are_covered_also_where_there_were_none() {
    let project = Project::with_front("", "sandbox_allow_write = [\"~/.config\", \"~/cache\"]");
    let home = project.sandbox.home();
    assert!(!home.join(".config").exists());
    let script = "mkdir -p ~/.config/fnox ~/.config/gh; echo planted > ~/.config/fnox/config.toml; \
        echo planted > ~/.config/gh/hosts.yml; mv ~/.config/fnox ~/.config/gone; rmdir ~/.config/fnox; \
        mkdir -p ~/.config/other; echo ok > ~/.config/other/file; echo ok > ~/cache/file";
    project.inside(script).finish();
    assert!(!home.join(".config/fnox/config.toml").exists());
    assert!(!home.join(".config/gone").exists());
    // Made for the run alone.
    assert!(!home.join(".config/gh").exists());
    // And what may be written to was made.
    for file in [".config/other/file", "cache/file"] {
        assert_eq!(std::fs::read_to_string(home.join(file)).unwrap(), "ok\n");
    }
}

#[test]
fn a_home_folder_is_not_written_to_and_what_cannot_be_made_is_told() {
    for (path, told) in [("~", "home folder"), ("~/file/below", "cannot be made")] {
        let project = Project::with_front("", &format!("sandbox_allow_write = [\"{path}\"]"));
        std::fs::write(project.sandbox.home().join("file"), "").unwrap();
        let run = project.inside("true").finish().exits_with(1);
        assert!(run.stderr.contains(told), "{run}");
        assert!(run.stderr.contains("sandbox_allow_write"), "{run}");
    }
}

#[test]
fn a_folder_on_the_way_to_the_projects_files_is_not_exchanged() {
    let project = Project::with_front("import = [\"conf/base.toml\"]", "");
    project.sandbox.write("conf/base.toml", "# base\n");
    project
        .inside("mv conf away; mkdir conf; echo '# planted' > conf/base.toml; echo '# planted' >> away/base.toml")
        .finish();
    assert_eq!(project.sandbox.read("conf/base.toml"), "# base\n");
}
