//! Whatever the server does, there is a user or an error of the right class, and the password is in no message.

use std::time::Duration;

use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::Acquired;

use super::super::relay::Relay;
use super::{Server, own_prefix, revoked, variable};
use crate::support::{Project, minted};

/// The lease fails like that, leaves no record, and tells no password.
async fn fails(server: &Server, mut project: Project, status: ExitStatus, wanted: &str) {
    project.limits.call = Duration::from_secs(5);
    project.limits.connect = Duration::from_secs(1);
    let error = match project.exec("x").await {
        Err(error) => error,
        Ok(other) => panic!("{wanted}: {other:?}"),
    };
    let told = format!("{error} {error:?} {:?}", error.help());
    assert_eq!(error.exit_status(), status, "{told}");
    assert!(told.contains(wanted), "{told}");
    assert!(!told.contains(&server.administrator.password), "{told}");
    assert_eq!(project.manager().list().await.unwrap().len(), 0, "{told}");
    assert!(
        error.help().is_some() || status == ExitStatus::Unavailable,
        "{told}"
    );
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_server_that_is_not_there_or_no_mysql_is_unavailable() {
    let server = Server::new();
    for (relay, wanted) in [
        (Relay::HangsUp, "cannot be reached"),
        (Relay::Silent, "did not answer within 1 s"),
        (Relay::Garbage, "127.0.0.1"),
    ] {
        let port = relay.start(server.root.port).await;
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
#[ignore = "needs MariaDB"]
async fn wrong_masters_are_told_as_such() {
    let server = Server::new();
    let wrong = Project::with_env(
        &server.lease(""),
        &[("FNOX_DATABASE_PASSWORD", "wrong-master")],
    );
    let needed = ExitStatus::AuthenticationNeeded;
    fails(&server, wrong, needed, "Access denied").await;
    let nobody = server
        .lease("")
        .replace(&server.administrator.user, "nobody_at_all");
    let project = server.project(&nobody);
    fails(&server, project, needed, "does not let `nobody_at_all` in").await;
    let locked = format!("ALTER USER {}@'%' ACCOUNT LOCK", server.administrator.user);
    server.root.says(&locked).unwrap();
    fails(&server, server.project(&server.lease("")), needed, "locked").await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_right_that_the_administrator_lacks_is_denied_and_leaves_nothing() {
    let server = Server::new();
    let prefix = own_prefix();
    let keys = format!("user_prefix = '{prefix}'");
    let grant = format!(
        "GRANT SELECT ON {}.others TO {{{{ user }}}}",
        server.database
    );
    let project = server.project(&server.lease_with(&[&grant], server.root.port, &keys));
    let wanted = "statement 1 of `grants` failed";
    fails(&server, project, ExitStatus::Denied, wanted).await;
    assert_eq!(server.accounts(&prefix), "");

    let name = &server.administrator.user;
    let take = format!("REVOKE CREATE USER ON *.* FROM {name}@'%'");
    server.root.says(&take).unwrap();
    let project = server.project(&server.lease(&keys));
    fails(
        &server,
        project,
        ExitStatus::Denied,
        "could not create a user",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn statements_that_the_server_does_not_take_are_named_and_leave_nothing() {
    let server = Server::new();
    let prefix = own_prefix();
    let keys = format!("user_prefix = '{prefix}'");
    let two = format!(
        "GRANT SELECT ON {}.orders TO {{{{ user }}}}; DROP TABLE {}.orders",
        server.database, server.database
    );
    for (statement, wanted) in [
        ("GRUNT {{ user }}", "syntax"),
        // One statement is one statement: nothing can follow it.
        (two.as_str(), "syntax"),
    ] {
        let project = server.project(&server.lease_with(&[statement], server.root.port, &keys));
        fails(&server, project, ExitStatus::Configuration, wanted).await;
        assert_eq!(server.accounts(&prefix), "");
    }
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn only_the_server_that_the_certificate_names_is_spoken_to() {
    let server = Server::new();
    let ca = format!("{}/ca.pem", variable("FNOX_TEST_MARIADB_FOLDER"));
    let project = server.project(&server.lease(&format!("ca_file = '{ca}'")));
    let login = server.login(&minted(project.exec("x").await.unwrap()));
    // The user itself cannot do without encryption.
    let error = login.says("SELECT 1").unwrap_err();
    assert!(error.contains("Access denied"), "{error}");
    let encrypted = [format!("--ssl-ca={ca}")];
    let sql = "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS \
               WHERE VARIABLE_NAME = 'Ssl_cipher'";
    assert_eq!(login.says_with(&[&encrypted[0]], sql), Ok("1".to_owned()));
    let seen = format!(
        "SELECT COUNT(*) FROM mysql.global_priv WHERE User = '{}' AND Priv LIKE '%ssl_type%'",
        login.user
    );
    assert_eq!(server.root.says(&seen), Ok("1".to_owned()));
    // The certificate is the test's own, so nobody else's trust covers it.
    let strange = server.lease("tls = 'require'");
    let project = server.project(&strange);
    fails(&server, project, ExitStatus::Unavailable, "certificate").await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn without_the_right_to_see_sessions_the_user_is_locked_and_kept_on_record() {
    let server = Server::new();
    let name = &server.administrator.user;
    let project = server.project(&server.lease(""));
    let login = server.login(&minted(project.exec("x").await.unwrap()));
    for (right, wanted) in [
        ("PROCESS", "PROCESS"),
        ("CONNECTION ADMIN", "could not end"),
    ] {
        let take = format!("REVOKE {right} ON *.* FROM {name}@'%'");
        server.root.says(&take).unwrap();
        // A session that has to be ended.
        let unlock = format!("ALTER USER {}@'%' ACCOUNT UNLOCK", login.user);
        server.root.says(&unlock).unwrap();
        let mut session = login
            .command(&["--skip-ssl", "--execute", "SELECT SLEEP(600)"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let sessions = format!(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{}'",
            login.user
        );
        fnox_testkit::wait::until("a session", Duration::from_secs(30), || {
            server.root.says(&sessions) == Ok("1".to_owned())
        });
        let outcomes = project.manager().cleanup().await.unwrap().settled;
        let outcomes = if outcomes.is_empty() {
            project.manager().revoke("x").await.unwrap()
        } else {
            outcomes
        };
        let error = outcomes[0].failure().unwrap();
        assert_eq!(error.exit_status(), ExitStatus::Denied, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(error.help().unwrap().contains("CONNECTION ADMIN"));
        assert!(login.says("SELECT 1").unwrap_err().contains("locked"));
        let give = format!("GRANT {right} ON *.* TO {name}@'%'");
        server.root.says(&give).unwrap();
        session.kill().unwrap();
        session.wait().unwrap();
    }
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.accounts(&login.user), "");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn clocks_that_differ_do_no_harm() {
    let server = Server::new();
    for minutes in [-10, 10] {
        let project = server.project(&server.lease(""));
        let there = project.clock.now() + jiff::SignedDuration::from_mins(minutes);
        project.clock.set_wall(there);
        let outcome = project.exec("x").await;
        assert!(matches!(outcome, Ok(Acquired::Minted(_))), "{outcome:?}");
    }
}
