//! `aws-sts` against a strict stand-in that checks every request, Signature Version 4 included.

use std::time::{Duration, Instant};

use fnox_core::lease::LeaseState;
use fnox_core::{ExitStatus, Lifetime};
use fnox_leases::LeaseError;
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Behaviour;

use crate::matrix::{self, AWS_SESSION, Subject};
use crate::support::{
    Project, Typist, aws_lease, borrowed, keys_of, keys_of_lease, minted, skipped,
};

fn project(sts: &Sts, more: &str) -> Project {
    let keys = keys_of(sts, "alice");
    Project::with_env(&aws_lease(sts, more), &borrowed(&keys))
}

#[tokio::test]
async fn a_session_of_the_role_is_minted_from_a_key_pair() {
    let sts = Sts::start();
    let project = project(&sts, "");
    let held = minted(project.exec("aws").await.unwrap());
    let names: Vec<&str> = held
        .credential
        .variables
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN"
        ]
    );
    assert!(
        held.credential.id.starts_with("AROA"),
        "{}",
        held.credential.id
    );
    assert!(held.withhold.iter().any(|name| name == "AWS_PROFILE"));
    let call = &sts.calls()[0];
    assert_eq!(call.parameter("RoleSessionName"), Some("fnox-exec-aws"));
    assert_eq!(call.parameter("DurationSeconds"), Some("3600"));
    let issued = sts.change(|account| account.issued().next().unwrap().clone());
    assert_eq!(
        held.credential
            .variable("AWS_ACCESS_KEY_ID")
            .unwrap()
            .expose_secret(),
        issued.id
    );
}

#[tokio::test]
async fn every_key_of_the_lease_reaches_the_call() {
    let sts = Sts::start();
    sts.change(|account| {
        account.roles[0].external_id = Some("ext-1".to_owned());
        account.roles[0].mfa = Some((
            "arn:aws:iam::123456789012:mfa/alice".to_owned(),
            "123456".to_owned(),
        ));
    });
    let mut project = project(
        &sts,
        "external_id = 'ext-1'\nsession_name = 'ci@run=1'\nsource_identity = 'alice'\n\
         mfa_serial = 'arn:aws:iam::123456789012:mfa/alice'\n\
         session_policy = '{\"Version\":\"2012-10-17\",\"Statement\":[]}'\n\
         policy_arns = ['arn:aws:iam::aws:policy/ReadOnlyAccess']\ntags = { team = 'a b', env = 'x' }",
    );
    let typist = Typist::typing(&["123456"]);
    project.prompt = typist.clone();
    minted(project.exec("aws").await.unwrap());
    let call = &sts.calls()[0];
    for (name, value) in [
        ("ExternalId", "ext-1"),
        ("RoleSessionName", "ci@run=1"),
        ("SourceIdentity", "alice"),
        ("SerialNumber", "arn:aws:iam::123456789012:mfa/alice"),
        ("TokenCode", "123456"),
        (
            "PolicyArns.member.1.arn",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
        ),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "a b"),
        ("Policy", "{\"Version\":\"2012-10-17\",\"Statement\":[]}"),
    ] {
        assert_eq!(call.parameter(name), Some(value), "{name}");
    }
    assert!(typist.asked.lock().unwrap()[0].contains("MFA code"));
}

#[tokio::test]
async fn an_mfa_code_that_nobody_can_type_needs_authentication() {
    let sts = Sts::start();
    let project = project(&sts, "mfa_serial = 'arn:aws:iam::123456789012:mfa/alice'");
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert_eq!(sts.count("AssumeRole"), 0);
}

#[tokio::test]
async fn durations_that_sts_would_refuse_are_refused_before_the_call() {
    let sts = Sts::start();
    let project = project(&sts, "");
    for (seconds, wanted) in [(899, "14m59s"), (43_201, "12h0m")] {
        let error = project
            .create("aws", |request| {
                request.duration = Some(Lifetime::from_secs(seconds));
            })
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(wanted) && text.contains("`aws`"), "{text}");
        assert!(text.contains("15m to 12h0m"), "{text}");
        assert_eq!(error.exit_status(), ExitStatus::Configuration);
    }
    assert_eq!(sts.calls().len(), 0);
    assert!(!project.leases_folder().exists());
}

