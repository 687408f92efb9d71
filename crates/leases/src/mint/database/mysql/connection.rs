//! A connection of the administrator.

use fnox_core::SecretString;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder, SslOpts};

use super::super::account::Account;
use super::super::settings::Place;
use super::super::statement::Statement;
use super::super::tls;
use super::super::trouble::{Effort, Step};
use crate::mint::MintError;

/// Whose words for users a server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// MySQL.
    Mysql,
    /// MariaDB.
    MariaDb,
}

/// A connection.
pub(super) struct Connection<'a> {
    pub(super) effort: Effort<'a>,
    inner: Conn,
}

impl<'a> Connection<'a> {
    pub(super) async fn open(effort: Effort<'a>) -> Result<Self, MintError> {
        let options = options(&effort)?;
        let inner = effort
            .within_connect_limit(Conn::new(options))
            .await?
            .map_err(|error| no_connection(&effort, &error))?;
        Ok(Self { effort, inner })
    }

    /// Says good-bye, so that the server counts no aborted client.
    pub(super) async fn close(self) {
        let _ = self.effort.within(self.inner.disconnect()).await;
    }

    pub(super) async fn flavour(&mut self) -> Result<Flavour, MintError> {
        let step = Step::Own("ask for the version");
        let version: Option<String> = self
            .effort
            .within(self.inner.query_first("SELECT VERSION()"))
            .await?
            .map_err(|error| problem(&self.effort, step, &error))?;
        let is_mariadb = version.is_some_and(|version| version.contains("MariaDB"));
        Ok(if is_mariadb {
            Flavour::MariaDb
        } else {
            Flavour::Mysql
        })
    }

    /// Runs one statement.
    pub(super) async fn run(&mut self, step: Step, sql: &str) -> Result<(), MintError> {
        let outcome = self.try_run(sql).await?;
        outcome.map_err(|error| self.problem(step, &error))
    }

    /// The same, where the caller looks at the server's answer.
    pub(super) async fn try_run(&mut self, sql: &str) -> Result<Result<(), Error>, MintError> {
        // A prepared statement is one statement, whatever its text says.
        self.effort.within(self.inner.exec_drop(sql, ())).await
    }

    /// Runs statements of the configuration.
    pub(super) async fn run_statements(
        &mut self,
        key: &'static str,
        statements: &[Statement],
        user: &str,
    ) -> Result<(), MintError> {
        for (index, statement) in statements.iter().enumerate() {
            self.run(Step::Statement(key, index + 1), &statement.for_user(user))
                .await?;
        }
        Ok(())
    }

    /// The accounts whose names end in a short id, as far as the administrator may look.
    pub(super) async fn accounts_ending_in(
        &mut self,
        short: &str,
    ) -> Result<Vec<Account>, MintError> {
        let sql = "SELECT User, Host FROM mysql.user WHERE RIGHT(User, CHAR_LENGTH(?)) = ?";
        let found: Result<Vec<(String, String)>, Error> = self
            .effort
            .within(self.inner.exec(sql, (short, short)))
            .await?;
        let rows = match found {
            Ok(rows) => rows,
            // The rest of what makes and drops users works without this right.
            Err(Error::Server(answer)) if is_denied(answer.code) => return Ok(Vec::new()),
            Err(error) => return Err(self.problem(Step::Own("look for a user"), &error)),
        };
        Ok(rows
            .into_iter()
            .filter_map(|(name, host)| Account::of_id(&format!("{name}@{host}")))
            .collect())
    }

    /// Whether the administrator sees the sessions of others.
    pub(super) async fn sees_sessions(&mut self) -> Result<bool, MintError> {
        let sql = "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES \
                   WHERE PRIVILEGE_TYPE = 'PROCESS' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER()";
        let count: Option<u64> = self
            .effort
            .within(self.inner.query_first(sql))
            .await?
            .map_err(|error| self.problem(Step::Own("look at its rights"), &error))?;
        Ok(count.is_some_and(|count| count > 0))
    }

