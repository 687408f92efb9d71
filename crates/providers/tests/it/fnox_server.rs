//! `fnox-server`, against a server that may lie.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnox_api::ApprovalStatus::{Approved, Denied, Expired, Fetched, Pending};
use fnox_api::client::command_hash;
use fnox_core::signed::{SignedPlace, WriterKey, seal};
use fnox_core::{SecretBytes, SecretName, SecretString};
use fnox_providers::{
    ApprovalProgress, Asked, Context, ErrorKind, ProjectContext, Provider, ProviderError, Registry,
    RunRequest, Wait,
};
use fnox_testkit::stand_in::Relay;
use tokio::sync::watch;
use uuid::Uuid;

use crate::bad_server::{Subject, an_outage_is_one, what_is_no_such_service_is};
use crate::conformance::{self, Backend, Checked};
use crate::kinds;
use crate::team_server::{APPROVAL, TeamServer};
use crate::world::{World, named, request};

/// A world with an identity, an identity token, and a server.
struct Setup {
    world: World,
    server: TeamServer,
    writer: WriterKey,
    project: ProjectContext,
    run: Option<RunRequest>,
    /// Secrets without which the run goes on.
    tolerated: Vec<&'static str>,
}

impl Setup {
    async fn new() -> Self {
        let (identity, recipient) = fnox_core::age::generate();
        let mut world = World::new();
        world.set("FNOX_AGE_KEY", identity.expose_secret());
        world.set("FNOX_OIDC_TOKEN", "oidc.a.b");
        Self {
            world,
            server: TeamServer::start(&recipient).await,
            writer: WriterKey::generate().unwrap(),
            project: ProjectContext {
                name: "my-app".to_owned(),
                writers: Vec::new(),
                min_versions: Ok(BTreeMap::new()),
            },
            run: None,
            tolerated: Vec::new(),
        }
    }

    /// The same, and only values of its writer are accepted.
    async fn pinned() -> Self {
        let mut setup = Self::new().await;
        setup.project.writers = vec![setup.writer.public().to_string()];
        setup
    }

    fn signed(&self, writer: &WriterKey, key: &str, version: u64, value: &str) -> Vec<u8> {
        let place = SignedPlace {
            project: &self.project.name,
            profile: "default",
            key,
        };
        let value = SecretBytes::new(value.as_bytes().to_vec());
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let sealed = seal(writer, place, version, now, &value).unwrap();
        sealed.expose_secret().to_vec()
    }

    fn keep_signed(&self, key: &str, version: u64, value: &str) {
        let sealed = self.signed(&self.writer, key, version, value);
        self.server.keep(key, version, sealed);
    }

    fn context(&self) -> Context {
        let mut context = self.world.context();
        context.project = Some(self.project.clone());
        context.run.clone_from(&self.run);
        for name in &self.tolerated {
            let name = SecretName::parse(name).unwrap();
            context.tolerated.missing.insert(name.clone());
            context.tolerated.failing.insert(name);
        }
        context
    }

    fn provider(&self) -> Box<dyn Provider> {
        let keys = format!("type = \"fnox-server\"\nurl = \"{}\"", self.server.url());
        Registry
            .open(&self.world.settings(&keys), &self.context())
            .unwrap()
    }

    async fn get(&self, keys: &[&str]) -> Vec<Result<String, ProviderError>> {
        let requests: Vec<_> = keys.iter().map(|key| named(key, key)).collect();
        let answers = self.provider().get_many(&requests).await;
        let shown = |value: SecretString| value.expose_secret().to_owned();
        answers
            .into_iter()
            .map(|answer| answer.map(shown))
            .collect()
    }

    async fn refusal(&self, key: &str) -> ProviderError {
        let error = self.get(&[key]).await.pop().unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.remedy.is_some(), "{error}");
        error
    }
}

type Spoil = fn(&mut Setup);

#[derive(Debug, Default)]
struct Log {
    told: Mutex<Vec<String>>,
    end: Mutex<Option<watch::Sender<bool>>>,
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    fn push(&self, line: String) {
        self.told.lock().unwrap().push(line);
    }
}

impl ApprovalProgress for Log {
    fn asked(&self, asked: &Asked) {
        self.push(format!("asked {} of {}", asked.code, asked.asked.join(",")));
        if let Some(end) = self.end.lock().unwrap().take() {
            end.send(true).unwrap();
        }
    }

