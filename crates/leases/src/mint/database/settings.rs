//! The keys of a `database` lease, checked so that none of them can become another part of a statement or an
//! address than its own.

use std::fmt;
use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::name::is_variable_name;

use super::account::{Account, ID_LENGTH, is_host_character, is_plain};
use super::statement::Statement;

/// Whose protocol and words are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// On a host.
    Host(String),
    /// On a Unix socket: the folder that has it (PostgreSQL), or itself (MySQL).
    Socket(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => formatter.write_str(host),
            Self::Socket(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) engine: Engine,
    pub(super) place: Place,
    pub(super) port: u16,
    pub(super) database: Option<String>,
    pub(super) username: String,
    pub(super) password_variable: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) is_encrypted: bool,
    pub(super) grants: Vec<Statement>,
    pub(super) revoke_statements: Vec<Statement>,
    pub(super) user_prefix: String,
    pub(super) user_host: String,
    pub(super) connection_limit: Option<u32>,
    pub(super) user_variable: String,
    pub(super) new_password_variable: String,
    pub(super) url_variable: Option<String>,
}

/// Longest prefix: 32 characters of a MySQL user's name (MySQL 8.0 Reference Manual, 8.2.1 "Account User Names and
/// Passwords") without those of the id.
const PREFIX_LIMIT: usize = 32 - ID_LENGTH;

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let engine = match fields.text("engine") {
            Some("mysql") => Engine::Mysql,
            _ => Engine::Postgres,
        };
        let place = place(fields)?;
        let user_host = user_host(fields, engine)?;
        Ok(Self {
            engine,
            port: port(fields, engine)?,
            database: name(fields, "database")?
                .or_else(|| (engine == Engine::Postgres).then(|| "postgres".to_owned())),
            username: name(fields, "username")?
                .ok_or_else(|| fields.invalid("username", "must not be empty"))?,
            password_variable: variable(fields, "password_variable", "FNOX_DATABASE_PASSWORD")?,
            ca_file: fields.path("ca_file", home),
            is_encrypted: is_encrypted(fields, &place)?,
            place,
            grants: statements(fields, "grants")?,
            revoke_statements: statements(fields, "revoke_statements")?,
            user_prefix: user_prefix(fields)?,
            user_host,
            connection_limit: connection_limit(fields)?,
            user_variable: variable(fields, "user_env_var", "DATABASE_USER")?,
            new_password_variable: variable(fields, "password_env_var", "DATABASE_PASSWORD")?,
            url_variable: match fields.text("url_env_var") {
                Some("") => None,
                _ => Some(variable(fields, "url_env_var", "DATABASE_URL")?),
            },
        })
    }

    /// The user whose name ends in a short id.
    pub(super) fn account_for(&self, short_id: &str) -> Account {
        Account {
            name: format!("{}{short_id}", self.user_prefix),
            host: self.user_host.clone(),
        }
    }

    /// The user as it stands in statements.
    pub(super) fn quoted(&self, account: &Account) -> String {
        match self.engine {
            Engine::Postgres => format!("\"{}\"", account.name),
            Engine::Mysql => format!("'{}'@'{}'", account.name, account.host),
        }
    }

    /// The server for people.
    pub(super) fn address(&self) -> String {
        let scheme = self.scheme();
        let database = self.database.as_deref().unwrap_or_default();
        match &self.place {
            Place::Host(host) if host.contains(':') => {
                format!("{scheme}://[{host}]:{}/{database}", self.port)
            }
            Place::Host(host) => format!("{scheme}://{host}:{}/{database}", self.port),
            Place::Socket(path) => format!("{} ({scheme})", path.display()),
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        match self.engine {
            Engine::Postgres => "postgres",
            Engine::Mysql => "mysql",
        }
    }

    pub(super) fn produces(&self) -> Vec<String> {
        let mut names = vec![
            self.user_variable.clone(),
            self.new_password_variable.clone(),
        ];
        names.extend(self.url_variable.clone());
        names
    }
}

