//! `cloudflare` against a strict stand-in, and the stand-in against Cloudflare's own library.

use fnox_core::lease::LeaseState;
use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::RevocationOutcome;
use fnox_testkit::stand_in::cloudflare::Cloudflare;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use serde_json::{Value, json};

use crate::matrix::{self, Subject};
use crate::support::{Project, minted};

const MASTER: &str = "CLOUDFLARE_API_TOKEN";

/// One policy with an id, so that nothing has to be looked up.
const BY_ID: &str = "[[leases.x.policies]]\npermission_groups = ['4755a26eedb94da69e1066d98aa820be']\n\
                     resources = { 'com.cloudflare.api.account.zone.*' = '*' }";

fn lease(cloudflare: &Issuer<Cloudflare>, more: &str) -> String {
    let url = cloudflare.url();
    format!("type = 'cloudflare'\napi_base = '{url}/client/v4'\n{more}\n")
}

fn project(cloudflare: &Issuer<Cloudflare>, more: &str) -> Project {
    let text = format!("[leases.x]\n{}", lease(cloudflare, more));
    Project::with_env(&text, &[(MASTER, Cloudflare::MASTER)])
}

fn of_account(more: &str) -> String {
    let account = Cloudflare::ACCOUNT;
    format!("token_type = 'account'\naccount_id = '{account}'\n{more}")
}

async fn made(cloudflare: &Issuer<Cloudflare>, project: &Project) -> Value {
    let held = match project.exec("x").await {
        Ok(acquired) => minted(acquired),
        Err(error) => panic!("{error}; {:?}", cloudflare.complaints()),
    };
    let value = held.credential.variables[0].1.expose_secret();
    cloudflare.change(|service| service.token(value).unwrap().body.clone())
}

#[tokio::test]
async fn it_fails_closed_with_ids_with_names_and_with_a_copy() {
    let by_name = BY_ID.replace(Cloudflare::DNS_WRITE, "DNS Write");
    for (more, env, leaves_intents) in [
        (BY_ID.to_owned(), MASTER, true),
        (of_account(BY_ID), "CF_API_TOKEN", true),
        // What is asked before the creation issues nothing.
        (by_name, MASTER, false),
        (String::new(), MASTER, false),
    ] {
        let cloudflare = Issuer::start(Cloudflare::new());
        matrix::fails_closed(&Subject {
            issuer: &cloudflare,
            lease: lease(&cloudflare, &more),
            env: vec![(env.to_owned(), Cloudflare::MASTER.to_owned())],
            masters: vec![Cloudflare::MASTER.to_owned()],
            produces: vec![MASTER],
            tells_expiry: true,
            leaves_intents,
        })
        .await;
    }
}

