//! A connection of the administrator.
//!
//! Its `search_path` is `pg_catalog` alone but while statements of the configuration run: users that may create
//! functions in a schema of the path could else have the administrator run them (CVE-2018-1058).

use std::error::Error as _;

use fnox_core::Lifetime;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, NoTls, Row};

use super::super::account::is_plain;
use super::super::settings::Place;
use super::super::statement::Statement;
use super::super::tls::Encryption;
use super::super::trouble::{Effort, Step};
use crate::mint::MintError;

/// A connection. It ends with this value.
pub(super) struct Connection<'a> {
    pub(super) effort: Effort<'a>,
    client: Client,
    carrier: JoinHandle<()>,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // A statement that was not answered in time must not hold the connection: its transaction ends with it.
        self.carrier.abort();
    }
}

/// A user of the server.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) may_log_in: bool,
}

impl<'a> Connection<'a> {
    pub(super) async fn open(effort: Effort<'a>) -> Result<Self, MintError> {
        let config = config(&effort);
        let connected = if effort.settings.is_encrypted {
            let encryption = Encryption::new(effort.settings)?;
            effort
                .within_connect_limit(config.connect(encryption))
                .await?
                .map(|(client, connection)| (client, tokio::spawn(carry(connection))))
        } else {
            effort
                .within_connect_limit(config.connect(NoTls))
                .await?
                .map(|(client, connection)| (client, tokio::spawn(carry(connection))))
        };
        let (client, carrier) = connected.map_err(|error| no_connection(&effort, &error))?;
        let connection = Self {
            effort,
            client,
            carrier,
        };
        connection.use_own_path().await?;
        Ok(connection)
    }

    async fn use_own_path(&self) -> Result<(), MintError> {
        let step = Step::Own("set up the connection");
        self.run(step, "SET search_path = pg_catalog").await
    }

    /// Runs statements without parameters.
    pub(super) async fn run(&self, step: Step, sql: &str) -> Result<(), MintError> {
        self.try_run(sql)
            .await?
            .map_err(|error| self.problem(step, &error))
    }

    /// The same, where the caller looks at the server's answer.
    pub(super) async fn try_run(&self, sql: &str) -> Result<Result<(), Error>, MintError> {
        self.effort.within(self.client.batch_execute(sql)).await
    }

    pub(super) async fn query(
        &self,
        step: Step,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, MintError> {
        self.effort
            .within(self.client.query(sql, parameters))
            .await?
            .map_err(|error| self.problem(step, &error))
    }

    /// Runs statements of the configuration. They run as they do for the administrator elsewhere, and each is one
    /// statement: the protocol's extended form takes no more.
    pub(super) async fn run_statements(
        &self,
        key: &'static str,
        statements: &[Statement],
        user: &str,
    ) -> Result<(), MintError> {
        let set_up = Step::Own("set up the connection");
        self.run(set_up, "RESET search_path").await?;
        for (index, statement) in statements.iter().enumerate() {
            let sql = statement.for_user(user);
            self.effort
                .within(self.client.execute(sql.as_str(), &[]))
                .await?
                .map_err(|error| self.problem(Step::Statement(key, index + 1), &error))?;
        }
        self.use_own_path().await
    }

    pub(super) async fn begin(&self) -> Result<(), MintError> {
        self.run(Step::Own("begin a transaction"), "BEGIN").await
    }

    /// # Errors
    /// [`MintError`] that says whether nobody knows what came of it.
    pub(super) async fn commit(&self) -> Result<(), MintError> {
        let step = Step::Own("commit");
        match self.try_run("COMMIT").await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.as_db_error().is_some() => Err(self.problem(step, &error)),
            Ok(Err(error)) => Err(self.problem(step, &error).maybe_issued()),
            Err(error) => Err(error.maybe_issued()),
        }
    }

    /// The moment so far from now, by the server's clock, in whole seconds.
    ///
    /// # Errors
    /// [`MintError`] also if it is in the past by this machine's clock.
    pub(super) async fn end_after(&self, duration: Lifetime) -> Result<Timestamp, MintError> {
        let sql = "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint";
        let rows = self.query(Step::Own("ask for the time"), sql, &[]).await?;
        let now = rows
            .first()
            .and_then(|row| row.try_get::<_, i64>(0).ok())
            .and_then(|second| Timestamp::from_second(second).ok())
            .ok_or_else(|| self.effort.lost("the server does not tell its time"))?;
        let life = SignedDuration::try_from(duration.as_duration()).unwrap_or(SignedDuration::MAX);
        let end = now.checked_add(life).unwrap_or(Timestamp::MAX);
        let here = self.effort.context.clock.now();
        if end <= here {
            return Err(MintError::unavailable(format!(
                "the clock of {} says {now} and this machine's {here}: the user would already have ended",
                self.effort.settings.address()
            ))
            .with_remedy("set the clock of this machine, or the server's"));
        }
        Ok(end)
    }

