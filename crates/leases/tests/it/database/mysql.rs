//! Users of a real MariaDB, made by an administrator with the rights that the page asks for, and tried with the
//! server's own client.

mod failures;

use std::process::Command;

use fnox_core::Env;
use fnox_core::lease::LeaseState;
use fnox_leases::RevocationOutcome;
use uuid::Uuid;

use super::relay::Relay;
use crate::child;
use crate::support::{Project, cached, minted};

fn variable(name: &str) -> String {
    Env::of_process()
        .var(name)
        .unwrap_or_else(|| panic!("this test needs {name}: run ./scripts/test"))
        .to_owned()
}

/// Somebody who can log in.
#[derive(Debug, Clone)]
struct Login {
    port: u16,
    user: String,
    password: String,
}

impl Login {
    /// The client, with more options.
    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new("mariadb");
        command
            .args(["--no-defaults", "--batch", "--skip-column-names"])
            .args(["--protocol=tcp", "--host=127.0.0.1"])
            .args([
                &format!("--port={}", self.port),
                &format!("--user={}", self.user),
            ])
            .args(more)
            .env("MYSQL_PWD", &self.password);
        command
    }

    /// What the server says to statements, or why it does not.
    fn says(&self, sql: &str) -> Result<String, String> {
        self.says_with(&["--skip-ssl"], sql)
    }

    fn says_with(&self, more: &[&str], sql: &str) -> Result<String, String> {
        let output = self
            .command(more)
            .args(["--execute", sql])
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }
}

/// A database of its own with an administrator of its own.
struct Server {
    root: Login,
    administrator: Login,
    database: String,
}

impl Server {
    fn new() -> Self {
        let url = variable("FNOX_TEST_MARIADB_URL");
        let place = url.strip_prefix("mysql://").unwrap();
        let (login, place) = place.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let port = place.split(['/', ':']).nth(1).unwrap().parse().unwrap();
        let root = Login {
            port,
            user: user.to_owned(),
            password: password.to_owned(),
        };
        let id = Uuid::now_v7().simple().to_string();
        let administrator = Login {
            port,
            user: format!("admin_{}", &id[16..]),
            password: format!("master-{id}"),
        };
        let database = format!("test_{id}");
        let (name, secret) = (&administrator.user, &administrator.password);
        root.says(&format!(
            "CREATE DATABASE {database}; \
             CREATE TABLE {database}.orders (id int); INSERT INTO {database}.orders VALUES (7); \
             CREATE TABLE {database}.others (id int); \
             CREATE USER {name}@'%' IDENTIFIED BY '{secret}'; \
             GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO {name}@'%'; \
             GRANT SELECT ON {database}.orders TO {name}@'%' WITH GRANT OPTION"
        ))
        .unwrap();
        Self {
            root,
            administrator,
            database,
        }
    }

    fn lease(&self, more: &str) -> String {
        let grant = format!("GRANT SELECT ON {}.orders TO {{{{ user }}}}", self.database);
        self.lease_with(&[&grant], self.root.port, more)
    }

    fn lease_with(&self, grants: &[&str], port: u16, more: &str) -> String {
        format!(
            "[leases.x]\ntype = 'database'\nengine = 'mysql'\nhost = '127.0.0.1'\nport = {port}\n\
             username = '{}'\ngrants = {grants:?}\nduration = '1h'\n{more}\n",
            self.administrator.user
        )
    }

    fn project(&self, lease: &str) -> Project {
        let password = self.administrator.password.as_str();
        Project::with_env(lease, &[("FNOX_DATABASE_PASSWORD", password)])
    }

    fn login(&self, held: &fnox_leases::Held) -> Login {
        let value = |name| held.credential.variable(name).unwrap().expose_secret();
        Login {
            port: self.root.port,
            user: value("DATABASE_USER").to_owned(),
            password: value("DATABASE_PASSWORD").to_owned(),
        }
    }