#[tokio::test]
async fn it_fails_closed() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    matrix::fails_closed(&Subject {
        issuer: &sts,
        lease: keys_of_lease(&sts, ""),
        masters: vec![keys[1].1.clone()],
        env: keys.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        produces: AWS_SESSION.to_vec(),
        tells_expiry: true,
        leaves_intents: true,
    })
    .await;
}

#[tokio::test]
async fn refusals_have_their_own_exit_codes_and_leave_no_intent() {
    let sts = Sts::start();
    let mut project = project(&sts, "");
    sts.behave(Behaviour::AccessDenied);
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    assert!(error.help().unwrap().contains("sts:AssumeRole"), "{error}");

    sts.behave(Behaviour::Answer);
    for wrong in [
        [
            ("AWS_ACCESS_KEY_ID", "AKIANOBODYNOBODYNOB1"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ],
        [
            ("AWS_ACCESS_KEY_ID", "AKIAALICEALICEALICE1"),
            ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ],
    ] {
        project.set(&wrong);
        let error = project.exec("aws").await.unwrap_err();
        assert_eq!(
            error.exit_status(),
            ExitStatus::AuthenticationNeeded,
            "{error}"
        );
    }
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn an_sts_that_fails_is_unavailable_and_leaves_an_intent_to_be_found() {
    let sts = Sts::start();
    let mut project = project(&sts, "");
    project.limits.call = Duration::from_secs(3);
    for (behaviour, wanted) in [
        (Behaviour::InternalFailure, "InternalFailure"),
        (Behaviour::Garbage, "not its XML"),
        (Behaviour::EmptyAnswer, "STS"),
        (Behaviour::Redirect, "302"),
        (Behaviour::HangUp, "cannot be reached"),
        (Behaviour::Silence, "did not answer"),
    ] {
        sts.behave(behaviour);
        let begin = Instant::now();
        let error = project.exec("aws").await.unwrap_err();
        assert_eq!(
            error.exit_status(),
            ExitStatus::Unavailable,
            "{behaviour:?}: {error}"
        );
        assert!(error.to_string().contains(wanted), "{behaviour:?}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{behaviour:?}");
        assert!(
            !error.to_string().contains("SECRET")
                && !format!("{error:?}").contains(&keys_of(&sts, "alice")[1].1),
            "{error:?}"
        );
    }
    let records = project.manager().list().await.unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.state == LeaseState::Pending)
    );
    assert_eq!(records.len(), 6);
    // Sessions only expire, so there is nothing to withdraw: cleanup closes the records.
    let report = project.manager().cleanup().await.unwrap();
    assert_eq!(report.settled.len(), 6);
    let records = project.manager().list().await.unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.state == LeaseState::Revoked)
    );
}

#[tokio::test]
async fn an_unreachable_sts_leaves_nothing() {
    let sts = Sts::start();
    let mut project = project(&sts, "");
    let text = aws_lease(&sts, "").replace(sts.url(), "http://127.0.0.1:1");
    project.edit(&text);
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{error}");
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn an_answer_that_has_expired_already_is_an_error() {
    let sts = Sts::start();
    let project = project(&sts, "");
    sts.behave(Behaviour::AnswerWithLifetime(0));
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn the_issuers_own_expiry_counts() {
    let sts = Sts::start();
    let project = project(&sts, "");
    sts.behave(Behaviour::AnswerWithLifetime(600));
    let held = minted(project.exec("aws").await.unwrap());
    let life = held
        .credential
        .expires_at
        .unwrap()
        .duration_since(held.created_at);
    assert!(life.as_secs() <= 601, "{life}");
    project.clock.advance(jiff::SignedDuration::from_secs(481));
    minted(project.exec("aws").await.unwrap());
}

#[tokio::test]
async fn the_hour_of_role_chaining_is_explained() {
    let sts = Sts::start();
    let first = minted(project(&sts, "").exec("aws").await.unwrap());
    let keys: Vec<(&'static str, String)> = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ]
    .into_iter()
    .map(|name| {
        let value = first.credential.variable(name).unwrap();
        (name, value.expose_secret().to_owned())
    })
    .collect();
    let project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&keys));
    let error = project
        .create("aws", |request| {
            request.duration = Some(Lifetime::from_secs(7200));
        })
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("role chaining") && text.contains("session token"),
        "{text}"
    );
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    minted(project.exec("aws").await.unwrap());
}