    /// The sessions of a user.
    pub(super) async fn sessions(&mut self, name: &str) -> Result<Vec<u64>, MintError> {
        let sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ?";
        self.effort
            .within(self.inner.exec(sql, (name,)))
            .await?
            .map_err(|error| self.problem(Step::Own("look for sessions"), &error))
    }

    /// What the server's answer means.
    pub(super) fn problem(&self, step: Step, error: &Error) -> MintError {
        problem(&self.effort, step, error)
    }
}

fn options(effort: &Effort<'_>) -> Result<OptsBuilder, MintError> {
    let settings = effort.settings;
    let mut options = OptsBuilder::default()
        .user(Some(&settings.username))
        .pass(effort.password.map(SecretString::expose_secret))
        .db_name(settings.database.as_deref())
        // A server that names a socket after the log-in would lead elsewhere.
        .prefer_socket(false);
    options = match &settings.place {
        Place::Host(host) => options.ip_or_hostname(host).tcp_port(settings.port),
        Place::Socket(path) => options.socket(path.to_str()),
    };
    if settings.is_encrypted {
        // A second call finds the provider of the first one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authorities = tls::authorities(settings)?;
        let authorities = authorities
            .iter()
            .map(|certificate| certificate.to_vec().into())
            .collect();
        options = options.ssl_opts(
            SslOpts::default()
                .with_disable_built_in_roots(true)
                .with_root_certs(authorities),
        );
    }
    Ok(options)
}

/// Whether the server answered, so that it is known what came of a statement.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Server(_))
}

fn no_connection(effort: &Effort<'_>, error: &Error) -> MintError {
    let Error::Server(answer) = error else {
        let lost = effort.lost(&error.to_string());
        return if effort.settings.is_encrypted {
            lost.with_remedy(
                "check `host`, which the server's certificate must name, and `ca_file`; \
                 the connection is never made without TLS instead",
            )
        } else {
            lost
        };
    };
    match answer.code {
        // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_HOST_NOT_PRIVILEGED, ER_ACCOUNT_HAS_BEEN_LOCKED,
        // ER_MUST_CHANGE_PASSWORD_LOGIN
        1045 | 1698 | 1130 | 3118 | 4151 | 1862 => effort.not_let_in(&answer.message),
        // ER_BAD_DB_ERROR
        1049 => effort.no_database(&answer.message),
        // ER_SECURE_TRANSPORT_REQUIRED
        3159 => MintError::misconfigured(
            "tls",
            format!("`tls` must be `require`: {}", answer.message),
        ),
        code if is_denied(code) => effort.denied(Step::Own("connect"), &answer.message, RIGHTS),
        _ => effort.later(Step::Own("connect"), &answer.message),
    }
}

fn problem(effort: &Effort<'_>, step: Step, error: &Error) -> MintError {
    let Error::Server(answer) = error else {
        return effort.lost(&error.to_string());
    };
    if is_denied(answer.code) {
        return effort.denied(step, &answer.message, RIGHTS);
    }
    match answer.code {
        // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_SERVER_SHUTDOWN, ER_OPTION_PREVENTS_STATEMENT (read only)
        1205 | 1213 | 1053 | 1290 => effort.later(step, &answer.message),
        _ => effort.refused(step, &answer.message),
    }
}

pub(super) const RIGHTS: &str = "the administrator needs CREATE USER, PROCESS and CONNECTION_ADMIN (MariaDB: \
                                 CONNECTION ADMIN), and the rights that it gives WITH GRANT OPTION";

/// `ER_DBACCESS_DENIED_ERROR`, `ER_TABLEACCESS_DENIED_ERROR`, `ER_COLUMNACCESS_DENIED_ERROR`,
/// `ER_SPECIFIC_ACCESS_DENIED_ERROR`, `ER_PROCACCESS_DENIED_ERROR`, `ER_CANT_CREATE_USER_WITH_GRANT`,
/// `ER_KILL_DENIED_ERROR`, and `ER_ACCESS_DENIED_ERROR`, which also answers a GRANT of what one does not have.
fn is_denied(code: u16) -> bool {
    matches!(code, 1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1410 | 1095)
}