#[tokio::test]
async fn a_token_can_do_what_the_lease_says_and_no_more() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let account = Cloudflare::ACCOUNT;
    let project = project(
        &cloudflare,
        &of_account(
            "duration = '10m'\nallowed_ips = ['192.0.2.0/24', '2001:db8::1']\ndenied_ips = ['192.0.2.7']\n\
             env_var = 'CF_TOKEN'\n\
             [[leases.x.policies]]\npermission_groups = ['dns write', { name = 'DNS Read' }]\n\
             [leases.x.policies.resources.'com.cloudflare.api.account.{account_id}']\n\
             'com.cloudflare.api.account.zone.*' = '*'\n\
             [[leases.x.policies]]\neffect = 'deny'\n\
             permission_groups = [{ id = '4755a26eedb94da69e1066d98aa820be' }]\n\
             resources = { 'com.cloudflare.api.account.{account_id}' = '*' }",
        ),
    );
    let held = minted(project.exec("x").await.unwrap());
    let value = held
        .credential
        .variable("CF_TOKEN")
        .unwrap()
        .expose_secret();
    let token = cloudflare.change(|service| service.token(value).unwrap().clone());
    assert_eq!(token.owner, account);
    let resource = format!("com.cloudflare.api.account.{account}");
    assert_eq!(
        token.body["policies"],
        json!([
            {
                "effect": "allow",
                "permission_groups": [
                    {"id": Cloudflare::DNS_WRITE},
                    {"id": "82e64a83756745bbbb1c9c2701bf816b"},
                ],
                "resources": {resource.clone(): {"com.cloudflare.api.account.zone.*": "*"}},
            },
            {
                "effect": "deny",
                "permission_groups": [{"id": Cloudflare::DNS_WRITE}],
                "resources": {resource: "*"},
            },
        ])
    );
    assert_eq!(
        token.body["condition"],
        json!({"request_ip": {"in": ["192.0.2.0/24", "2001:db8::1"], "not_in": ["192.0.2.7"]}})
    );
    let name = token.body["name"].as_str().unwrap();
    assert!(
        name.starts_with("fnox-lease-fnox-exec-x-cloudflare-"),
        "{name}"
    );
    // The issuer's own end, in whole seconds.
    let end = held.credential.expires_at.unwrap();
    assert_eq!(token.body["expires_on"], json!(end.to_string()));
    let left = end.duration_since(project.clock.now()).as_secs();
    assert!((599..=600).contains(&left), "{left}");
    assert!(held.withhold.contains(&"CLOUDFLARE_API_KEY".to_owned()));
    assert_eq!(cloudflare.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn one_name_of_two_groups_is_told_by_the_resources() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let policy = |resource: &str| {
        format!(
            "[[leases.x.policies]]\npermission_groups = ['Access: Apps and Policies Read']\nresources = {{ '{resource}' = '*' }}"
        )
    };
    for (resource, id) in [
        (
            "com.cloudflare.api.account.zone.*",
            Cloudflare::ACCESS_OF_ZONES,
        ),
        (
            "com.cloudflare.api.account.*",
            Cloudflare::ACCESS_OF_ACCOUNTS,
        ),
    ] {
        let body = made(&cloudflare, &project(&cloudflare, &policy(resource))).await;
        assert_eq!(
            body["policies"][0]["permission_groups"],
            json!([{"id": id}])
        );
    }
    let error = project(&cloudflare, &policy("com.cloudflare.edge.r2.bucket.x"))
        .exec("x")
        .await
        .unwrap_err();
    let help = error.help().unwrap();
    assert!(help.contains(Cloudflare::ACCESS_OF_ZONES), "{help}");
    assert!(error.location().is_some(), "{error}");
}

#[tokio::test]
async fn an_unknown_name_is_an_error_with_the_nearest_one() {
    let cloudflare = Issuer::start(Cloudflare::new());
    for (name, wanted) in [
        // As the dashboard calls it.
        ("DNS Edit", "did you mean `DNS Write`?"),
        ("DNS Reed", "did you mean `DNS Read`?"),
        ("zzz", "API token permissions"),
    ] {
        let more = BY_ID.replace(Cloudflare::DNS_WRITE, name);
        let error = project(&cloudflare, &more).exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Configuration, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.help().unwrap().contains(wanted), "{:?}", error.help());
    }
    assert_eq!(cloudflare.change(|service| service.tokens().len()), 0);
}

