//! Whatever the server does, there is a user or an error of the right class, and the password is in no message.

use std::time::Duration;

use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::Acquired;

use super::super::relay::Relay;
use super::{Server, own_prefix};
use crate::support::Project;

/// The lease fails like that, leaves no user and no record, and tells no password.
async fn fails(server: &Server, mut project: Project, status: ExitStatus, wanted: &str) {
    project.limits.call = Duration::from_secs(3);
    project.limits.connect = Duration::from_secs(1);
    let error = match project.exec("x").await {
        Err(error) => error,
        Ok(other) => panic!("{wanted}: {other:?}"),
    };
    let told = format!("{error} {error:?} {:?}", error.help());
    assert_eq!(error.exit_status(), status, "{told}");
    assert!(told.contains(wanted), "{told}");
    assert!(!told.contains(&server.password), "{told}");
    assert_eq!(project.manager().list().await.unwrap().len(), 0, "{told}");
    assert!(
        error.help().is_some() || status == ExitStatus::Unavailable,
        "{told}"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_is_not_there_or_no_postgresql_is_unavailable() {
    let server = Server::new().await;
    for (relay, wanted) in [
        (Relay::HangsUp, "cannot be reached"),
        (Relay::Silent, "did not answer within 1 s"),
        (Relay::Garbage, "cannot be reached"),
    ] {
        let port = relay.start(server.port).await;
        let project = server.project(&server.lease_with(&[], port, ""));
        fails(&server, project, ExitStatus::Unavailable, wanted).await;
    }
    let project = server.project(&server.lease_with(&[], 1, ""));
    fails(
        &server,
        project,
        ExitStatus::Unavailable,
        "cannot be reached",
    )
    .await;
    let socket = server.lease("").replace("'127.0.0.1'", "'/nonexistent'");
    let project = server.project(&socket);
    fails(&server, project, ExitStatus::Unavailable, "/nonexistent").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_answer_that_is_lost_before_the_commit_leaves_nothing() {
    let server = Server::new().await;
    let prefix = own_prefix();
    let port = Relay::LosesAnswerTo("CREATE ROLE").start(server.port).await;
    let keys = format!("user_prefix = '{prefix}'");
    let project = server.project(&server.lease_with(&[], port, &keys));
    fails(
        &server,
        project,
        ExitStatus::Unavailable,
        "cannot be reached",
    )
    .await;
    assert_eq!(server.roles_of(&prefix).await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn wrong_masters_are_told_as_such() {
    let server = Server::new().await;
    let wrong = Project::with_env(
        &server.lease(""),
        &[("FNOX_DATABASE_PASSWORD", "wrong-master")],
    );
    let needed = ExitStatus::AuthenticationNeeded;
    fails(&server, wrong, needed, "password authentication failed").await;
    let nobody = server
        .lease("")
        .replace(&server.administrator, "nobody_at_all");
    fails(
        &server,
        server.project(&nobody),
        needed,
        "does not let `nobody_at_all` in",
    )
    .await;
    let elsewhere = server
        .lease("")
        .replace(&server.database, "no_such_database");
    let project = server.project(&elsewhere);
    fails(
        &server,
        project,
        ExitStatus::Configuration,
        "no such database",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_right_that_the_administrator_lacks_is_denied_and_leaves_nothing() {
    let server = Server::new().await;
    let prefix = own_prefix();
    let keys = format!("user_prefix = '{prefix}'");
    let grants = ["GRANT SELECT ON app.others TO {{ user }}"];
    let project = server.project(&server.lease_with(&grants, server.port, &keys));
    let wanted = "statement 1 of `grants` failed";
    fails(&server, project, ExitStatus::Denied, wanted).await;
    assert_eq!(server.roles_of(&prefix).await, Vec::<String>::new());

    let administrator = &server.administrator;
    let take = format!("ALTER ROLE {administrator} NOCREATEROLE");
    server.superuser.batch_execute(&take).await.unwrap();
    let project = server.project(&server.lease_with(&[], server.port, &keys));
    fails(
        &server,
        project,
        ExitStatus::Denied,
        "could not create a user",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn statements_that_the_server_does_not_take_are_named_and_leave_nothing() {
    let server = Server::new().await;
    let prefix = own_prefix();
    let keys = format!("user_prefix = '{prefix}'");
    for (statement, wanted) in [
        (
            "GRANT SELECT ON app.nothing TO {{ user }}",
            "does not exist",
        ),
        ("GRUNT {{ user }}", "syntax error"),
        // One statement is one statement: nothing can follow it, and nothing can end the transaction.
        ("SELECT 1; COMMIT", "multiple commands"),
        ("SELECT 1; DROP ROLE {{ user }}", "multiple commands"),
    ] {
        let grants = ["GRANT USAGE ON SCHEMA app TO {{ user }}", statement];
        let project = server.project(&server.lease_with(&grants, server.port, &keys));
        fails(&server, project, ExitStatus::Configuration, wanted).await;
        assert_eq!(server.roles_of(&prefix).await, Vec::<String>::new());
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_without_room_is_unavailable() {
    let server = Server::new().await;
    let administrator = &server.administrator;
    let none = format!("ALTER ROLE {administrator} CONNECTION LIMIT 0");
    server.superuser.batch_execute(&none).await.unwrap();
    let project = server.project(&server.lease(""));
    fails(
        &server,
        project,
        ExitStatus::Unavailable,
        "too many connections",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_without_tls_is_not_spoken_to_in_clear() {
    let server = Server::new().await;
    let project = server.project(&server.lease("tls = 'require'"));
    fails(&server, project, ExitStatus::Unavailable, "TLS").await;
    let project = server.project(&server.lease("ca_file = '/nonexistent/ca.pem'"));
    fails(
        &server,
        project,
        ExitStatus::Configuration,
        "/nonexistent/ca.pem",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn clocks_that_differ_are_told_or_do_no_harm() {
    let server = Server::new().await;
    for minutes in [-10, 10] {
        let project = server.project(&server.lease(""));
        let there = project.clock.now() + jiff::SignedDuration::from_mins(minutes);
        project.clock.set_wall(there);
        let outcome = project.exec("x").await;
        assert!(matches!(outcome, Ok(Acquired::Minted(_))), "{outcome:?}");
    }
    let prefix = own_prefix();
    let project = server.project(&server.lease(&format!("user_prefix = '{prefix}'")));
    project.clock.advance(jiff::SignedDuration::from_hours(2));
    fails(&server, project, ExitStatus::Unavailable, "the clock of").await;
    assert_eq!(server.roles_of(&prefix).await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn without_the_right_to_end_sessions_the_user_is_locked_and_kept_on_record() {
    let server = Server::new().await;
    let administrator = &server.administrator;
    let take = format!("REVOKE pg_signal_backend FROM {administrator}");
    server.superuser.batch_execute(&take).await.unwrap();
    let project = server.project(&server.lease(""));
    let held = crate::support::minted(project.exec("x").await.unwrap());
    let session = super::connect(super::value(&held, "DATABASE_URL")).await;
    session.query("SELECT 1", &[]).await.unwrap();
    let outcomes = project.manager().revoke("x").await.unwrap();
    let error = outcomes[0].failure().unwrap();
    assert_eq!(error.exit_status(), ExitStatus::Denied, "{error}");
    assert!(error.help().unwrap().contains("pg_signal_backend"));
    let user = super::value(&held, "DATABASE_USER");
    assert_eq!(server.role(user).await, Some(false));
    let give = format!("GRANT pg_signal_backend TO {administrator}");
    server.superuser.batch_execute(&give).await.unwrap();
    super::revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.role(user).await, None);
}
