//! The login command that is offered on a terminal: when, with which words, and what happens after it.

use std::sync::Arc;

use fnox_core::SecretName;
use fnox_providers::ErrorKind;
use fnox_providers::resolve::{Options, Resolution, ResolveError, Resolver};
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::vault::Vault;

use crate::world::{Person, World};

/// `vault login`, which logs in where the variables say and leaves the token where Vault's own program does.
const VAULT: &str = r#"
echo "$* $VAULT_ADDR $VAULT_NAMESPACE" >> "$HOME/argv"
[ "$1" = login ] && printf %s "$TOKEN_OF_LOGIN" > "$HOME/.vault-token"
"#;

const SECRETS: &str = "\n[secrets]\nA = { provider = \"p\", value = \"app/password\" }\n\
                       B = { provider = \"p\", value = \"app/password\" }\n";

/// Resolves both secrets with somebody at the terminal who says yes.
async fn resolve(world: &World, keys: &str) -> (Result<Resolution, ResolveError>, Arc<Person>) {
    let person = Person::answering("");
    let config = world.config(&format!("[providers.p]\n{keys}{SECRETS}"));
    let options = Options {
        prompt: Arc::clone(&person) as _,
        prompt_auth: true,
        ..world.options()
    };
    let names: Vec<SecretName> = config.secrets.keys().cloned().collect();
    let outcome = Resolver::new(&config, options).resolve(&names).await;
    (outcome, person)
}

fn vault() -> (Issuer<Vault>, World, String) {
    let server = Issuer::start(Vault::new());
    let mut world = World::new();
    world.program("vault", VAULT);
    world.set("TOKEN_OF_LOGIN", Vault::GIVEN);
    let keys = format!(
        "type = \"vault\"\npath = \"kv\"\naddress = \"{}\"\n",
        server.url()
    );
    (server, world, keys)
}

