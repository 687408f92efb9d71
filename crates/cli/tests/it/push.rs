//! `fnox push`: secrets sent to services that keep their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crypto_box::SecretKey;
use crypto_box::aead::OsRng;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::targets::Targets;
use fnox_testkit::{Run, Sandbox};
use serde_json::{Value, json};

use crate::schemas::assert_fits;
use crate::support::{fails, ok, sandbox};

const VALUE: &str = "hunter2-pushed";

struct Home {
    sandbox: Sandbox,
    services: Issuer<Targets>,
    key: SecretKey,
}

impl Home {
    fn new() -> Self {
        let key = SecretKey::generate(&mut OsRng);
        let public = BASE64.encode(key.public_key().as_bytes());
        let services = Issuer::start(Targets::new(public));
        let home = Self {
            sandbox: sandbox(),
            services,
            key,
        };
        home.configure("'gh', 'gl', 'fj', 'cf', 've', 'fly', 'tf'");
        home
    }

    fn configure(&self, targets: &str) {
        let url = self.services.url();
        let text = format!(
            "root = true\n[providers]\nplain = {{ type = 'plain' }}\n[secrets]\n\
             A = {{ provider = 'plain', value = '{VALUE}', push = [{targets}] }}\n\
             B = {{ provider = 'plain', value = 'hunter2-other' }}\n\
             GH_TOKEN = {{ provider = 'plain', value = '{token}', env = false }}\n\
             [targets.gh]\ntype = 'github-actions'\nrepo = 'o/r'\nurl = '{url}'\n\
             [targets.env]\ntype = 'github-actions'\nrepo = 'o/r'\nenvironment = 'live one'\nurl = '{url}'\n\
             [targets.org]\ntype = 'github-actions'\norg = 'o'\nrepos = ['a', 'bb']\napp = 'dependabot'\nurl = '{url}'\n\
             [targets.gone]\ntype = 'github-actions'\nrepo = 'o/gone'\nurl = '{url}'\n\
             [targets.gl]\ntype = 'gitlab-ci'\nrepo = 'g/sub/p'\nmasked = true\nenvironment = 'prod/*'\nurl = '{url}'\n\
             [targets.fj]\ntype = 'forgejo-actions'\nrepo = 'o/r'\nurl = '{url}'\n\
             [targets.cf]\ntype = 'cloudflare-workers'\nworker = 'w'\nenvironment = 'live'\naccount_id = 'acc'\nurl = '{url}'\n\
             [targets.ve]\ntype = 'vercel'\nenvironments = ['production', 'preview']\nsensitive = true\nproject = 'p'\nscope = 'acme'\nurl = '{url}'\n\
             [targets.fly]\ntype = 'fly'\napp = 'shop'\nurl = '{url}'\n\
             [targets.tf]\ntype = 'hcp-terraform'\norganization = 'acme'\nworkspace = 'prod'\ncategory = 'env'\nurl = '{url}'\n",
            token = Targets::TOKEN,
        );
        self.sandbox.write("fnox.toml", text);
    }

    fn push(&self, arguments: &[&str]) -> Run {
        let mut all = vec!["push"];
        all.extend(arguments);
        let tokens = [
            "GITLAB_TOKEN",
            "GITEA_TOKEN",
            "CLOUDFLARE_API_TOKEN",
            "VERCEL_TOKEN",
            "FLY_API_TOKEN",
            "TF_TOKEN_127_0_0_1",
        ];
        let tokens = tokens.map(|name| (name, Targets::TOKEN));
        let run = self.sandbox.run(&all).envs(tokens).finish();
        assert_eq!(self.services.complaints(), Vec::<String>::new(), "{run}");
        for secret in [VALUE, Targets::TOKEN] {
            assert!(
                !run.stdout.contains(secret) && !run.stderr.contains(secret),
                "{run}"
            );
        }
        run
    }

    fn kept(&self, place: &str) -> Value {
        self.services.change(|services| {
            let found = services.kept.get(place).cloned();
            found.unwrap_or_else(|| panic!("{place} in {:?}", services.kept.keys()))
        })
    }