    fn waiting(&self, asked: &Asked, _: Duration) {
        self.push(format!("waiting {}", asked.code));
    }

    fn approved(&self, _: Uuid) {
        self.push("approved".to_owned());
    }

    fn pending_left(&self, id: Uuid) {
        self.push(format!("left {id}"));
    }
}

fn run(log: &Arc<Log>, wait: Wait) -> RunRequest {
    RunRequest {
        argv: ["npm", "publish"].map(Into::into).into(),
        reason: Some("release 7".to_owned()),
        wait,
        resume: None,
        progress: Arc::clone(log) as Arc<dyn ApprovalProgress>,
        cancelled: None,
    }
}

#[tokio::test]
pub(crate) async fn it_reads_as_every_provider_does() -> Checked<kinds::FnoxServer> {
    let mut setup = Setup::new().await;
    setup.tolerated = vec!["A"];
    let existing: Vec<(String, String)> = conformance::values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("KEY_{index}"), value))
        .collect();
    for (key, value) in &existing {
        setup.server.keep(key, 1, value);
    }
    let provider = setup.provider();
    conformance::check(&Backend {
        kind: kinds::FnoxServer,
        provider: provider.as_ref(),
        existing,
        state: &|| setup.server.count("POST /v1/approvals").to_string().into(),
    })
    .await
}

#[tokio::test]
async fn a_batch_is_one_session_one_request_one_person_and_one_fetch() {
    let mut setup = Setup::pinned().await;
    let log = Arc::new(Log::default());
    setup.run = Some(run(&log, Wait::UntilDecided));
    setup.keep_signed("A", 3, "one\n");
    setup.keep_signed("B", 1, "two");
    setup.server.statuses(&[Pending, Approved]);
    let answers = setup.get(&["B", "A", "B"]).await;
    let values: Vec<&str> = answers.iter().map(|it| it.as_deref().unwrap()).collect();
    assert_eq!(values, ["two", "one\n", "two"]);
    for call in [
        "POST /v1/sessions",
        "POST /v1/approvals",
        "POST /v1/grants",
        "POST /v1/fetch",
    ] {
        assert_eq!(setup.server.count(call), 1, "{call}");
    }
    let asked = setup.server.change(|plan| plan.request.clone().unwrap());
    assert_eq!(asked.keys, ["B", "A"]);
    assert_eq!(asked.project, "my-app");
    assert_eq!(asked.profile.as_deref(), Some("default"));
    assert_eq!(asked.command_display, "npm publish");
    assert_eq!(
        asked.command_hash,
        command_hash(&["npm", "publish"].map(Into::into))
    );
    assert_eq!(asked.reason.as_deref(), Some("release 7"));
    assert_eq!(
        log.lines(),
        ["asked K7X2Q9 of ntfy", "waiting K7X2Q9", "approved"]
    );
}

#[tokio::test]
async fn later_batches_use_the_same_session() {
    let setup = Setup::new().await;
    setup.server.keep("A", 1, "v");
    let provider = setup.provider();
    for _ in 0..2 {
        let answers = provider.get_many(&[named("A", "A")]).await;
        assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "v");
    }
    assert_eq!(setup.server.count("POST /v1/sessions"), 1);
    assert_eq!(
        setup
            .server
            .change(|plan| plan.request.clone().unwrap().command_display),
        "fnox get A"
    );
}

#[tokio::test]
async fn a_no_and_an_expiry_and_a_used_approval_are_refusals() {
    for (status, expected) in [
        (Denied, "was denied by alice: not on\\u{1b}[2J a Friday"),
        (Expired, "nobody decided"),
        (Fetched, "was used already"),
    ] {
        let setup = Setup::new().await;
        setup.server.keep("A", 1, "v");
        setup.server.statuses(&[Pending, status]);
        let error = setup.get(&["A"]).await.pop().unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(setup.server.count("POST /v1/grants"), 0);
    }
}

