//! A project of the established CLI: what went in comes out, and nobody is told anything.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_testkit::Sandbox;
use hkdf::Hkdf;
use sha2::Sha256;

use crate::support::{json, ok, sandbox};

const OUTER: (&str, &str) = ("FROM_THE_ENVIRONMENT", "set outside");
const SINGLE: &str = "p@ss $word 'quoted' \"twice\"";
const SPACES: &str = " spaces and a newline stay \n";
const FIRST: &str = "first-of-a-run";
const SECOND: &str = "zweiter Wert\nmit Zeilen\n";
const COPY: &str = "kept for days without a network";
const IN_A_FILE: &str = "-----BEGIN THING-----\nabc\n-----END THING-----\n";
const MASTER: &str = "correct horse of the database";

/// A sandbox with an age key that `age-keygen` made, and its recipient.
fn with_key() -> (Sandbox, String) {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.project().join("keys")).unwrap();
    let keygen = |arguments: [&str; 2]| {
        let run = sandbox.run_program("age-keygen", arguments).finish();
        run.succeeds().stdout
    };
    keygen(["-o", "keys/shop.txt"]);
    let recipient = keygen(["-y", "keys/shop.txt"]).trim().to_owned();
    (sandbox, recipient)
}

/// The single form: base64 of what `age` writes.
fn age(sandbox: &Sandbox, recipient: &str, value: &str) -> String {
    sandbox
        .run_program("age", ["-r", recipient, "-o", "sealed.age"])
        .stdin(value)
        .finish()
        .succeeds();
    let file = sandbox.project().join("sealed.age");
    let sealed = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    STANDARD.encode(sealed)
}

/// The form of the values of one `sync` or `reencrypt`: a key that `age` sealed, and each value under that key.
fn batch<const N: usize>(sandbox: &Sandbox, recipient: &str, values: [&str; N]) -> [String; N] {
    const MARK: &str = "fnox-age-batch-v1";
    let key: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7).unwrap());
    let sealed_key = age(sandbox, recipient, &STANDARD.encode(key));
    let mut derived = [0u8; 32];
    Hkdf::<Sha256>::new(None, &key)
        .expand(MARK.as_bytes(), &mut derived)
        .unwrap();
    let cipher = Aes256Gcm::new_from_slice(&derived).unwrap();
    let mut count = 0u8;
    values.map(|value| {
        count += 1;
        let nonce = [count; 12];
        let sealed = cipher
            .encrypt(Nonce::from_slice(&nonce), value.as_bytes())
            .unwrap();
        let blob = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        format!("{MARK}:{sealed_key}:{blob}")
    })
}

/// The project, and each of its secrets with its value.
fn shop() -> (Sandbox, [(&'static str, &'static str); 13]) {
    let (sandbox, recipient) = with_key();
    let single = |value| age(&sandbox, &recipient, value);
    let [first, second, copy] = batch(&sandbox, &recipient, [FIRST, SECOND, COPY]);
    let text = format!(
        r#"default_provider = "age"
age_key_file = "keys/shop.txt"

[providers]
age = {{ type = "age", recipients = ["{recipient}"], key_file = "keys/shop.txt" }}
plain = {{ type = "plain" }}
file = {{ type = "plain", file = "values.env", format = "env" }}
document = {{ type = "plain", file = "values.json", format = "json" }}
op = {{ type = "1password", vault = "Shop" }}

[secrets]
SINGLE= {{ provider = "age", value = "{}" }}
SPACES = {{ value = "{}" }}
FIRST = {{ provider = "age", value = "{first}" }}
SECOND = {{ provider = "age", value = "{second}" }}
OFFLINE = {{ provider = "op", value = "database/password", sync = {{ provider = "age", value = "{copy}" }} }}
SHOP_KEY = {{ provider = "file", value = "SHOP_KEY" }}
QUOTED = {{ provider = "file", value = "QUOTED" }}
FROM_JSON = {{ provider = "document", value = "token" }}
URL = {{ default = "postgres://shop:${{FIRST}}@db/${{SHOP_KEY}}" }}
HOST = {{ provider = "plain", value = '{{"db":{{"host.name":"db.internal","port":5432}}}}', json_path = 'db.host\.name' }}
PORT = {{ provider = "plain", value = '{{"db":{{"host.name":"db.internal","port":5432}}}}', json_path = "db.port" }}
LINE = {{ provider = "plain", value = "one\r\ntwo\nthree", line = 2 }}
FROM_THE_ENVIRONMENT = {{}}

[secrets.CERTIFICATE]
provider = "age"
value = "{}"
as_file = true

[secrets.NOT_FOR_PROGRAMS]
provider = "plain"
value = "only by get"
env = false
"#,
        single(SINGLE),
        single(SPACES),
        single(IN_A_FILE),
    );
    sandbox.write("fnox.toml", text);
    sandbox.write(
        "values.env",
        "# kept\nexport SHOP_KEY=key-of-the-shop\nQUOTED=\"a b # c\"\n",
    );
    sandbox.write("values.json", "{ \"token\": \"token of the document\" }\n");
    let values = [
        ("SINGLE", SINGLE),
        ("SPACES", SPACES),
        ("FIRST", FIRST),
        ("SECOND", SECOND),
        ("OFFLINE", COPY),
        ("SHOP_KEY", "key-of-the-shop"),
        ("QUOTED", "a b # c"),
        ("FROM_JSON", "token of the document"),
        ("URL", "postgres://shop:first-of-a-run@db/key-of-the-shop"),
        ("HOST", "db.internal"),
        ("PORT", "5432"),
        ("LINE", "two"),
        OUTER,
    ];
    (sandbox.with_env(OUTER.0, OUTER.1), values)
}

