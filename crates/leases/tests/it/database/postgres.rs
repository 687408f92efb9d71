//! Users of a real PostgreSQL, made by an administrator that is no superuser.

mod failures;
mod tls;

use std::process::Command;

use fnox_core::lease::LeaseState;
use fnox_core::{Clock as _, Env, Lifetime};
use fnox_leases::{Acquire, Acquired, RevocationOutcome};
use tokio_postgres::{Client, NoTls};
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

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// What `psql` says to a statement, or why it does not.
fn psql(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
        .args(["--set=ON_ERROR_STOP=1", "--command", sql, url])
        .env_remove("PGPASSWORD")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

/// A database of its own with an administrator of its own.
struct Server {
    superuser: Client,
    url: String,
    port: u16,
    database: String,
    administrator: String,
    password: String,
}

impl Server {
    async fn new() -> Self {
        Self::at(&variable("FNOX_TEST_POSTGRES_URL")).await
    }

    async fn at(url: &str) -> Self {
        let id = Uuid::now_v7().simple().to_string();
        let (database, administrator) = (format!("test_{id}"), format!("admin_{id}"));
        let password = format!("master-{id}");
        let first = connect(url).await;
        first
            .batch_execute(&format!(
                "CREATE ROLE {administrator} LOGIN CREATEROLE PASSWORD '{password}'; \
                 GRANT pg_signal_backend TO {administrator}"
            ))
            .await
            .unwrap();
        let create = format!("CREATE DATABASE {database} OWNER {administrator}");
        first.batch_execute(&create).await.unwrap();
        let (server, _) = url.rsplit_once('/').unwrap();
        let url = format!("{server}/{database}");
        let superuser = connect(&url).await;
        superuser
            .batch_execute(&format!(
                "SET ROLE {administrator}; \
                 CREATE SCHEMA app; \
                 CREATE TABLE app.orders (id int); \
                 INSERT INTO app.orders VALUES (7); \
                 RESET ROLE; \
                 CREATE TABLE app.others (id int)"
            ))
            .await
            .unwrap();
        let port = server.rsplit_once(':').unwrap().1.parse().unwrap();
        Self {
            superuser,
            url,
            port,
            database,
            administrator,
            password,
        }
    }

    /// `[leases.x]` with grants for reading.
    fn lease(&self, more: &str) -> String {
        self.lease_with(
            &[
                "GRANT USAGE ON SCHEMA app TO {{ user }}",
                "GRANT SELECT ON app.orders TO {{user}}",
            ],
            self.port,
            more,
        )
    }

    fn lease_with(&self, grants: &[&str], port: u16, more: &str) -> String {
        format!(
            "[leases.x]\ntype = 'database'\nengine = 'postgres'\nhost = '127.0.0.1'\nport = {port}\n\
             database = '{}'\nusername = '{}'\ngrants = {grants:?}\nduration = '1h'\n{more}\n",
            self.database, self.administrator
        )
    }

    fn project(&self, lease: &str) -> Project {
        Project::with_env(lease, &[("FNOX_DATABASE_PASSWORD", &self.password)])
    }

    /// The users that fnox made here, and whether they may log in. Every test has a prefix or a database of its own, and
    /// users without any right here are nobody's of this test.
    async fn role(&self, name: &str) -> Option<bool> {
        let sql = "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1";
        let row = self.superuser.query_opt(sql, &[&name]).await.unwrap();
        row.map(|row| row.get(0))
    }

    async fn roles_of(&self, prefix: &str) -> Vec<String> {
        let sql = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, $1)";
        let rows = self.superuser.query(sql, &[&prefix]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// A prefix that no other test has.
fn own_prefix() -> String {
    // The end of it is random.
    let id = Uuid::now_v7().simple().to_string();
    format!("t{}_", &id[20..])
}

fn value<'a>(held: &'a fnox_leases::Held, name: &str) -> &'a str {
    held.credential.variable(name).unwrap().expose_secret()
}

fn revoked(outcomes: &[fnox_leases::Revocation]) {
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert!(
        matches!(outcomes[0].outcome, RevocationOutcome::Revoked),
        "{outcomes:?}"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_user_has_its_grants_and_no_more() {
    let server = Server::new().await;
    let project = server.project(&server.lease("connection_limit = 2"));
    let held = minted(project.exec("x").await.unwrap());
    let names: Vec<&str> = held
        .credential
        .variables
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        ["DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_URL"]
    );
    let (url, user) = (value(&held, "DATABASE_URL"), value(&held, "DATABASE_USER"));
    assert_eq!(psql(url, "SELECT id FROM app.orders"), Ok("7".to_owned()));
    assert_eq!(psql(url, "SELECT current_user"), Ok(user.to_owned()));
    for denied in [
        "INSERT INTO app.orders VALUES (1)",
        "SELECT * FROM app.others",
        "CREATE TABLE app.mine (id int)",
        "CREATE ROLE somebody",
    ] {
        let error = psql(url, denied).unwrap_err();
        assert!(error.contains("permission denied"), "{denied}: {error}");
    }
    let row = server
        .superuser
        .query_one(
            "SELECT extract(epoch FROM rolvaliduntil)::bigint, rolconnlimit, rolsuper \
             FROM pg_roles WHERE rolname = $1",
            &[&user],
        )
        .await
        .unwrap();
    assert_eq!(
        row.get::<_, i64>(0),
        held.credential.expires_at.unwrap().as_second()
    );
    assert_eq!((row.get::<_, i32>(1), row.get::<_, bool>(2)), (2, false));
    assert!(held.withhold.contains(&"FNOX_DATABASE_PASSWORD".to_owned()));
    assert_eq!(
        value(&cached(project.exec("x").await.unwrap()), "DATABASE_USER"),
        user
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_user_cannot_log_in_after_its_end() {
    let server = Server::new().await;
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    let (url, user) = (value(&held, "DATABASE_URL"), value(&held, "DATABASE_USER"));
    assert_eq!(psql(url, "SELECT 1"), Ok("1".to_owned()));
    let end = format!("ALTER ROLE \"{user}\" VALID UNTIL '2020-01-01'");
    server.superuser.batch_execute(&end).await.unwrap();
    let error = psql(url, "SELECT 1").unwrap_err();
    assert!(error.contains("password authentication failed"), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn revocation_ends_sessions_and_drops_the_user() {
    let server = Server::new().await;
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    let url = value(&held, "DATABASE_URL").to_owned();
    let session = connect(&url).await;
    session.query("SELECT 1", &[]).await.unwrap();
    let outcomes = project.manager().revoke("x").await.unwrap();
    revoked(&outcomes);
    assert!(session.query("SELECT 1", &[]).await.is_err());
    assert_eq!(server.role(value(&held, "DATABASE_USER")).await, None);
    assert!(psql(&url, "SELECT 1").is_err());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_user_that_somebody_else_dropped_counts_as_withdrawn() {
    let server = Server::new().await;
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    let user = value(&held, "DATABASE_USER");
    let drop = format!("DROP OWNED BY \"{user}\"; DROP ROLE \"{user}\"");
    server.superuser.batch_execute(&drop).await.unwrap();
    revoked(&project.manager().revoke("x").await.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_owner_is_locked_and_named_until_it_is_said_who_inherits() {
    let server = Server::new().await;
    let grants = ["GRANT USAGE, CREATE ON SCHEMA app TO {{ user }}"];
    let mut project = server.project(&server.lease_with(&grants, server.port, ""));
    let held = minted(project.exec("x").await.unwrap());
    let (url, user) = (value(&held, "DATABASE_URL"), value(&held, "DATABASE_USER"));
    psql(url, "CREATE TABLE app.mine AS SELECT 42 AS answer").unwrap();
    let outcomes = project.manager().revoke("x").await.unwrap();
    let error = outcomes[0].failure().unwrap();
    assert!(error.to_string().contains("owns table app.mine"), "{error}");
    assert!(error.help().unwrap().contains("REASSIGN OWNED BY"));
    assert_eq!(error.exit_status(), fnox_core::ExitStatus::Denied);
    // Nothing is lost, and nobody can log in.
    assert_eq!(server.role(user).await, Some(false));
    assert!(psql(url, "SELECT 1").is_err());
    let reassign = format!(
        "revoke_statements = ['REASSIGN OWNED BY {{{{ user }}}} TO {}']",
        server.administrator
    );
    project.edit(&server.lease_with(&grants, server.port, &reassign));
    let report = project.manager().cleanup().await.unwrap();
    revoked(&report.settled);
    assert_eq!(server.role(user).await, None);
    let sql = "SELECT answer FROM app.mine";
    let row = server.superuser.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 42);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn rights_in_another_database_are_named_and_the_user_is_locked() {
    let server = Server::new().await;
    let other = Server::new().await;
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    let user = value(&held, "DATABASE_USER");
    let grant = format!("GRANT SELECT ON app.orders TO \"{user}\"");
    other.superuser.batch_execute(&grant).await.unwrap();
    let outcomes = project.manager().revoke("x").await.unwrap();
    let error = outcomes[0].failure().unwrap().to_string();
    assert!(error.contains(&other.database), "{error}");
    assert_eq!(server.role(user).await, Some(false));
    let take = format!("DROP OWNED BY \"{user}\"");
    other.superuser.batch_execute(&take).await.unwrap();
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.role(user).await, None);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn renewal_moves_the_end_of_the_same_user() {
    let server = Server::new().await;
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    let request = Acquire {
        duration: Some(Lifetime::from_secs(2 * 3600)),
        ..Acquire::for_exec(&held.lease)
    };
    let manager = project.manager();
    let renewed = manager.renew(&held, request.clone()).await.unwrap();
    let user = value(&held, "DATABASE_USER");
    assert_eq!(value(&renewed, "DATABASE_USER"), user);
    assert_eq!(
        value(&renewed, "DATABASE_PASSWORD"),
        value(&held, "DATABASE_PASSWORD")
    );
    let sql = "SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE rolname = $1";
    let end: i64 = server
        .superuser
        .query_one(sql, &[&user])
        .await
        .unwrap()
        .get(0);
    assert_eq!(end, renewed.credential.expires_at.unwrap().as_second());
    assert!(renewed.credential.expires_at > held.credential.expires_at);

    // A user that an administrator locked is not revived: there is a new one instead.
    let lock = format!("ALTER ROLE \"{user}\" NOLOGIN");
    server.superuser.batch_execute(&lock).await.unwrap();
    let longer = Acquire {
        duration: Some(Lifetime::from_secs(3 * 3600)),
        ..request
    };
    let replaced = manager.renew(&renewed, longer).await.unwrap();
    assert_ne!(value(&replaced, "DATABASE_USER"), user);
    assert_eq!(server.role(user).await, Some(false));
    let url = value(&replaced, "DATABASE_URL");
    assert_eq!(psql(url, "SELECT 1"), Ok("1".to_owned()));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_user_whose_creation_was_not_answered_is_found_and_dropped() {
    let server = Server::new().await;
    let prefix = own_prefix();
    let port = Relay::LosesAnswerTo("COMMIT").start(server.port).await;
    let grants = ["GRANT USAGE ON SCHEMA app TO {{ user }}"];
    let keys = format!("user_prefix = '{prefix}'");
    let mut project = server.project(&server.lease_with(&grants, port, &keys));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), fnox_core::ExitStatus::Unavailable);
    assert_eq!(server.roles_of(&prefix).await.len(), 1, "{error}");
    let records = project.manager().list().await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].state, LeaseState::Pending);
    // It is found although the prefix is another one by now.
    project.edit(&server.lease_with(&grants, server.port, "user_prefix = 'another_'"));
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.roles_of(&prefix).await, Vec::<String>::new());
    assert!(matches!(project.exec("x").await, Ok(Acquired::Minted(_))));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_user_whose_creator_was_killed_is_found_and_dropped() {
    let server = Server::new().await;
    let prefix = own_prefix();
    let port = Relay::WithholdsAnswerTo("COMMIT").start(server.port).await;
    let grants = ["GRANT USAGE ON SCHEMA app TO {{ user }}"];
    let keys = format!("user_prefix = '{prefix}'");
    let mut project = server.project(&server.lease_with(&grants, port, &keys));
    let master = ("FNOX_DATABASE_PASSWORD", &*server.password);
    let mut creator = child::start("acquire", &project.root, &[master]);
    while server.roles_of(&prefix).await.is_empty() {
        assert!(creator.try_wait().unwrap().is_none(), "it has ended");
        tokio::task::yield_now().await;
    }
    creator.kill().unwrap();
    creator.wait().unwrap();
    let records = project.manager().list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Pending);
    project.edit(&server.lease_with(&grants, server.port, &keys));
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.roles_of(&prefix).await, Vec::<String>::new());
}

/// Functions that a user put into a schema of the administrator's path are not run by the administrator.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn functions_of_users_are_not_run_by_the_administrator() {
    let server = Server::new().await;
    // A better match for comparisons of the administrator's than the system's own, for which a value is converted.
    server
        .superuser
        .batch_execute(
            "CREATE TABLE public.hits (who text); GRANT ALL ON public.hits TO PUBLIC; \
             CREATE FUNCTION public.trap(oid, regclass) RETURNS boolean LANGUAGE sql \
             AS $$ INSERT INTO public.hits VALUES (current_user); SELECT true $$; \
             CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = public.trap)",
        )
        .await
        .unwrap();
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    let url = value(&held, "DATABASE_URL");
    // So the trap works.
    let trap = "SELECT 0::oid = 'pg_authid'::regclass";
    assert_eq!(psql(url, trap), Ok("t".to_owned()));
    revoked(&project.manager().revoke("x").await.unwrap());
    let sql = "SELECT who FROM public.hits WHERE who = $1";
    for (who, times) in [
        (value(&held, "DATABASE_USER"), 1),
        (server.administrator.as_str(), 0),
    ] {
        let hits = server.superuser.query(sql, &[&who]).await.unwrap();
        assert_eq!(hits.len(), times, "{who}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_expired_user_is_dropped_by_cleanup() {
    let server = Server::new().await;
    let project = server.project(&server.lease(""));
    let held = minted(project.exec("x").await.unwrap());
    project.clock.advance(jiff::SignedDuration::from_hours(2));
    assert!(held.credential.expires_at.unwrap() < project.clock.now());
    revoked(&project.manager().cleanup().await.unwrap().settled);
    assert_eq!(server.role(value(&held, "DATABASE_USER")).await, None);
}