#[tokio::test]
async fn who_does_not_wait_learns_the_id_and_a_later_run_resumes() {
    let mut setup = Setup::new().await;
    let log = Arc::new(Log::default());
    setup.run = Some(run(&log, Wait::No));
    setup.server.keep("A", 1, "v");
    setup.server.statuses(&[Pending]);
    let error = setup.get(&["A"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Pending);
    assert_eq!(error.kind.exit_status().code(), 8);
    assert!(
        error
            .remedy
            .unwrap()
            .contains(&format!("--approval {APPROVAL}"))
    );
    assert_eq!(log.lines()[1], format!("left {APPROVAL}"));
    // The same identity token opens no second session.
    setup.world.set("FNOX_OIDC_TOKEN", "used.up.already");
    setup.server.statuses(&[Approved]);
    let mut resumed = run(&log, Wait::UntilDecided);
    resumed.resume = Some(APPROVAL);
    setup.run = Some(resumed.clone());
    assert_eq!(setup.get(&["A"]).await[0].as_deref(), Ok("v"));
    assert_eq!(setup.server.count("POST /v1/approvals"), 1);
    assert_eq!(setup.server.count("POST /v1/sessions"), 1);
    // What was left for the resumed run is gone.
    let left = setup.world.snapshot();
    assert!(
        !left
            .keys()
            .any(|path| path.to_string_lossy().contains(&APPROVAL.to_string()))
    );
}

#[tokio::test]
async fn an_approval_resumes_no_other_command_and_no_other_keys() {
    let mut setup = Setup::new().await;
    let log = Arc::new(Log::default());
    setup.server.keep("A", 1, "v");
    setup.server.keep("B", 1, "v");
    setup.run = Some(run(&log, Wait::UntilDecided));
    assert!(setup.get(&["A"]).await[0].is_ok());
    let mut resumed = run(&log, Wait::UntilDecided);
    resumed.resume = Some(APPROVAL);
    setup.run = Some(resumed.clone());
    let error = setup.refusal("B").await;
    assert!(error.to_string().contains("another set of keys"), "{error}");
    resumed.argv = vec!["sh".into()];
    setup.run = Some(resumed);
    let error = setup.refusal("A").await;
    assert!(error.to_string().contains("another command"), "{error}");
    assert_eq!(setup.server.count("POST /v1/grants"), 1);
}

#[tokio::test]
async fn whoever_ends_the_run_takes_the_request_back() {
    let mut setup = Setup::new().await;
    let (sender, receiver) = watch::channel(false);
    let log = Arc::new(Log::default());
    *log.end.lock().unwrap() = Some(sender);
    let mut run = run(&log, Wait::UntilDecided);
    run.cancelled = Some(receiver);
    setup.run = Some(run);
    setup.server.keep("A", 1, "v");
    setup.server.statuses(&[Pending]);
    let error = setup.get(&["A"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Interrupted, "{error}");
    assert_eq!(error.kind.exit_status().code(), 130);
    assert_eq!(setup.server.count("DELETE /v1/approvals/ID"), 1);
    assert_eq!(setup.server.count("POST /v1/fetch"), 0);
}

#[tokio::test]
async fn nobody_is_asked_for_a_run_that_cannot_start() {
    let mut setup = Setup::new().await;
    setup.server.keep("A", 1, "v");
    setup.server.statuses(&[Pending, Approved]);
    let answers = setup.get(&["A", "GONE"]).await;
    for answer in &answers {
        let error = answer.as_ref().unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.to_string().contains("GONE"), "{error}");
    }
    assert_eq!(setup.server.asked_keys(), [""; 0]);
    // Where the run goes on without it, the others are asked for.
    setup.server.keep("FORBIDDEN_B", 1, "v");
    setup.tolerated = vec!["GONE", "FORBIDDEN_B"];
    let answers = setup.get(&["GONE", "A", "FORBIDDEN_B"]).await;
    assert_eq!(answers[1].as_deref(), Ok("v"));
    assert_eq!(answers[0].as_ref().unwrap_err().kind, ErrorKind::NotFound);
    let error = answers[2].as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.to_string().contains("(claim ref)"), "{error}");
    assert_eq!(setup.server.asked_keys(), ["A"]);
}

#[tokio::test]
async fn a_server_cannot_swap_values() {
    let setup = Setup::pinned().await;
    setup.keep_signed("A", 5, "of a");
    setup.keep_signed("B", 5, "of b");
    setup
        .server
        .change(|plan| plan.swaps = [("A".to_owned(), "B".to_owned())].into());
    let error = setup.refusal("A").await;
    assert!(
        error.to_string().contains("signed for the key `B`"),
        "{error}"
    );
    // Not even where nobody is pinned.
    let mut careless = setup;
    careless.project.writers.clear();
    careless.refusal("A").await;
    careless.project.name = "other".to_owned();
    careless.refusal("B").await;
}