#[test]
#[ignore = "needs age"]
fn each_value_comes_out_by_itself() {
    let (sandbox, values) = shop();
    for (name, value) in values {
        let run = sandbox.run(["get", name]).finish().succeeds();
        assert_eq!(run.stdout, format!("{value}\n"), "{name}");
        assert_eq!(run.stderr, "", "{name}");
    }
    assert_eq!(ok(&sandbox, &["get", "NOT_FOR_PROGRAMS"]), "only by get\n");
    let path = ok(&sandbox, &["get", "CERTIFICATE"]);
    assert_eq!(std::fs::read_to_string(path.trim()).unwrap(), IN_A_FILE);
}

#[test]
#[ignore = "needs age"]
fn a_program_and_an_export_have_the_same_values() {
    let (sandbox, values) = shop();
    let run = sandbox.run(["exec", "--", "env", "-0"]).finish().succeeds();
    assert_eq!(run.stderr, "");
    let variables: Vec<(&str, &str)> = run
        .stdout
        .split('\0')
        .filter_map(|line| line.split_once('='))
        .collect();
    for entry in values {
        let found = run.stdout.escape_debug();
        assert!(variables.contains(&entry), "{entry:?}: {found}");
    }
    assert!(
        variables
            .iter()
            .all(|(name, _)| *name != "NOT_FOR_PROGRAMS")
    );
    let script = "cat \"$CERTIFICATE\"";
    let shown = ok(&sandbox, &["exec", "--", "sh", "-c", script]);
    assert_eq!(shown, IN_A_FILE);

    let exported = json(&ok(&sandbox, &["export", "-f", "json"]));
    for (name, value) in values {
        assert_eq!(exported["secrets"][name], value, "{name}");
    }
}

#[test]
#[ignore = "needs age"]
fn values_are_written_as_age_reads_them() {
    let (sandbox, recipient) = with_key();
    sandbox.write(
        "fnox.toml",
        format!(
            "[providers]\nage = {{ type = \"age\", recipients = [\"{recipient}\"], key_file = \"keys/shop.txt\" }}\n"
        ),
    );
    sandbox
        .run(["set", "NEW"])
        .stdin(SINGLE)
        .finish()
        .succeeds();
    let text = sandbox.read("fnox.toml");
    let document: toml_edit::DocumentMut = text.parse().unwrap();
    let value = document["secrets"]["NEW"]["value"].as_str().unwrap();
    sandbox.write("new.age", STANDARD.decode(value).unwrap());
    let arguments = ["-d", "-i", "keys/shop.txt", "new.age"];
    let opened = sandbox.run_program("age", arguments).finish().succeeds();
    assert_eq!(opened.stdout, SINGLE);
}

#[test]
#[ignore = "needs keepassxc"]
fn entries_of_a_database_that_keepassxc_made_are_found() {
    let sandbox = sandbox().with_env("QT_QPA_PLATFORM", "offscreen");
    let keepassxc = |arguments: &[&str], answers: &[&str]| {
        let answers = answers.join("\n") + "\n";
        sandbox
            .run_program("keepassxc-cli", arguments)
            .stdin(answers)
            .finish()
            .succeeds();
    };
    let create = ["db-create", "--set-password", "-t", "100", "shop.kdbx"];
    keepassxc(&create, &[MASTER, MASTER]);
    keepassxc(&["mkdir", "-q", "shop.kdbx", "servers"], &[MASTER]);
    let add = "add -q -u admin --url https://db.example -p shop.kdbx servers/db";
    let add: Vec<&str> = add.split(' ').collect();
    keepassxc(&add, &[MASTER, "password of the entry"]);
    sandbox.write(
        "fnox.toml",
        format!(
            r#"[providers]
kp = {{ type = "keepass", database = "shop.kdbx", password = {{ secret = "MASTER" }} }}
plain = {{ type = "plain" }}

[secrets]
MASTER = {{ provider = "plain", value = "{MASTER}", env = false }}
PASSWORD = {{ provider = "kp", value = "servers/db" }}
USER = {{ provider = "kp", value = "servers/db/username" }}
BY_TITLE = {{ provider = "kp", value = "db/url" }}
"#
        ),
    );
    let script = "printf '%s %s %s' \"$PASSWORD\" \"$USER\" \"$BY_TITLE\"";
    let run = sandbox
        .run(["exec", "--", "sh", "-c", script])
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "password of the entry admin https://db.example");
    assert_eq!(run.stderr, "");
}

#[test]
fn a_file_with_every_key_is_read_without_a_word() {
    let sandbox = sandbox();
    let text = include_str!("../../../config/tests/it/established.toml");
    sandbox.write("fnox.toml", text);
    sandbox.write("shared.toml", "[secrets]\nSHARED = { default = \"x\" }\n");
    let cases: [(&[&str], &str); 7] = [
        (&["list"], "op"),
        (&["list", "-P", "production"], "STAGE"),
        (&["profiles"], "staging (12 secrets)"),
        (&["provider", "list"], "passwordstate"),
        (&["proxy", "rules"], "api.example.com"),
        (&["config-files"], "shared.toml"),
        (&["get", "NEVER", "-P", "production"], "staging-x"),
    ];
    for (arguments, wanted) in cases {
        let run = sandbox.run(arguments).finish().succeeds();
        assert!(run.stdout.contains(wanted), "{arguments:?}: {run}");
        assert_eq!(run.stderr, "", "{arguments:?}");
    }
}
