//! `aws-sts` in its other modes, chains of roles and accounts, against a stand-in that checks signatures.

use fnox_core::lease::LeaseState;
use fnox_core::{ExitStatus, Lifetime};
use fnox_testkit::services;
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::{Account, Assertion, Behaviour};

use crate::support::{Project, Typist, borrowed, cached, keys_of, minted};

const DEVICE: &str = "arn:aws:iam::123456789012:mfa/alice";
const PROVIDER: &str = "arn:aws:iam::123456789012:saml-provider/corp";

fn lease(url: &str, more: &str) -> String {
    format!(
        "[leases.aws]\ntype = 'aws-sts'\nregion = 'us-east-1'\nendpoint = '{url}'\nduration = '1h'\n{more}\n"
    )
}

fn project(sts: &Sts, more: &str) -> Project {
    let keys = keys_of(sts, "alice");
    Project::with_env(&lease(sts.url(), more), &borrowed(&keys))
}

fn value(held: &fnox_leases::Held, name: &str) -> String {
    let value = held.credential.variable(name).unwrap();
    value.expose_secret().to_owned()
}

#[tokio::test]
async fn a_session_token_is_the_users_own_session() {
    let sts = Sts::start();
    let project = project(&sts, "mode = 'session-token'");
    let held = minted(project.exec("aws").await.unwrap());
    let call = &sts.calls()[0];
    assert_eq!(call.action, "GetSessionToken");
    assert_eq!(
        call.parameters,
        [("DurationSeconds".to_owned(), "3600".to_owned())]
    );
    let issued = sts.change(|account| account.issued().next().unwrap().clone());
    assert_eq!(value(&held, "AWS_ACCESS_KEY_ID"), issued.id);
    assert_eq!(issued.principal.arn, "arn:aws:iam::123456789012:user/alice");
    // Nothing says whose it is, so the record's own id is the handle.
    assert!(
        held.credential.id.starts_with("aws-sts-"),
        "{}",
        held.credential.id
    );
}

#[tokio::test]
async fn a_session_token_has_the_mfa_code_that_a_person_types() {
    let sts = Sts::start();
    sts.change(|account| {
        account
            .devices
            .push((DEVICE.to_owned(), "123456".to_owned()));
    });
    let mut project = project(
        &sts,
        &format!("mode = 'session-token'\nmfa_serial = '{DEVICE}'"),
    );
    project.prompt = Typist::typing(&["123456"]);
    minted(project.exec("aws").await.unwrap());
    project.prompt = Typist::typing(&["654321"]);
    let error = project.create("aws", |_| {}).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    assert!(error.help().unwrap().contains("mfa_serial"), "{error}");
}

#[tokio::test]
async fn a_federation_token_is_narrowed_and_named() {
    let sts = Sts::start();
    let project = project(
        &sts,
        "mode = 'federation-token'\nfederated_user = 'build-7'\n\
         session_policy = '{\"Version\":\"2012-10-17\",\"Statement\":[]}'\n\
         policy_arns = ['arn:aws:iam::aws:policy/ReadOnlyAccess']\ntags = { team = 'x' }\n\
         allowed_accounts = ['123456789012']",
    );
    let held = minted(project.exec("aws").await.unwrap());
    let call = &sts.calls()[0];
    for (name, value) in [
        ("Name", "build-7"),
        ("Policy", "{\"Version\":\"2012-10-17\",\"Statement\":[]}"),
        (
            "PolicyArns.member.1.arn",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
        ),
        ("Tags.member.1.Key", "team"),
        ("DurationSeconds", "3600"),
    ] {
        assert_eq!(call.parameter(name), Some(value), "{name}");
    }
    assert!(
        held.credential.id.starts_with("123456789012:build-7-"),
        "{}",
        held.credential.id
    );
    assert_eq!(sts.calls().len(), 1);
}