#[tokio::test]
async fn a_server_cannot_roll_back_what_was_seen() {
    let mut setup = Setup::pinned().await;
    setup.keep_signed("A", 5, "old");
    assert_eq!(setup.get(&["A"]).await[0].as_deref(), Ok("old"));
    setup.keep_signed("A", 6, "new");
    assert_eq!(setup.get(&["A"]).await[0].as_deref(), Ok("new"));
    setup.keep_signed("A", 5, "old");
    let error = setup.refusal("A").await;
    assert!(error.to_string().contains("version 6 or later"), "{error}");
    // What is refused is not remembered as seen, and the number that a server makes up counts nothing.
    let old = setup.signed(&setup.writer, "A", 5, "old");
    setup.server.keep("A", 9, old);
    setup.refusal("A").await;
    setup.keep_signed("A", 7, "newest");
    assert_eq!(setup.get(&["A"]).await[0].as_deref(), Ok("newest"));
    // A runner that remembers nothing has a least version.
    setup.world.set(
        "FNOX_STATE_DIR",
        setup.world.path("fresh").display().to_string(),
    );
    setup.project.min_versions = Ok([("A".to_owned(), 8)].into());
    setup.refusal("A").await;
}

#[tokio::test]
async fn an_old_value_that_is_stored_anew_is_refused_at_the_first_sight() {
    let setup = Setup::pinned().await;
    let old = setup.signed(&setup.writer, "A", 5, "old");
    setup.server.keep("A", 9, old);
    let error = setup.refusal("A").await;
    assert!(error.to_string().contains("signed version 5"), "{error}");
}

#[tokio::test]
async fn a_server_cannot_make_values_up() {
    let setup = Setup::pinned().await;
    setup.server.keep("A", 1, "made up");
    let error = setup.refusal("A").await;
    assert!(error.to_string().contains("not signed"), "{error}");
    let stranger = WriterKey::generate().unwrap();
    setup
        .server
        .keep("A", 1, setup.signed(&stranger, "A", 1, "made up"));
    let error = setup.refusal("A").await;
    assert!(
        error.to_string().contains(&stranger.public().to_string()),
        "{error}"
    );
    let mut changed = setup.signed(&setup.writer, "A", 1, "made up");
    *changed.last_mut().unwrap() ^= 1;
    setup.server.keep("A", 1, changed);
    setup.refusal("A").await;
}

#[tokio::test]
async fn without_pinned_writers_plain_and_signed_values_are_accepted_and_a_preview_says_so() {
    let setup = Setup::new().await;
    setup.server.keep("A", 1, "plain");
    setup.keep_signed("B", 1, "signed");
    let answers = setup.get(&["A", "B"]).await;
    assert_eq!(answers[0].as_deref(), Ok("plain"));
    assert_eq!(answers[1].as_deref(), Ok("signed"));
    setup.server.statuses(&[Pending]);
    let requests = [request("A"), request("GONE")];
    let previews = setup.provider().preview(&requests).await;
    let preview = previews[0].as_ref().unwrap();
    assert!(preview.needs_approval && preview.version == Some(1));
    assert!(
        preview.notes[0].contains("writer is not verified"),
        "{preview:?}"
    );
    assert!(previews[1].is_err());
    assert_eq!(setup.server.count("POST /v1/approvals"), 1);
}