    fn opened(&self, place: &str) -> String {
        let sealed = self.kept(place)["encrypted_value"]
            .as_str()
            .unwrap()
            .to_owned();
        let sealed = BASE64.decode(sealed).unwrap();
        String::from_utf8(self.key.unseal(&sealed).unwrap()).unwrap()
    }
}

#[test]
fn a_secret_reaches_every_type_of_target() {
    let home = Home::new();
    let run = home.push(&["-f"]).succeeds();
    assert_eq!(run.stderr.matches("✓ A → ").count(), 7, "{run}");
    assert!(run.stderr.contains("7 of 7 pushed"), "{run}");
    let github = "PUT /repos/o/r/actions/secrets/A";
    assert_eq!(
        (home.opened(github).as_str(), &home.kept(github)["key_id"]),
        (VALUE, &json!("k-1"))
    );
    let gitlab = home.kept("POST /api/v4/projects/g%2Fsub%2Fp/variables");
    assert_eq!(
        gitlab,
        json!({"key": "A", "value": VALUE, "environment_scope": "prod/*", "masked": true,
               "protected": false, "raw": false, "variable_type": "env_var"})
    );
    assert_eq!(
        home.kept("PUT /api/v1/repos/o/r/actions/secrets/A"),
        json!({"data": VALUE})
    );
    assert_eq!(
        home.kept("PUT /accounts/acc/workers/scripts/w-live/secrets"),
        json!({"name": "A", "text": VALUE, "type": "secret_text"})
    );
    assert_eq!(
        home.kept("POST /v10/projects/p/env?upsert=true&slug=acme"),
        json!({"key": "A", "value": VALUE, "type": "sensitive", "target": ["production", "preview"]})
    );
    assert_eq!(
        home.kept("POST /v1/apps/shop/secrets/A"),
        json!({"value": VALUE})
    );
    let terraform = home.kept("POST /api/v2/workspaces/ws-1/vars");
    let attributes =
        json!({"key": "A", "value": VALUE, "category": "env", "sensitive": true, "hcl": false});
    assert_eq!(
        terraform,
        json!({"data": {"type": "vars", "attributes": attributes}})
    );
    // What is there is updated. Cloudflare, Vercel and Fly do not say which it was.
    let run = home.push(&["--force", "A", "--json"]).succeeds();
    let document = serde_json::from_str(&run.stdout).unwrap();
    assert_fits("schemas/push.json", &document);
    let told = |target: &str| {
        let all = document.as_array().unwrap().iter();
        let mut found = all.filter(|one| one["target"] == target);
        found.next().unwrap()["result"].clone()
    };
    assert_eq!(
        ["gh", "gl", "fj", "tf", "cf", "ve", "fly"].map(told),
        [
            "updated", "updated", "updated", "updated", "sent", "sent", "sent"
        ]
        .map(|it| json!(it))
    );
    let scope = "filter%5Benvironment_scope%5D=prod%2F*";
    home.kept(&format!(
        "PUT /api/v4/projects/g%2Fsub%2Fp/variables/A?{scope}"
    ));
    assert_eq!(
        home.kept("PATCH /api/v2/workspaces/ws-1/vars/var-1")["data"]["id"],
        "var-1"
    );
}

#[test]
fn github_has_other_places_for_environments_and_organisations() {
    let home = Home::new();
    home.push(&["-f", "A", "-t", "env,org"]).succeeds();
    let environment = "PUT /repos/o/r/environments/live%20one/secrets/A";
    assert_eq!(home.opened(environment), VALUE);
    let organisation = home.kept("PUT /orgs/o/dependabot/secrets/A");
    assert_eq!(organisation["visibility"], "selected");
    assert_eq!(organisation["selected_repository_ids"], json!([1, 2]));
}