#[tokio::test]
async fn users_modes_take_15_minutes_to_36_hours_and_roles_12() {
    let sts = Sts::start();
    for (mode, seconds, wanted) in [
        ("session-token", 899, "15m to 1d12h"),
        ("session-token", 129_601, "15m to 1d12h"),
        ("federation-token", 129_601, "15m to 1d12h"),
    ] {
        let project = project(&sts, &format!("mode = '{mode}'"));
        let error = project
            .create("aws", |request| {
                request.duration = Some(Lifetime::from_secs(seconds));
            })
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(wanted), "{text}");
        assert_eq!(error.exit_status(), ExitStatus::Configuration);
    }
    assert_eq!(sts.calls().len(), 0);
    let project = project(&sts, "mode = 'session-token'\n");
    let asked = Some(Lifetime::from_secs(129_600));
    minted(
        project
            .create("aws", |request| request.duration = asked)
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn users_modes_refuse_sessions_and_tokens_before_they_call() {
    let sts = Sts::start();
    for mode in ["session-token", "federation-token"] {
        let mut project = project(&sts, &format!("mode = '{mode}'"));
        for env in [
            vec![
                ("AWS_ACCESS_KEY_ID", "ASIAX"),
                ("AWS_SECRET_ACCESS_KEY", "s"),
                ("AWS_SESSION_TOKEN", "t"),
            ],
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent")],
        ] {
            project.set(&env);
            let error = project.exec("aws").await.unwrap_err();
            assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
            assert!(
                error.to_string().contains("the access key of a user"),
                "{error}"
            );
        }
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
    }
    assert_eq!(sts.calls().len(), 0);
}

#[tokio::test]
async fn a_session_in_another_account_is_not_handed_out() {
    let sts = Sts::start();
    for (mode, calls) in [("session-token", 2), ("federation-token", 1)] {
        let before = sts.calls().len();
        let project = project(
            &sts,
            &format!("mode = '{mode}'\nallowed_accounts = ['999999999999']"),
        );
        let error = project.exec("aws").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Denied, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("123456789012") && text.contains("999999999999"),
            "{text}"
        );
        assert_eq!(sts.calls().len() - before, calls);
        // It exists at AWS, so the record stays; there is no credential in it.
        let records = project.manager().list().await.unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].state, LeaseState::Pending);
    }
}

#[tokio::test]
async fn a_session_token_in_an_allowed_account_is_handed_out() {
    let sts = Sts::start();
    let project = project(
        &sts,
        "mode = 'session-token'\nallowed_accounts = ['999999999999', '123456789012']",
    );
    minted(project.exec("aws").await.unwrap());
    let calls = sts.calls();
    assert_eq!(calls[1].action, "GetCallerIdentity");
    // It is the session that asks, not the user's key.
    assert_ne!(calls[1].access_key_id, calls[0].access_key_id);
}

#[tokio::test]
async fn a_saml_assertion_assumes_the_role_without_any_key() {
    let sts = Sts::start();
    let assertion = "PHNhbWxwOlJlc3BvbnNlPmhpZGRlbjwvc2FtbHA6UmVzcG9uc2U+";
    sts.change(|account| {
        account.assertions.push(Assertion {
            text: assertion.to_owned(),
            provider_arn: PROVIDER.to_owned(),
            session_name: "alice@example.com".to_owned(),
        });
    });
    let more = format!(
        "role_arn = '{}'\nsaml_assertion_file = 'assertion'\nsaml_provider_arn = '{PROVIDER}'\n\
         allowed_accounts = ['123456789012']",
        Account::DEV_ROLE
    );
    let project = Project::new(&lease(sts.url(), &more));
    let path = project.root.join("project/assertion");
    std::fs::write(&path, &assertion[..20]).unwrap();
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let text = format!("{error} {error:?}");
    assert!(
        text.contains(PROVIDER) && !text.contains(&assertion[..20]),
        "{text}"
    );

    std::fs::write(
        &path,
        format!("{}\n{}\n", &assertion[..20], &assertion[20..]),
    )
    .unwrap();
    let held = minted(project.exec("aws").await.unwrap());
    let call = sts.calls().pop().unwrap();
    assert_eq!(call.action, "AssumeRoleWithSAML");
    assert_eq!(call.access_key_id, None);
    assert_eq!(call.parameter("PrincipalArn"), Some(PROVIDER));
    let issued = sts.change(|account| account.issued().next().unwrap().clone());
    assert_eq!(value(&held, "AWS_ACCESS_KEY_ID"), issued.id);
    assert!(issued.principal.arn.ends_with("dev-role/alice@example.com"));
}

/// `dev` from alice's key, `ops` from `dev`.
fn chain(url: &str, dev: &str, ops: &str) -> String {
    format!(
        "[leases.dev]\ntype = 'aws-sts'\nregion = 'us-east-1'\nendpoint = '{url}'\nrole_arn = '{}'\n{dev}\n\
         [leases.ops]\ntype = 'aws-sts'\nregion = 'us-east-1'\nendpoint = '{url}'\nrole_arn = '{}'\nvia = 'dev'\n{ops}\n",
        Account::DEV_ROLE,
        Account::OPS_ROLE
    )
}