#[tokio::test]
async fn a_server_that_withholds_a_value_is_told_from_one_that_has_none() {
    let setup = Setup::new().await;
    setup.server.keep("A", 1, "v");
    setup.server.keep("B", 1, "v");
    setup
        .server
        .change(|plan| plan.withheld = vec!["B".to_owned()]);
    for answer in setup.get(&["A", "B"]).await {
        assert_eq!(answer.unwrap_err().kind, ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn a_value_for_somebody_else_names_the_identities_that_were_tried() {
    let mut setup = Setup::new().await;
    setup.server.keep("A", 1, "v");
    let (other, _) = fnox_core::age::generate();
    setup.world.set("FNOX_AGE_KEY", other.expose_secret());
    let error = setup.get(&["A"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.to_string().contains("FNOX_AGE_KEY"), "{error}");
    assert!(!error.to_string().contains("AGE-SECRET"), "{error}");
}

#[tokio::test]
async fn a_kept_login_is_used_for_its_own_server_while_it_lives_and_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut setup = Setup::new().await;
    setup.world.set("FNOX_OIDC_TOKEN", "");
    setup.server.keep("A", 1, "v");
    let error = setup.get(&["A"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.remedy.unwrap().contains("fnox login --server"));
    let url = setup.server.url();
    let hash = blake3::hash(url.as_bytes()).to_hex();
    let state = setup.context().folders.state;
    std::fs::create_dir_all(state.join("sessions")).unwrap();
    let path = state.join(format!("sessions/{hash}.json"));
    let write = |server: &str, expires: &str, mode: u32| {
        let text = format!(
            r#"{{"server":"{server}","token":"fxs_kept","expires_at":"{expires}","principal":"alice"}}"#
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let later = "2100-01-01T00:00:00Z";
    for (server, expires, mode) in [
        ("https://other.example", later, 0o600),
        (&*url, "2001-01-01T00:00:00Z", 0o600),
        (&*url, later, 0o644),
    ] {
        write(server, expires, mode);
        assert!(
            setup.get(&["A"]).await[0].is_err(),
            "{server} {expires} {mode:o}"
        );
    }
    write(&url, later, 0o600);
    assert_eq!(setup.get(&["A"]).await[0].as_deref(), Ok("v"));
    assert_eq!(setup.server.count("POST /v1/sessions"), 0);
    setup.provider().check().await.unwrap();
}

#[tokio::test]
async fn a_session_that_ends_while_waiting_is_renewed_where_the_ci_gives_new_tokens() {
    let mut setup = Setup::new().await;
    setup.world.set("FNOX_OIDC_TOKEN", "");
    let token = setup.world.write("token", "oidc.a.b\n");
    setup
        .world
        .set("FNOX_OIDC_TOKEN_FILE", token.display().to_string());
    setup.server.keep("A", 1, "v");
    setup.server.statuses(&[Pending, Approved]);
    setup.server.change(|plan| plan.session_ends = true);
    assert_eq!(setup.get(&["A"]).await[0].as_deref(), Ok("v"));
    assert_eq!(setup.server.count("POST /v1/sessions"), 2);
}

#[tokio::test]
async fn what_is_wrong_in_the_project_is_said_before_anybody_is_asked() {
    let cases: [(&str, Spoil); 5] = [
        ("[project] name", |setup| {
            setup.project.name = "a/b".to_owned();
        }),
        ("[project] writers", |setup| {
            setup.project.writers = vec!["fxwp_x".to_owned()];
        }),
        ("min_versions", |setup| {
            setup.project.min_versions = Err("no table".to_owned());
        }),
        ("without `[project] writers`", |setup| {
            setup.project.min_versions = Ok([("A".to_owned(), 1)].into());
        }),
        ("belong to one profile", |setup| {
            setup.world.profile = "a,b".to_owned();
        }),
    ];
    for (expected, spoil) in cases {
        let mut setup = Setup::new().await;
        spoil(&mut setup);
        let error = setup.get(&["A"]).await.pop().unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(setup.server.count("POST /v1/sessions"), 0);
    }
}

#[tokio::test]
async fn checking_leaves_a_token_that_is_good_for_one_session_alone() {
    let setup = Setup::new().await;
    setup.provider().check().await.unwrap();
    assert_eq!(setup.server.count("GET /healthz"), 1);
    assert_eq!(setup.server.count("POST /v1/sessions"), 0);
}

#[tokio::test]
async fn an_outage_of_the_server_is_one_and_a_slow_server_is_waited_for() {
    let mut setup = Setup::new().await;
    setup.server.keep("A", 1, "v");
    setup.world.project = Some(setup.project);
    let relay = Relay::before(&setup.server.url());
    let mut subject = Subject {
        server: &relay,
        world: setup.world,
        keys: format!("type = \"fnox-server\"\nurl = \"{}\"", relay.url()),
        reference: "A",
        secrets: &["oidc.a.b"],
    };
    an_outage_is_one(&mut subject).await;
    // A wrong `url` is likelier than anything else.
    what_is_no_such_service_is(ErrorKind::Misconfigured, &subject).await;
}
