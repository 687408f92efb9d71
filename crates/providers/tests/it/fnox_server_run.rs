//! A whole run's secrets, some of them from a team server: what `[project]`, defaults and `if_missing` mean for it.

use std::sync::Arc;

use fnox_api::ApprovalStatus::Pending;
use fnox_config::Config;
use fnox_core::signed::{SignedPlace, WriterKey, seal};
use fnox_core::{SecretName, SecretString};
use fnox_providers::resolve::{Resolution, ResolveError, Resolver};
use fnox_providers::{NoProgress, RunRequest, Wait};

use crate::team_server::TeamServer;
use crate::world::World;

struct Run {
    world: World,
    server: TeamServer,
}

impl Run {
    async fn new() -> Self {
        let (identity, recipient) = fnox_core::age::generate();
        let mut world = World::new();
        world.set("FNOX_AGE_KEY", identity.expose_secret());
        world.set("FNOX_OIDC_TOKEN", "oidc.a.b");
        let server = TeamServer::start(&recipient).await;
        Self { world, server }
    }

    fn config(&self, text: &str) -> Config {
        let url = self.server.url();
        let provider =
            format!("[providers]\nteam = {{ type = \"fnox-server\", url = \"{url}\" }}\n");
        self.world.config(&format!("{text}{provider}"))
    }

    async fn resolve(&self, text: &str, wait: Wait) -> Result<Resolution, ResolveError> {
        let config = self.config(text);
        let names: Vec<SecretName> = config.secrets.keys().cloned().collect();
        let run = RunRequest {
            argv: vec!["true".into()],
            reason: None,
            wait,
            resume: None,
            progress: Arc::new(NoProgress),
            cancelled: None,
        };
        Resolver::new(&config, self.world.options())
            .for_run(run)
            .resolve(&names)
            .await
    }
}

const PROJECT: &str = "[project]\nname = \"my-app\"\n";

#[tokio::test]
async fn a_pending_approval_ends_the_run_even_where_there_is_a_default() {
    let run = Run::new().await;
    run.server.keep("A", 1, "v");
    run.server.statuses(&[Pending]);
    let text = format!(
        "{PROJECT}[secrets]\nA = {{ provider = \"team\", default = \"weak\", if_missing = \"ignore\" }}\n"
    );
    let error = run.resolve(&text, Wait::No).await.unwrap_err();
    assert_eq!(error.code(), "provider::approval_pending");
    assert_eq!(error.exit_status().code(), 8);
}

#[tokio::test]
async fn a_secret_that_may_be_missing_does_not_spoil_the_others() {
    let run = Run::new().await;
    run.server.keep("A", 1, "v");
    let secrets = |missing: &str| {
        format!(
            "{PROJECT}[secrets]\nA = {{ provider = \"team\" }}\nGONE = {{ provider = \"team\"{missing} }}\n"
        )
    };
    let text = secrets(", if_missing = \"error\"");
    let error = run.resolve(&text, Wait::UntilDecided).await.unwrap_err();
    assert_eq!(error.exit_status().code(), 5, "{error}");
    assert_eq!(run.server.asked_keys(), [""; 0], "nobody was asked");
    let text = secrets(", default = \"d\"");
    let resolved = run.resolve(&text, Wait::UntilDecided).await.unwrap();
    let values: Vec<&str> = resolved
        .values
        .values()
        .map(SecretString::expose_secret)
        .collect();
    assert_eq!(values, ["v", "d"]);
}

#[tokio::test]
async fn the_project_s_writers_and_least_versions_reach_the_provider() {
    let run = Run::new().await;
    let writer = WriterKey::generate().unwrap();
    let place = SignedPlace {
        project: "my-app",
        profile: "default",
        key: "A",
    };
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let value = fnox_core::SecretBytes::new(b"v".to_vec());
    let sealed = seal(&writer, place, 3, now, &value).unwrap();
    run.server.keep("A", 3, sealed.expose_secret());
    let text = |least: u32| {
        format!(
            "{PROJECT}writers = [\"{}\"]\nmin_versions = {{ A = {least} }}\n[secrets]\nA = {{ provider = \"team\" }}\n",
            writer.public()
        )
    };
    assert!(run.resolve(&text(3), Wait::UntilDecided).await.is_ok());
    let error = run.resolve(&text(4), Wait::UntilDecided).await.unwrap_err();
    assert_eq!(error.exit_status().code(), 7, "{error}");
}