#[tokio::test]
async fn a_chain_assumes_one_role_from_the_other() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    let toml = chain(
        sts.url(),
        "tags = { team = 'x', run = '7' }\ntransitive_tags = ['team']",
        "",
    );
    let project = Project::with_env(&toml, &borrowed(&keys));
    let held = minted(project.exec("ops").await.unwrap());
    let calls = sts.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].access_key_id.as_deref(), Some(keys[0].1.as_str()));
    assert_eq!(
        calls[0].parameter("TransitiveTagKeys.member.1"),
        Some("team")
    );
    assert_eq!(calls[0].parameter("TransitiveTagKeys.member.2"), None);
    let dev = sts.change(|account| account.issued().next().unwrap().clone());
    assert_eq!(calls[1].access_key_id, Some(dev.id));
    assert_eq!(calls[1].parameter("RoleArn"), Some(Account::OPS_ROLE));
    assert!(held.withhold.iter().any(|name| name == "AWS_PROFILE"));
    // The session between is a lease like any other.
    cached(project.exec("dev").await.unwrap());
    cached(project.exec("ops").await.unwrap());
    assert_eq!(sts.calls().len(), 2);
}

#[tokio::test]
async fn a_chained_role_that_should_live_too_long_is_explained() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    let toml = chain(sts.url(), "", "duration = '2h'");
    let project = Project::with_env(&toml, &borrowed(&keys));
    let error = project.exec("ops").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.to_string().contains("role chaining"), "{error}");
}

#[tokio::test]
async fn a_chain_breaks_with_its_first_link() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    let project = Project::with_env(&chain(sts.url(), "", ""), &borrowed(&keys));
    sts.behave(Behaviour::AccessDenied);
    let error = project.exec("ops").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    // Alice's own key is not tried in the place of the session.
    assert_eq!(sts.calls().len(), 1);
}

#[tokio::test]
async fn a_session_token_of_the_environment_is_not_mixed_with_keys_of_another_lease() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "bob");
    let toml = format!(
        "[leases.vendor]\ntype = 'command'\nproduces = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']\n\
         create_command = '''printf '{{\"credentials\":{{\"AWS_ACCESS_KEY_ID\":\"{}\",\"AWS_SECRET_ACCESS_KEY\":\"{}\"}}}}' '''\n\
         {}via = 'vendor'\nrole_arn = '{}'\n",
        keys[0].1,
        keys[1].1,
        lease(sts.url(), ""),
        Account::DEV_ROLE
    );
    let project = Project::with_env(&toml, &[("AWS_SESSION_TOKEN", "somebody-elses")]);
    minted(project.exec("aws").await.unwrap());
    assert_eq!(
        sts.calls()[0].access_key_id.as_deref(),
        Some(keys[0].1.as_str())
    );
}

#[tokio::test]
async fn a_lease_that_makes_nothing_of_aws_is_no_master() {
    let sts = Sts::start();
    let toml = format!(
        "[leases.other]\ntype = 'command'\ncreate_command = '''echo '{{\"credentials\":{{\"X\":\"y\"}}}}' '''\n\
         {}via = 'other'\nrole_arn = '{}'\n",
        lease(sts.url(), ""),
        Account::DEV_ROLE
    );
    let project = Project::new(&toml);
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.to_string().contains("lease `other`"), "{error}");
}

#[tokio::test]
async fn keys_that_do_not_fit_the_mode_are_errors_with_a_line() {
    let role = format!("role_arn = '{}'", Account::DEV_ROLE);
    for (wrong, wanted) in [
        (String::new(), "`role_arn`"),
        (format!("mode = 'session-token'\n{role}"), "`role_arn`"),
        (
            "mode = 'session-token'\npolicy_arns = ['arn:aws:iam::aws:policy/x']".to_owned(),
            "`policy_arns`",
        ),
        (
            format!("mode = 'federation-token'\nmfa_serial = '{DEVICE}'"),
            "`mfa_serial`",
        ),
        (
            "mode = 'federation-token'\nweb_identity_token_file = 'x'".to_owned(),
            "`web_identity_token_file`",
        ),
        (format!("{role}\nfederated_user = 'ab'"), "`federated_user`"),
        (
            format!("{role}\nsaml_assertion_file = 'x'"),
            "belong together",
        ),
        (
            format!(
                "{role}\nsaml_assertion_file = 'x'\nsaml_provider_arn = '{PROVIDER}'\nsession_name = 'ab'"
            ),
            "`session_name`",
        ),
        (format!("{role}\nvia = 'x'\nprofile = 'p'"), "`profile`"),
        (
            format!("{role}\ntags = {{ a = 'b' }}\ntransitive_tags = ['c']"),
            "`tags` does not have",
        ),
        (format!("{role}\nallowed_accounts = ['12345']"), "12 digits"),
        (
            format!("{role}\nallowed_accounts = ['999999999999']"),
            "is in account 123456789012",
        ),
    ] {
        let project = Project::new(&lease("http://127.0.0.1:1", &wrong));
        let error = project.exec("aws").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{wrong}: {error}");
        assert_eq!(error.exit_status(), ExitStatus::Configuration, "{wrong}");
        assert!(error.location().is_some(), "{wrong}");
    }
}