    pub(super) async fn role(&self, name: &str) -> Result<Option<Role>, MintError> {
        let sql = "SELECT oid, rolname::text, rolcanlogin FROM pg_roles WHERE rolname = $1";
        let rows = self.query(LOOK, sql, &[&name]).await?;
        Ok(roles(&rows).into_iter().next())
    }

    /// The users whose names end in a short id, whatever the prefix was when they were made.
    pub(super) async fn roles_ending_in(&self, short: &str) -> Result<Vec<Role>, MintError> {
        let sql = "SELECT oid, rolname::text, rolcanlogin FROM pg_roles \
                   WHERE right(rolname::text, length($1::text)) = $1::text";
        let rows = self.query(LOOK, sql, &[&short]).await?;
        Ok(roles(&rows))
    }

    /// What the server's answer means.
    pub(super) fn problem(&self, step: Step, error: &Error) -> MintError {
        let Some(answer) = error.as_db_error() else {
            return self.effort.lost(&reason_of(error));
        };
        let said = answer.message();
        if *answer.code() == SqlState::INSUFFICIENT_PRIVILEGE {
            return self.effort.denied(step, said, RIGHTS);
        }
        if is_passing(answer.code()) {
            return self.effort.later(step, said);
        }
        self.effort.refused(step, said)
    }
}

const LOOK: Step = Step::Own("look for a user");

const RIGHTS: &str = "the administrator needs CREATEROLE, pg_signal_backend, and the rights that it \
                      gives WITH GRANT OPTION";

fn config(effort: &Effort<'_>) -> Config {
    let settings = effort.settings;
    let mut config = Config::new();
    match &settings.place {
        Place::Host(host) => config.host(host),
        // A host that begins with a slash is the folder of a socket.
        Place::Socket(path) => config.host(path.to_string_lossy()),
    };
    config
        .port(settings.port)
        .user(&settings.username)
        .application_name("fnox")
        .connect_timeout(effort.context.connect_limit)
        .ssl_mode(if settings.is_encrypted {
            SslMode::Require
        } else {
            SslMode::Disable
        });
    if let Some(database) = &settings.database {
        config.dbname(database);
    }
    if let Some(password) = effort.password {
        config.password(password.expose_secret());
    }
    config
}

async fn carry<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // What ends it is told to whoever waits for an answer.
    let _ = connection.await;
}

fn no_connection(effort: &Effort<'_>, error: &Error) -> MintError {
    let Some(answer) = error.as_db_error() else {
        let reason = reason_of(error);
        let lost = effort.lost(&reason);
        return if reason.contains("TLS") || reason.contains("certificate") {
            lost.with_remedy(
                "check `host`, which the server's certificate must name, and `ca_file`; \
                 the connection is never made without TLS instead",
            )
        } else {
            lost
        };
    };
    let said = answer.message();
    let class = answer.code().code();
    if class.starts_with("28") {
        effort.not_let_in(said)
    } else if *answer.code() == SqlState::INVALID_CATALOG_NAME {
        effort.no_database(said)
    } else if *answer.code() == SqlState::INSUFFICIENT_PRIVILEGE {
        effort.denied(Step::Own("connect"), said, "GRANT CONNECT ON DATABASE")
    } else {
        effort.later(Step::Own("connect"), said)
    }
}

/// Classes 08 (connection), 40 (rolled back), 53 (resources), 55 (not now), 57 (intervention) and 58 (system).
fn is_passing(code: &SqlState) -> bool {
    ["08", "40", "53", "55", "57", "58"].contains(&code.code().get(..2).unwrap_or_default())
}

/// The outermost message says little; the innermost says why.
fn reason_of(error: &Error) -> String {
    let mut reason = error.to_string();
    let mut current = error.source();
    while let Some(inner) = current {
        let text = inner.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        current = inner.source();
    }
    reason
}

fn roles(rows: &[Row]) -> Vec<Role> {
    rows.iter()
        .filter_map(|row| {
            Some(Role {
                oid: row.try_get(0).ok()?,
                name: row.try_get(1).ok()?,
                may_log_in: row.try_get(2).ok()?,
            })
        })
        // No other name can be one of fnox's.
        .filter(|role| is_plain(&role.name))
        .collect()
}