#[tokio::test]
async fn a_copy_of_the_master_cannot_make_tokens_and_works_where_the_master_does() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let condition = json!({"request_ip": {"in": ["198.51.100.0/24"]}});
    cloudflare.change(|service| service.own_condition = Some(condition.clone()));
    let body = made(&cloudflare, &project(&cloudflare, "")).await;
    assert_eq!(
        body["policies"],
        json!([{
            "effect": "allow",
            "permission_groups": [{"id": Cloudflare::DNS_WRITE}],
            "resources": {"com.cloudflare.api.account.zone.*": "*"},
        }])
    );
    assert_eq!(body["condition"], condition);
    let narrowed = made(
        &cloudflare,
        &project(&cloudflare, "allowed_ips = ['198.51.100.7']"),
    )
    .await;
    assert_eq!(
        narrowed["condition"],
        json!({"request_ip": {"in": ["198.51.100.7"]}})
    );

    // Nothing is left, or nobody knows what it is: no token.
    for (policies, wanted) in [
        (
            json!([{
                "effect": "allow",
                "permission_groups": [{"id": "686d18d5ac6c441c867cbf6771e58a0a", "name": "API Tokens Write"}],
                "resources": {"com.cloudflare.api.user.x": "*"},
            }]),
            "nothing but make tokens",
        ),
        (
            json!([{
                "effect": "allow",
                "permission_groups": [{"id": "686d18d5ac6c441c867cbf6771e58a0a"}],
                "resources": {"com.cloudflare.api.user.x": "*"},
            }]),
            "does not tell the names",
        ),
    ] {
        let before = cloudflare.change(|service| service.tokens().len());
        cloudflare.change(|service| service.own_policies = policies);
        let error = project(&cloudflare, "").exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(error.help().unwrap().contains("`policies`"), "{error}");
        assert_eq!(cloudflare.change(|service| service.tokens().len()), before);
    }
    assert_eq!(cloudflare.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_whose_answer_was_lost_is_found_by_its_name_and_deleted() {
    for more in [BY_ID.to_owned(), of_account(BY_ID)] {
        let cloudflare = Issuer::start(Cloudflare::new());
        cloudflare.change(|service| {
            service.page_limit = 2;
            for name in ["a", "b", "fnox-lease-x-cloudflare-0000000000000000"] {
                service.add(name);
            }
        });
        let before = cloudflare.change(|service| service.tokens().len());
        let project = project(&cloudflare, &more);
        cloudflare.misbehave(Some(Misbehaviour::HangUp));
        project.exec("x").await.unwrap_err();
        cloudflare.misbehave(None);
        assert_eq!(
            cloudflare.change(|service| service.tokens().len()),
            before + 1
        );
        let records = project.manager().list().await.unwrap();
        assert_eq!(records[0].state, LeaseState::Pending);

        let report = project.manager().cleanup().await.unwrap();
        assert!(report.failure().is_none(), "{report:?}");
        assert_eq!(report.settled.len(), 1);
        assert_eq!(cloudflare.change(|service| service.tokens().len()), before);
        assert!(
            project
                .manager()
                .cleanup()
                .await
                .unwrap()
                .settled
                .is_empty()
        );
        assert_eq!(cloudflare.complaints(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn deleting_is_done_once_and_a_failure_is_tried_again() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let project = project(&cloudflare, BY_ID);
    minted(project.exec("x").await.unwrap());
    for misbehaviour in [
        Misbehaviour::Status(403),
        Misbehaviour::Status(500),
        Misbehaviour::HangUp,
    ] {
        cloudflare.misbehave(Some(misbehaviour));
        let revoked = project.manager().revoke("x").await.unwrap();
        assert!(revoked[0].failure().is_some(), "{misbehaviour:?}");
    }
    cloudflare.misbehave(None);
    // The one that hung up had done its work: 404 now.
    assert_eq!(cloudflare.change(|service| service.tokens().len()), 0);
    let report = project.manager().cleanup().await.unwrap();
    assert!(report.failure().is_none(), "{report:?}");
    let records = project.manager().list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Revoked);

    minted(project.exec("x").await.unwrap());
    let revoked = project.manager().revoke("x").await.unwrap();
    assert!(
        matches!(revoked[0].outcome, RevocationOutcome::Revoked),
        "{revoked:?}"
    );
    assert_eq!(cloudflare.change(|service| service.tokens().len()), 0);
    assert_eq!(cloudflare.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_cloudflare_refuses_is_explained_with_its_code() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let text = format!("[leases.x]\n{}", lease(&cloudflare, BY_ID));
    let stranger = Project::with_env(&text, &[(MASTER, "not-the-master-0123")]);
    let error = stranger.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(
        error.to_string().contains("status 403, code 9109"),
        "{error}"
    );
    assert!(error.help().unwrap().contains(MASTER), "{error}");

    cloudflare.change(|service| service.may_create = false);
    let error = project(&cloudflare, BY_ID).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    assert!(
        error.help().unwrap().contains("User > API Tokens > Edit"),
        "{error}"
    );
    cloudflare.change(|service| service.may_create = true);

    let unknown = "0".repeat(32);
    let more = BY_ID.replace(Cloudflare::DNS_WRITE, &unknown);
    let error = project(&cloudflare, &more).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.to_string().contains("code 1001"), "{error}");
    assert!(error.location().is_some(), "{error}");

    let more = format!("token_type = 'account'\naccount_id = '{unknown}'\n{BY_ID}");
    let error = project(&cloudflare, &more).exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.help().unwrap().contains("account"), "{error}");

    let behind = project(&cloudflare, &format!("duration = '1m'\n{BY_ID}"));
    let past = behind.clock.now() - jiff::SignedDuration::from_mins(10);
    behind.clock.set_wall(past);
    let error = behind.exec("x").await.unwrap_err();
    assert!(error.help().unwrap().contains("clock"), "{error}");
    assert_eq!(cloudflare.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_are_wrong_are_told_without_a_call() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let policies = |text: &str| format!("policies = {text}");
    for (more, wanted) in [
        ("token_type = 'account'".to_owned(), "whose token it is"),
        ("account_id = 'mine'".to_owned(), "32 hexadecimal"),
        ("allowed_ips = ['home']".to_owned(), "neither an address"),
        (
            "denied_ips = ['192.0.2.0/33']".to_owned(),
            "neither an address",
        ),
        (policies("'all'"), "list of tables"),
        (policies("[]"), "has none"),
        (
            policies("[{ permission_groups = ['A'] }]"),
            "missing field `resources`",
        ),
        (
            policies("[{ permission_groups = [], resources = { a = '*' } }]"),
            "`permission_groups` is empty",
        ),
        (
            policies("[{ permission_groups = ['A'], resources = {} }]"),
            "`resources` is empty",
        ),
        (
            policies("[{ permission_groups = [1], resources = { a = '*' } }]"),
            "a permission group is a name",
        ),
        (
            policies("[{ permission_groups = [{ id = 'x' }], resources = { a = '*' } }]"),
            "no id",
        ),
        (
            policies("[{ effect = 'permit', permission_groups = ['A'], resources = { a = '*' } }]"),
            "unknown variant `permit`",
        ),
        (
            policies("[{ permission_groups = ['A'], resources = { a = '*' }, zone = 'z' }]"),
            "unknown field `zone`",
        ),
        (
            policies("[{ permission_groups = ['A'], resources = { 'a.{account_id}' = '*' } }]"),
            "needs the key `account_id`",
        ),
        (
            policies("[{ permission_groups = ['A'], resources = { a = { b = { c = '*' } } } }]"),
            "or a table of resources",
        ),
    ] {
        let error = project(&cloudflare, &more).exec("x").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{more}: {error}");
        assert!(error.location().is_some(), "{more}");
    }
    assert_eq!(cloudflare.requests().len(), 0);
}

#[tokio::test]
async fn it_is_explained_without_a_call() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let project = project(
        &cloudflare,
        &BY_ID.replace(Cloudflare::DNS_WRITE, "DNS Write"),
    );
    let told = project
        .manager()
        .explain(&"x".parse().unwrap(), None, "label")
        .await
        .unwrap();
    let actions: Vec<String> = told
        .calls
        .iter()
        .map(|call| {
            format!(
                "{} {}",
                call.action,
                call.target.replace(cloudflare.url(), "")
            )
        })
        .collect();
    assert_eq!(
        actions,
        [
            "GET /client/v4/user/tokens/permission_groups",
            "POST /client/v4/user/tokens"
        ]
    );
    assert!(told.revocable);
    assert!(!format!("{told:?}").contains(Cloudflare::MASTER));
    assert_eq!(cloudflare.requests().len(), 0);
}

/// What Cloudflare's own library sends, the stand-in takes.
#[test]
#[ignore = "needs FNOX_TEST_API_CLIENTS_PYTHON"]
fn the_stand_in_serves_cloudflares_own_library() {
    let cloudflare = Issuer::start(Cloudflare::new());
    let output = crate::support::python("FNOX_TEST_API_CLIENTS_PYTHON")
        .arg("-c")
        .arg(include_str!("cloudflare_client.py"))
        .args([cloudflare.url(), Cloudflare::ACCOUNT, Cloudflare::DNS_WRITE])
        .env("MASTER", Cloudflare::MASTER)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{stderr} {:?}",
        cloudflare.complaints()
    );
    assert_eq!(cloudflare.complaints(), Vec::<String>::new());
    assert_eq!(cloudflare.change(|service| service.tokens().len()), 0);
    assert!(cloudflare.requests().len() >= 14);
}