#[tokio::test]
async fn a_changed_profile_is_another_principal() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    let more = format!("role_arn = '{}'\nprofile = 'work'", Account::DEV_ROLE);
    let project = Project::new(&lease(sts.url(), &more));
    let folder = project.root.join(".aws");
    std::fs::create_dir(&folder).unwrap();
    let write = |more: &str| {
        let text = format!(
            "[work]\naws_access_key_id = {}\naws_secret_access_key = {}\n{more}\n",
            keys[0].1, keys[1].1
        );
        std::fs::write(folder.join("credentials"), text).unwrap();
    };
    write("");
    minted(project.exec("aws").await.unwrap());
    cached(project.exec("aws").await.unwrap());
    write("region = eu-west-1");
    minted(project.exec("aws").await.unwrap());
}

/// Action, master and the names of the details of each call.
async fn explained(project: &Project, lease: &str) -> Vec<(String, String, Vec<String>)> {
    let explanation = project
        .manager()
        .explain(&lease.parse().unwrap(), None, "fnox-lease")
        .await
        .unwrap();
    explanation
        .calls
        .into_iter()
        .map(|call| {
            let names = call.details.into_iter().map(|(name, _)| name).collect();
            (call.action, call.master, names)
        })
        .collect()
}

#[tokio::test]
async fn what_would_be_called_is_told_and_nobody_is_called() {
    let sts = Sts::start();
    let keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let user = project(
        &sts,
        &format!(
            "mode = 'session-token'\nmfa_serial = '{DEVICE}'\nallowed_accounts = ['123456789012']"
        ),
    );
    let calls = explained(&user, "aws").await;
    assert_eq!(calls[0].0, "sts:GetSessionToken");
    assert_eq!(calls[0].1, keys);
    assert_eq!(
        calls[0].2,
        ["duration_seconds", "serial_number", "allowed_accounts"]
    );
    assert_eq!(calls[1].0, "sts:GetCallerIdentity");

    let federated = project(&sts, "mode = 'federation-token'\ntags = { a = 'b' }");
    let calls = explained(&federated, "aws").await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].0, "sts:GetFederationToken");
    assert_eq!(calls[0].2, ["name", "duration_seconds", "tags"]);

    let chain = Project::new(&chain(sts.url(), "", ""));
    let calls = explained(&chain, "ops").await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].0, "sts:AssumeRole");
    assert_eq!(calls[0].1, "the credential of lease `dev`");

    let saml = Project::new(&lease(
        sts.url(),
        &format!(
            "role_arn = '{}'\nsaml_assertion_file = 'x'\nsaml_provider_arn = '{PROVIDER}'",
            Account::DEV_ROLE
        ),
    ));
    let calls = explained(&saml, "aws").await;
    assert_eq!(calls[0].0, "sts:AssumeRoleWithSAML");
    assert_eq!(
        calls[0].2,
        ["role_arn", "duration_seconds", "principal_arn"]
    );

    let mut token = Project::new(&lease(
        sts.url(),
        &format!("role_arn = '{}'", Account::DEV_ROLE),
    ));
    token.set(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ("AWS_ROLE_ARN", Account::OPS_ROLE),
    ]);
    let actions: Vec<String> = explained(&token, "aws")
        .await
        .into_iter()
        .map(|call| call.0)
        .collect();
    assert_eq!(actions, ["sts:AssumeRoleWithWebIdentity", "sts:AssumeRole"]);
    assert_eq!(sts.calls().len(), 0);
}

#[tokio::test]
#[ignore = "needs moto"]
async fn moto_gives_sessions_of_users_and_federated_users() {
    let url = services::moto().url;
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAMASTERMASTERMAST"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
    ];
    for (more, is_named) in [
        ("mode = 'session-token'", false),
        (
            "mode = 'federation-token'\nfederated_user = 'build-7'\n\
             allowed_accounts = ['123456789012']\nsession_policy = '{}'",
            true,
        ),
    ] {
        let project = Project::with_env(&lease(&url, more), &keys);
        let held = minted(project.exec("aws").await.unwrap());
        assert_eq!(held.credential.id.contains("build-7"), is_named);
        assert_ne!(value(&held, "AWS_ACCESS_KEY_ID"), keys[0].1);
        cached(project.exec("aws").await.unwrap());
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn moto_chains_roles() {
    let url = services::moto().url;
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIA1"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    let project = Project::with_env(&chain(&url, "", ""), &keys);
    let held = minted(project.exec("ops").await.unwrap());
    assert_ne!(value(&held, "AWS_ACCESS_KEY_ID"), keys[0].1);
    assert_eq!(project.manager().list().await.unwrap().len(), 2);
}