fn place(fields: &Fields) -> Result<Place, ConfigError> {
    let host = fields.text("host").unwrap_or_default();
    if host.starts_with('/') {
        if cfg!(not(unix)) {
            return Err(fields.invalid("host", "is a Unix socket, which needs Linux or macOS"));
        }
        return Ok(Place::Socket(PathBuf::from(host)));
    }
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(fields.invalid(
            "host",
            "must be one host name, an address, or the path of a Unix socket",
        ));
    }
    if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(fields.invalid("host", "must not have a port: that is the key `port`"));
    }
    Ok(Place::Host(host.to_owned()))
}

fn port(fields: &Fields, engine: Engine) -> Result<u16, ConfigError> {
    let usual = match engine {
        Engine::Postgres => 5432,
        Engine::Mysql => 3306,
    };
    match fields.count("port") {
        None => Ok(usual),
        Some(port) => u16::try_from(port)
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| fields.invalid("port", "must be between 1 and 65535")),
    }
}

fn is_encrypted(fields: &Fields, place: &Place) -> Result<bool, ConfigError> {
    let is_socket = matches!(place, Place::Socket(_));
    let is_local = match place {
        Place::Socket(_) => true,
        Place::Host(host) => {
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    };
    match fields.text("tls") {
        Some("require") if is_socket => {
            Err(fields.invalid("tls", "cannot be `require` on a Unix socket"))
        }
        Some("disable") if fields.contains("ca_file") => Err(fields.invalid(
            "ca_file",
            "is of no use with `tls = \"disable\"`: one of them",
        )),
        Some(word) => Ok(word == "require"),
        // Who names certificates wants them checked.
        None => Ok(!is_local || (fields.contains("ca_file") && !is_socket)),
    }
}

fn user_prefix(fields: &Fields) -> Result<String, ConfigError> {
    let prefix = fields.text("user_prefix").unwrap_or("fnox_");
    let begins_well = prefix.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_plain(prefix) || !begins_well || prefix.len() > PREFIX_LIMIT {
        return Err(fields.invalid(
            "user_prefix",
            format!(
                "must have 1 to {PREFIX_LIMIT} lower-case letters, digits and `_`, a letter first"
            ),
        ));
    }
    // PostgreSQL 15 documentation, CREATE ROLE: names that begin with `pg_` are the system's own.
    if prefix.starts_with("pg_") {
        return Err(fields.invalid("user_prefix", "must not begin with `pg_`"));
    }
    Ok(prefix.to_owned())
}

fn user_host(fields: &Fields, engine: Engine) -> Result<String, ConfigError> {
    match (engine, fields.text("user_host")) {
        (Engine::Postgres, None) => Ok(String::new()),
        (Engine::Postgres, Some(_)) => {
            Err(fields.invalid("user_host", "is for `engine = \"mysql\"`"))
        }
        (Engine::Mysql, host) => {
            let host = host.unwrap_or("%");
            if host.is_empty() || host.len() > 255 || !host.chars().all(is_host_character) {
                return Err(fields.invalid(
                    "user_host",
                    "must be a host, an address or a network, `%` for any",
                ));
            }
            Ok(host.to_owned())
        }
    }
}

fn connection_limit(fields: &Fields) -> Result<Option<u32>, ConfigError> {
    match fields.count("connection_limit") {
        None => Ok(None),
        // Zero means "none at all" to one server and "any number" to the other.
        Some(limit) => u32::try_from(limit)
            .ok()
            .filter(|limit| (1..=1_000_000).contains(limit))
            .map(Some)
            .ok_or_else(|| fields.invalid("connection_limit", "must be between 1 and 1000000")),
    }
}

fn name(fields: &Fields, key: &str) -> Result<Option<String>, ConfigError> {
    match fields.text(key) {
        None | Some("") => Ok(None),
        Some(name) if name.chars().any(char::is_control) => {
            Err(fields.invalid(key, "must not have control characters"))
        }
        Some(name) => Ok(Some(name.to_owned())),
    }
}

fn variable(fields: &Fields, key: &str, usual: &str) -> Result<String, ConfigError> {
    let name = fields.text(key).unwrap_or(usual);
    if is_variable_name(name) {
        Ok(name.to_owned())
    } else {
        Err(fields.invalid(key, "must be the name of a variable"))
    }
}

fn statements(fields: &Fields, key: &str) -> Result<Vec<Statement>, ConfigError> {
    fields
        .list(key)
        .iter()
        .map(|text| Statement::parse(text).map_err(|reason| fields.invalid(key, reason)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEYS, settings};
    use super::*;
    use crate::testing;

    #[test]
    fn what_could_leave_its_place_is_an_error_with_a_line() {
        for (wrong, wanted) in [
            ("user_prefix = 'a\" SUPERUSER; --'", "`user_prefix` must"),
            ("user_prefix = \"a' OR 1\"", "`user_prefix` must"),
            ("user_prefix = 'A'", "`user_prefix` must"),
            ("user_prefix = ''", "`user_prefix` must"),
            ("user_prefix = '1a'", "`user_prefix` must"),
            (
                "user_prefix = 'a_name_that_is_too_long'",
                "`user_prefix` must",
            ),
            ("user_prefix = 'pg_x'", "pg_"),
            ("user_host = '%'", "for `engine"),
            ("port = 0", "`port` must"),
            ("port = 65536", "`port` must"),
            ("connection_limit = 0", "`connection_limit` must"),
            ("database = \"a\\u0000b\"", "control"),
            ("url_env_var = 'A B'", "name of a variable"),
            ("password_variable = ''", "name of a variable"),
            ("tls = 'disable'\nca_file = 'ca.pem'", "one of them"),
            ("revoke_statements = ['{{ x }}']", "only `{{ user }}`"),
        ] {
            let lease = testing::lease(&format!("{KEYS}{wrong}"));
            let error = Settings::read(&lease.fields, None).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wrong}: {error}");
            assert!(error.location().is_some_and(|location| location.line() > 1));
        }
    }

    #[test]
    fn hosts_are_one_host() {
        for (wrong, wanted) in [
            ("a,b", "one host"),
            ("a b", "one host"),
            ("u@a", "one host"),
            ("", "one host"),
            ("a:5432", "key `port`"),
        ] {
            let keys = KEYS.replace("db.example.com", wrong);
            let lease = testing::lease(&keys);
            let error = Settings::read(&lease.fields, None).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wrong}: {error}");
        }
    }

    #[test]
    fn connections_are_encrypted_unless_the_server_is_here() {
        let of = |host: &str, more: &str| {
            let keys = KEYS.replace("db.example.com", host);
            let lease = testing::lease(&format!("{keys}{more}"));
            Settings::read(&lease.fields, None).unwrap().is_encrypted
        };
        assert!(of("db.example.com", ""));
        assert!(of("10.0.0.1", ""));
        assert!(of("localhost.example.com", ""));
        assert!(!of("db.example.com", "tls = 'disable'"));
        for here in ["localhost", "127.0.0.1", "[::1]", "/run/postgresql"] {
            assert!(!of(here, ""), "{here}");
        }
        assert!(of("127.0.0.1", "tls = 'require'"));
        assert!(of("127.0.0.1", "ca_file = 'ca.pem'"));
    }

    #[test]
    fn names_are_quoted_as_the_server_does() {
        let postgres = settings("");
        let account = postgres.account_for("00ff");
        assert_eq!(postgres.quoted(&account), "\"fnox_00ff\"");
        let keys = KEYS.replace("'postgres'", "'mysql'");
        let lease = testing::lease(&format!("{keys}user_host = '10.%'"));
        let mysql = Settings::read(&lease.fields, None).unwrap();
        let account = mysql.account_for("00ff");
        assert_eq!(mysql.quoted(&account), "'fnox_00ff'@'10.%'");
        assert_eq!(account.id(), "fnox_00ff@10.%");
    }
}
