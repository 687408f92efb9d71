//! A connection URL, read and judged.
//!
//! Guarantees: the text that names the place to people holds no password, and neither does any error; a URL that
//! asks for what is not given here (TLS) is refused instead of served with less.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use fnox_vault::store::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::PostgresOptions;
use crate::schema::Schema;

/// Where a database is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// How to connect.
    pub(crate) config: Config,
    /// For people: `postgres://user@host:port/database`.
    pub(crate) name: String,
}

impl Place {
    /// Reads a URL.
    pub(crate) fn parse(
        url: &str,
        options: &PostgresOptions,
        schema: &Schema,
    ) -> Result<Self, StoreError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(not_a_url());
        }
        if url.contains("sslmode=verify") {
            return Err(no_tls("PostgreSQL".to_owned()));
        }
        // The parser's own messages may repeat parts of the password, for example one with a `?` in it.
        let mut config: Config = url.parse().map_err(|_| not_a_url())?;
        let name = describe(&config);
        match config.get_ssl_mode() {
            SslMode::Require => return Err(no_tls(name)),
            SslMode::Disable => {}
            _ if stays_on_this_machine(&config) => {}
            _ => {
                return Err(StoreError::Unsupported {
                    store: name,
                    action: "be reached over a network, because fnox does not speak TLS with PostgreSQL: use \
                             a Unix socket, an encrypting tunnel on 127.0.0.1, or `sslmode=disable` if the \
                             network encrypts by itself"
                        .to_owned(),
                });
            }
        }
        tune(&mut config, options, schema);
        Ok(Self { config, name })
    }
}

/// Time limits, durability whatever the server's default is, and where names without a schema are looked for.
fn tune(config: &mut Config, options: &PostgresOptions, schema: &Schema) {
    let limit = options.statement_limit.as_millis();
    let mut settings = config.get_options().unwrap_or_default().to_owned();
    let _ = write!(
        settings,
        " -c synchronous_commit=on -c statement_timeout={limit} -c lock_timeout={limit} \
         -c idle_in_transaction_session_timeout={limit} -c search_path={}",
        schema.name
    );
    config
        .options(settings.trim_start())
        .ssl_mode(SslMode::Disable)
        .connect_timeout(options.connect_limit)
        .tcp_user_timeout(options.connect_limit + options.statement_limit)
        .keepalives_idle(options.statement_limit.max(Duration::from_secs(1)));
    if config.get_application_name().is_none() {
        config.application_name(schema.application);
    }
}

fn stays_on_this_machine(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
    })
}

fn describe(config: &Config) -> String {
    let mut text = "postgres://".to_owned();
    if let Some(user) = config.get_user() {
        let _ = write!(text, "{}@", user.escape_debug());
    }
    let mut folder = None;
    for (index, host) in config.get_hosts().iter().enumerate() {
        let port = match config.get_ports() {
            [] => 5432,
            [port] => *port,
            ports => ports.get(index).copied().unwrap_or(5432),
        };
        match host {
            Host::Tcp(name) => {
                let comma = if index == 0 { "" } else { "," };
                let name = name.escape_debug();
                let _ = match config.get_hosts()[index] {
                    Host::Tcp(ref plain) if plain.contains(':') => {
                        write!(text, "{comma}[{name}]:{port}")
                    }
                    _ => write!(text, "{comma}{name}:{port}"),
                };
            }
            Host::Unix(path) => folder = Some(format!("?host={}&port={port}", path.display())),
        }
    }
    let database = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or_default();
    let _ = write!(
        text,
        "/{}{}",
        database.escape_debug(),
        folder.unwrap_or_default()
    );
    text
}

fn no_tls(store: String) -> StoreError {
    StoreError::Unsupported {
        store,
        action: "be reached with TLS, because fnox does not speak TLS with PostgreSQL: use a Unix socket, or \
                 an encrypting tunnel on 127.0.0.1"
            .to_owned(),
    }
}

fn not_a_url() -> StoreError {
    StoreError::Unsupported {
        store: "PostgreSQL".to_owned(),
        action: "be reached, because its URL is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fnox_core::clock::SystemClock;

    use super::*;

    fn parse(url: &str) -> Result<Place, StoreError> {
        let options = PostgresOptions::new(Arc::new(SystemClock));
        Place::parse(url, &options, &crate::schema::VAULT)
    }

    #[test]
    fn names_the_place_without_the_password() {
        let place = parse("postgres://app:hunter2@127.0.0.1:5433/vault").unwrap();
        assert_eq!(place.name, "postgres://app@127.0.0.1:5433/vault");
        assert!(!format!("{place:?}").contains("hunter2"));
    }

    #[test]
    fn names_a_socket_by_its_folder() {
        let place = parse("postgresql://app@%2Frun%2Fpostgresql/vault").unwrap();
        assert_eq!(
            place.name,
            "postgres://app@/vault?host=/run/postgresql&port=5432"
        );
    }

    #[test]
    fn refuses_tls_and_what_would_need_it() {
        for url in [
            "postgres://app@127.0.0.1/vault?sslmode=require",
            "postgres://app@127.0.0.1/vault?sslmode=verify-full",
            "postgres://app@db.example/vault",
            "postgres://app@db.example/vault?hostaddr=192.0.2.1",
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.to_string().contains("TLS"), "{url}: {error}");
        }
        parse("postgres://app@db.example/vault?sslmode=disable").unwrap();
        parse("postgres://app@localhost/vault").unwrap();
        parse("postgres://app@[::1]/vault").unwrap();
    }

    #[test]
    fn errors_repeat_nothing_of_the_url() {
        for url in [
            "postgres://app:hunter2?x@h/db",
            "postgres://app:hunter2@h:port/db",
            "hunter2",
            "postgres://app:hunter2@h/db?sslmode=hunter2",
            "postgres://app:hunter2%ff@h/db",
        ] {
            let error = parse(url).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