fn needs_authentication(outcome: Result<Resolution, ResolveError>) -> String {
    match outcome {
        Err(ResolveError::Provider { error, .. }) => {
            assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_use_of_vault_and_a_token_that_ended_end_in_a_login() {
    for token in [None, Some("hvs.ended")] {
        let (server, world, keys) = vault();
        if let Some(token) = token {
            world.write(".vault-token", token);
        }
        let (outcome, person) = resolve(&world, &keys).await;
        let resolution = outcome.unwrap();
        for value in resolution.values.values() {
            assert_eq!(value.expose_secret(), "kv-one-password", "{token:?}");
        }
        assert_eq!(resolution.values.len(), 2);
        assert_eq!(person.questions(), ["Run `vault login` now?"], "{token:?}");
        assert_eq!(
            world.read("argv"),
            format!("login {} \n", server.url()),
            "{token:?}"
        );
        assert_eq!(server.complaints(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_login_that_does_not_help_is_offered_once() {
    let (_server, mut world, keys) = vault();
    world.set("TOKEN_OF_LOGIN", "hvs.of-another-vault");
    let (outcome, person) = resolve(&world, &keys).await;
    needs_authentication(outcome);
    assert_eq!(person.questions().len(), 1);
    world.program("vault", "exit 3");
    let (outcome, person) = resolve(&world, &keys).await;
    needs_authentication(outcome);
    assert_eq!(person.questions().len(), 1);
}

#[tokio::test]
async fn a_login_whose_token_would_not_be_used_is_not_offered() {
    for more in [
        "token = \"hvs.ended\"",
        "token_file = \"token\"",
        "credential_command = \"exit 1\"",
        "auth = \"approle\"\nrole_id = \"r\"",
        "auth = \"userpass\"\nusername = \"ada\"",
    ] {
        let (_server, world, keys) = vault();
        world.write("token", "hvs.ended");
        let (outcome, person) = resolve(&world, &format!("{keys}{more}")).await;
        needs_authentication(outcome);
        assert_eq!(person.questions(), Vec::<String>::new(), "{more}");
    }
    let (_server, mut world, keys) = vault();
    world.set("VAULT_TOKEN", "hvs.ended");
    let (outcome, person) = resolve(&world, &keys).await;
    needs_authentication(outcome);
    assert_eq!(person.questions(), Vec::<String>::new());
    let infisical = "type = \"infisical\"\nproject_id = \"7e2f1a64\"\n";
    let (outcome, person) = resolve(&World::new(), infisical).await;
    needs_authentication(outcome);
    assert_eq!(person.questions(), Vec::<String>::new());
}

#[tokio::test]
async fn a_command_of_the_configuration_is_run_as_it_is_written() {
    let (_server, world, keys) = vault();
    let command = "printf %s \\\"$TOKEN_OF_LOGIN\\\" > \\\"$HOME/token\\\"";
    let more = format!("token_file = \"token\"\nauth_command = \"{command}\"");
    let (outcome, person) = resolve(&world, &format!("{keys}{more}")).await;
    assert_eq!(outcome.unwrap().values.len(), 2);
    assert_eq!(person.questions().len(), 1);
}

#[tokio::test]
async fn the_login_at_aws_is_that_of_the_profile() {
    for (more, option) in [
        ("profile = \"dev\"", " --profile dev"),
        (
            "profile = \"my {{ fnox.profile }}\"",
            " --profile 'my default'",
        ),
    ] {
        let world = World::new();
        world.program("aws", "echo \"$*\" > \"$HOME/argv\"; exit 1");
        let keys = format!("type = \"aws-sm\"\nregion = \"eu-central-1\"\n{more}");
        let (outcome, person) = resolve(&world, &keys).await;
        needs_authentication(outcome);
        assert_eq!(
            person.questions(),
            [format!("Run `aws sso login{option}` now?")]
        );
        let argv = format!("sso login{}\n", option.replace('\'', ""));
        assert_eq!(world.read("argv"), argv);
    }
}

/// `bw` as far as its help and "Session management" tell: a session is printed, and commands want it in the environment.
const BW: &str = r#"
echo "$* $BITWARDENCLI_APPDATA_DIR" >> "$HOME/argv"
case "$*" in
  'unlock --raw') [ -z "$BW_NOINTERACTION" ] || exit 9
    [ -z "$LOGGED_OUT" ] || { echo "You are not logged in." >&2; exit 1; }
    echo '? Master password: [input is hidden]' >&2; echo "$SESSION_OF_LOGIN" ;;
  'login --raw') [ -n "$LOGGED_OUT" ] || exit 9; echo "$SESSION_OF_LOGIN" ;;
  'list items') [ "$BW_SESSION" = "a+session/of==" ] || { echo "Vault is locked." >&2; exit 1; }
    echo '[{"id": "1", "name": "app", "type": 1, "fields": [], "login": {"username": "u", "password": "bw-password"}}]' ;;
  *) exit 9 ;;
esac
"#;

const BW_OFFER: &str = "Run `bw unlock --raw || bw login --raw` now?";

fn bitwarden(session: &str) -> World {
    let mut world = World::new();
    world.program("bw", BW);
    world.set("SESSION_OF_LOGIN", session);
    world
}

#[tokio::test]
async fn a_session_of_bitwarden_is_used_in_the_run_whose_login_printed_it() {
    for (variables, more, calls) in [
        (&[][..], "", "unlock --raw \nlist items \n"),
        (
            &[("LOGGED_OUT", "1")],
            "",
            "unlock --raw \nlogin --raw \nlist items \n",
        ),
        (
            &[("FNOX_BW_SESSION", "ended")],
            "",
            "list items \nunlock --raw \nlist items \n",
        ),
        (
            &[("XDG_CONFIG_HOME", "/c")],
            "profile = \"work\"",
            "unlock --raw /c/Bitwarden CLI work\nlist items /c/Bitwarden CLI work\n",
        ),
    ] {
        let mut world = bitwarden("a+session/of==");
        for (name, value) in variables {
            world.set(name, *value);
        }
        let (outcome, person) = resolve(&world, &format!("type = \"bitwarden\"\n{more}")).await;
        let resolution = outcome.unwrap();
        for value in resolution.values.values() {
            assert_eq!(value.expose_secret(), "bw-password");
        }
        assert_eq!(resolution.values.len(), 2);
        assert_eq!(person.questions(), [BW_OFFER]);
        assert_eq!(world.read("argv"), calls);
        let messages = person.messages();
        assert!(messages[0].contains("needs authentication"), "{messages:?}");
        assert!(messages[1].contains("in this run alone"), "{messages:?}");
        assert!(!messages.concat().contains("a+session"), "{messages:?}");
    }
}

#[tokio::test]
async fn what_is_no_session_or_opens_nothing_is_offered_once_and_said() {
    for (session, said) in [
        ("", "something else than a session"),
        ("You are logged in!", "something else than a session"),
        ("another==", "in this run alone"),
    ] {
        let world = bitwarden(session);
        let (outcome, person) = resolve(&world, "type = \"bitwarden\"").await;
        needs_authentication(outcome);
        assert_eq!(person.questions(), [BW_OFFER], "{session}");
        let messages = person.messages();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[1].contains(said), "{messages:?}");
    }
}

#[tokio::test]
async fn rbw_is_unlocked_by_its_own_command() {
    let mut world = World::new();
    let script = "echo \"$1 $RBW_PROFILE\" >> \"$HOME/argv\"\n\
                  [ \"$1\" = unlock ] && exec touch \"$HOME/unlocked\"\n\
                  [ -e \"$HOME/unlocked\" ] || { echo 'rbw: agent is locked' >&2; exit 1; }\n\
                  [ \"$1\" = list ] && printf '1\\tapp\\t\\n'\n\
                  [ \"$1\" = get ] && echo '{\"id\": \"1\", \"name\": \"app\", \"data\": {\"password\": \"p\"}, \"fields\": []}'\nexit 0";
    world.program("rbw", script);
    world.set("BW_SESSION", "");
    let keys = "type = \"bitwarden\"\nbackend = \"rbw\"\nprofile = \"work\"";
    let (outcome, person) = resolve(&world, keys).await;
    assert_eq!(outcome.unwrap().values.len(), 2);
    assert_eq!(person.questions(), ["Run `rbw unlock` now?"]);
    assert!(
        world.read("argv").contains("unlock work\n"),
        "{}",
        world.read("argv")
    );
}