    /// Accounts whose names begin like this.
    fn accounts(&self, beginning: &str) -> String {
        let sql = format!(
            "SELECT CONCAT(User, '@', Host) FROM mysql.user WHERE LEFT(User, {}) = '{beginning}'",
            beginning.len()
        );
        self.root.says(&sql).unwrap()
    }
}

/// A prefix that no other test has.
fn own_prefix() -> String {
    // The end of it is random.
    let id = Uuid::now_v7().simple().to_string();
    format!("t{}_", &id[20..])
}

fn revoked(outcomes: &[fnox_leases::Revocation]) {
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert!(
        matches!(outcomes[0].outcome, RevocationOutcome::Revoked),
        "{outcomes:?}"
    );
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_user_has_its_grants_and_no_more() {
    let server = Server::new();
    let project = server.project(&server.lease("connection_limit = 3"));
    let held = minted(project.exec("x").await.unwrap());
    let login = server.login(&held);
    let database = &server.database;
    let read = format!("SELECT id FROM {database}.orders");
    assert_eq!(login.says(&read), Ok("7".to_owned()));
    for denied in [
        format!("INSERT INTO {database}.orders VALUES (1)"),
        format!("SELECT * FROM {database}.others"),
        "CREATE USER somebody".to_owned(),
    ] {
        let error = login.says(&denied).unwrap_err();
        assert!(error.contains("denied"), "{denied}: {error}");
    }
    let grants = login.says("SHOW GRANTS").unwrap();
    assert!(grants.contains("MAX_USER_CONNECTIONS 3"), "{grants}");
    let url = held.credential.variable("DATABASE_URL").unwrap();
    let wanted = format!(
        "mysql://{}:{}@127.0.0.1:{}/",
        login.user, login.password, login.port
    );
    assert_eq!(url.expose_secret(), wanted);
    let end = held.credential.expires_at.unwrap();
    assert_eq!(end, held.created_at + jiff::SignedDuration::from_hours(1));
    assert_eq!(
        server.login(&cached(project.exec("x").await.unwrap())).user,
        login.user
    );
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn no_statement_has_the_password() {
    let server = Server::new();
    let project = server.project(&server.lease(""));
    let login = server.login(&minted(project.exec("x").await.unwrap()));
    let folder = variable("FNOX_TEST_MARIADB_FOLDER");
    let log = std::fs::read(format!("{folder}/statements.log")).unwrap();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains(&format!("CREATE USER '{}'", login.user)));
    assert!(!log.contains(&login.password));
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn revocation_ends_sessions_and_drops_the_user() {
    let server = Server::new();
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    let login = server.login(&held);
    let mut session = login
        .command(&["--skip-ssl", "--execute", "SELECT SLEEP(600)"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let sessions = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{}'",
        login.user
    );
    fnox_testkit::wait::until("a session", std::time::Duration::from_secs(30), || {
        server.root.says(&sessions) == Ok("1".to_owned())
    });
    revoked(&project.manager().revoke("x").await.unwrap());
    session.wait().unwrap();
    assert_eq!(server.root.says(&sessions), Ok("0".to_owned()));
    assert_eq!(server.accounts(&login.user), "");
    let error = login.says("SELECT 1").unwrap_err();
    assert!(error.contains("Access denied"), "{error}");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_user_that_somebody_else_dropped_counts_as_withdrawn() {
    let server = Server::new();
    let statement = "revoke_statements = ['REVOKE ALL, GRANT OPTION FROM {{ user }}']";
    let project = server.project(&server.lease(statement));
    let login = server.login(&minted(project.exec("x").await.unwrap()));
    let drop = format!("DROP USER {}@'%'", login.user);
    server.root.says(&drop).unwrap();
    revoked(&project.manager().revoke("x").await.unwrap());
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn statements_before_the_drop_are_run() {
    let server = Server::new();
    let keys = "revoke_statements = ['REVOKE ALL, GRANT OPTION FROM {{ user }}', 'NONSENSE']";
    let mut project = server.project(&server.lease(keys));
    let login = server.login(&minted(project.exec("x").await.unwrap()));
    let outcomes = project.manager().revoke("x").await.unwrap();
    let error = outcomes[0].failure().unwrap().to_string();
    assert!(
        error.contains("statement 2 of `revoke_statements`"),
        "{error}"
    );
    // The user is locked and has lost its rights already.
    let locked = login.says("SELECT 1").unwrap_err();
    assert!(locked.contains("locked"), "{locked}");
    let show = format!("SHOW GRANTS FOR {}@'%'", login.user);
    let grants = server.root.says(&show).unwrap();
    assert!(!grants.contains("SELECT"), "{grants}");
    project.edit(&server.lease(""));
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.accounts(&login.user), "");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_user_whose_creation_was_not_answered_is_found_and_dropped() {
    let server = Server::new();
    let prefix = own_prefix();
    // By then the user is there and its rights are not.
    let port = Relay::LosesAnswerTo("GRANT SELECT")
        .start(server.root.port)
        .await;
    let grant = format!(
        "GRANT SELECT ON {}.orders TO {{{{ user }}}}",
        server.database
    );
    let keys = format!("user_prefix = '{prefix}'");
    let mut project = server.project(&server.lease_with(&[&grant], port, &keys));
    project.limits.call = std::time::Duration::from_secs(5);
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), fnox_core::ExitStatus::Unavailable);
    assert!(server.accounts(&prefix).ends_with("@%"), "{error}");
    let records = project.manager().list().await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].state, LeaseState::Pending);
    project.edit(&server.lease(&keys));
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.accounts(&prefix), "");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_user_whose_creator_was_killed_is_found_and_dropped() {
    let server = Server::new();
    let prefix = own_prefix();
    let port = Relay::WithholdsAnswerTo("GRANT SELECT")
        .start(server.root.port)
        .await;
    let grant = format!(
        "GRANT SELECT ON {}.orders TO {{{{ user }}}}",
        server.database
    );
    let keys = format!("user_prefix = '{prefix}'");
    let mut project = server.project(&server.lease_with(&[&grant], port, &keys));
    let master = ("FNOX_DATABASE_PASSWORD", &*server.administrator.password);
    let mut creator = child::start("acquire", &project.root, &[master]);
    while server.accounts(&prefix).is_empty() {
        assert!(creator.try_wait().unwrap().is_none(), "it has ended");
        tokio::task::yield_now().await;
    }
    creator.kill().unwrap();
    creator.wait().unwrap();
    let records = project.manager().list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Pending);
    project.edit(&server.lease(&keys));
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.accounts(&prefix), "");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn an_orphan_is_found_although_the_prefix_changed_if_the_administrator_may_look() {
    let server = Server::new();
    let look = format!(
        "GRANT SELECT ON mysql.user TO {}@'%'",
        server.administrator.user
    );
    server.root.says(&look).unwrap();
    let prefix = own_prefix();
    let port = Relay::LosesAnswerTo("GRANT SELECT")
        .start(server.root.port)
        .await;
    let grant = format!(
        "GRANT SELECT ON {}.orders TO {{{{ user }}}}",
        server.database
    );
    let keys = format!("user_prefix = '{prefix}'\nuser_host = '127.0.0.%'");
    let mut project = server.project(&server.lease_with(&[&grant], port, &keys));
    project.limits.call = std::time::Duration::from_secs(5);
    project.exec("x").await.unwrap_err();
    assert!(server.accounts(&prefix).ends_with("@127.0.0.%"));
    project.edit(&server.lease("user_prefix = 'another_'"));
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.accounts(&prefix), "");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn renewal_is_another_user_and_the_old_one_works_until_its_end() {
    let server = Server::new();
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    project.clock.advance(jiff::SignedDuration::from_mins(58));
    let request = fnox_leases::Acquire::for_exec(&held.lease);
    let renewed = project.manager().renew(&held, request).await.unwrap();
    let (old, new) = (server.login(&held), server.login(&renewed));
    assert_ne!(old.user, new.user);
    for login in [old, new] {
        assert_eq!(login.says("SELECT 1"), Ok("1".to_owned()));
    }
}