#[tokio::test]
async fn missing_credentials_skip_the_lease_in_the_agreed_words() {
    let sts = Sts::start();
    let mut project = Project::with_env(&aws_lease(&sts, ""), &[("AWS_ACCESS_KEY_ID", "AKIA")]);
    let skip = skipped(project.exec("aws").await.unwrap());
    assert_eq!(
        skip.to_string(),
        "Skipping lease 'aws': AWS credentials not found. Run 'aws sso login' or set \
         AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY.\n\
         Run 'fnox lease create aws -i' to set up credentials interactively."
    );
    assert_eq!(skip.remaining, ["AWS_ACCESS_KEY_ID"]);
    // Nothing is written for a lease that is skipped.
    assert!(!project.folders.state.exists());

    project.edit(&aws_lease(&sts, "required = true"));
    let error = project.exec("aws").await.unwrap_err();
    assert!(matches!(error, LeaseError::PrerequisitesMissing { .. }));
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
}

#[tokio::test]
async fn pasted_masters_are_used_once_and_exec_then_uses_the_lease() {
    let sts = Sts::start();
    let mut project = Project::new(&aws_lease(&sts, ""));
    let secret = keys_of(&sts, "alice")[1].1.clone();
    let typist = Typist::typing(&[
        "AKIAALICEALICEALICE1",
        Box::leak(secret.clone().into_boxed_str()),
        "",
    ]);
    project.prompt = typist.clone();
    let made = minted(
        project
            .create("aws", |request| request.interactive = true)
            .await
            .unwrap(),
    );
    assert_eq!(
        typist.asked.lock().unwrap()[1..],
        [
            "AWS_ACCESS_KEY_ID (AWS access key)",
            "[hidden] AWS_SECRET_ACCESS_KEY (AWS secret key)",
            "[hidden] AWS_SESSION_TOKEN (AWS session token (optional))",
        ]
    );
    let used = crate::support::cached(project.exec("aws").await.unwrap());
    assert_eq!(made.credential.id, used.credential.id);
    let canary = fnox_testkit::Canary::new(&secret);
    canary.assert_absent(&[], &[&project.root]);
    for (_, value) in &made.credential.variables {
        fnox_testkit::Canary::new(value.expose_secret()).assert_absent(&[], &[&project.root]);
    }
}

#[tokio::test]
async fn a_profile_of_the_aws_files_is_a_master_and_a_region_is_none() {
    let sts = Sts::start();
    let mut project = Project::new(&aws_lease(&sts, ""));
    let folder = project.root.join(".aws");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config"), "[default]\nregion = eu-west-1\n").unwrap();
    skipped(project.exec("aws").await.unwrap());

    let [(_, id), (_, secret)] = keys_of(&sts, "bob");
    let text = format!("[work]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    std::fs::write(folder.join("credentials"), text).unwrap();
    project.set(&[("AWS_PROFILE", "work")]);
    minted(project.exec("aws").await.unwrap());
    assert_eq!(sts.calls()[0].access_key_id.as_deref(), Some(id.as_str()));

    // A profile that is named and not there is a failure, not a reason to go on without the lease.
    project.set(&[("AWS_PROFILE", "nobody")]);
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(
        error.exit_status(),
        ExitStatus::AuthenticationNeeded,
        "{error}"
    );
    assert!(error.to_string().contains("`nobody`"), "{error}");
}

#[tokio::test]
async fn a_lease_that_is_not_configured_is_unknown() {
    let project =
        Project::new("[leases.gh]\ntype = 'github-app'\napp_id = '1'\ninstallation_id = '2'\n");
    let error = project.exec("g").await.unwrap_err();
    assert_eq!(error.code(), "config::unknown_name");
}