#[test]
#[ignore = "needs PyNaCl"]
fn libsodium_opens_what_is_sealed_for_github() {
    let home = Home::new();
    home.push(&["-f", "-t", "gh"]).succeeds();
    let sealed = home.kept("PUT /repos/o/r/actions/secrets/A");
    let python = fnox_core::Env::of_process();
    let python = python
        .var("FNOX_TEST_GITHUB_PYTHON")
        .expect("FNOX_TEST_GITHUB_PYTHON");
    let script = "import base64, sys\nfrom nacl.public import PrivateKey, SealedBox\n\
                  key, sealed = (base64.b64decode(line) for line in sys.stdin.read().split())\n\
                  print(SealedBox(PrivateKey(key)).decrypt(sealed).decode())";
    let key = BASE64.encode(home.key.to_bytes());
    let input = format!("{key} {}", sealed["encrypted_value"].as_str().unwrap());
    let opened = home
        .sandbox
        .run_program(python, ["-c", script])
        .stdin(input);
    assert_eq!(opened.finish().succeeds().stdout.trim(), VALUE);
}

#[test]
fn a_failure_stops_no_other_push_and_is_told_with_its_target() {
    let home = Home::new();
    home.configure("'gh', 'gone', 'fj'");
    let run = home.push(&["-f"]).exits_with(1);
    assert!(run.stderr.contains("✗ A → gone: "), "{run}");
    let as_json = home.push(&["-f", "--json"]).exits_with(1);
    let document: Value = serde_json::from_str(&as_json.stdout).unwrap();
    assert_fits("schemas/push.json", &document);
    let gone = document.as_array().unwrap().iter();
    let gone: Vec<&Value> = gone.filter(|one| one["result"] == "failed").collect();
    assert_eq!((gone.len(), &gone[0]["target"]), (1, &json!("gone")));
    assert!(
        gone[0]["error"].as_str().unwrap().contains("404"),
        "{gone:?}"
    );
    assert!(
        run.stderr.contains("2 of 3 pushed") && run.stderr.contains("cli::push_failed"),
        "{run}"
    );
    for misbehaviour in [
        Misbehaviour::Status(401),
        Misbehaviour::Status(422),
        Misbehaviour::Garbage,
        Misbehaviour::HangUp,
        Misbehaviour::Redirect,
    ] {
        home.configure("'gh'");
        home.services.misbehave(Some(misbehaviour));
        let run = home.push(&["-f"]).exits_with(1);
        assert!(
            run.stderr.contains("0 of 1 pushed"),
            "{misbehaviour:?}: {run}"
        );
    }
}

#[test]
fn nothing_is_sent_without_a_yes_a_token_and_every_value() {
    let home = Home::new();
    let dry = home.push(&["-n", "A", "-t", "gh"]).succeeds();
    assert_eq!(dry.stdout, "[dry-run] A → gh\n");
    let dry = home
        .push(&["-n", "A", "-t", "gh", "--json"])
        .succeeds()
        .stdout;
    let planned = json!([{"secret": "A", "target": "gh", "result": "planned"}]);
    assert_eq!(serde_json::from_str::<Value>(&dry).unwrap(), planned);
    // Nobody can be asked.
    home.push(&[]).exits_with(2);
    home.push(&["-f", "-t", "nowhere"]).exits_with(3);
    home.push(&["-f", "NOTHING"]).exits_with(3);
    home.push(&["-f", "B"]).exits_with(2);
    home.configure("'gh', 'hg'");
    home.push(&["-f"]).exits_with(3);
    home.configure("'gh', 'gl'");
    let told = fails(&home.sandbox, 4, &["push", "-f"]);
    assert!(told.contains("GITLAB_TOKEN"), "{told}");
    let text = home.sandbox.read("fnox.toml");
    home.sandbox.write(
        "fnox.toml",
        text.replace(&format!("value = '{VALUE}', "), ""),
    );
    home.push(&["-f"]).exits_with(5);
    assert!(home.services.requests().is_empty());
    let empty = ok(&sandbox_without_push(), &["push", "-f"]);
    assert_eq!(empty, "");
}

fn sandbox_without_push() -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[secrets]\nA = {}\n");
    sandbox
}
