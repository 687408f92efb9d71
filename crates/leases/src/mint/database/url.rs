//! The new user as variables: name, password, and both in one URL.
//!
//! Sources: PostgreSQL 15 documentation, 34.1.1.2 "Connection URIs"; MySQL 8.0 Reference Manual, 6.2.5 "Connecting to
//! the Server Using URI-Like Strings or Key-Value Pairs".

use fnox_core::SecretString;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::account::Account;
use super::settings::{Engine, Place, Settings};

/// All but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The variables of a credential.
pub(super) fn variables(
    settings: &Settings,
    account: &Account,
    password: &SecretString,
) -> Vec<(String, SecretString)> {
    let mut variables = vec![
        (
            settings.user_variable.clone(),
            SecretString::from(account.name.as_str()),
        ),
        (settings.new_password_variable.clone(), password.clone()),
    ];
    if let Some(name) = &settings.url_variable {
        variables.push((name.clone(), url(settings, account, password)));
    }
    variables
}

fn url(settings: &Settings, account: &Account, password: &SecretString) -> SecretString {
    let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let (host, mut query) = match &settings.place {
        Place::Host(host) if host.contains(':') => (format!("[{host}]:{}", settings.port), vec![]),
        Place::Host(host) => (format!("{host}:{}", settings.port), vec![]),
        Place::Socket(path) => {
            let path = encode(&path.to_string_lossy());
            match settings.engine {
                Engine::Postgres => (
                    String::new(),
                    vec![format!("host={path}"), format!("port={}", settings.port)],
                ),
                Engine::Mysql => ("localhost".to_owned(), vec![format!("socket={path}")]),
            }
        }
    };
    // Clients of MySQL have no common words for this; there the server itself insists on it (`REQUIRE SSL`).
    if settings.engine == Engine::Postgres && settings.is_encrypted {
        match &settings.ca_file {
            Some(path) => {
                query.push("sslmode=verify-full".to_owned());
                query.push(format!("sslrootcert={}", encode(&path.to_string_lossy())));
            }
            None => query.push("sslmode=require".to_owned()),
        }
    }
    let mark = if query.is_empty() { "" } else { "?" };
    SecretString::new(format!(
        "{}://{}:{}@{host}/{}{mark}{}",
        settings.scheme(),
        encode(&account.name),
        encode(password.expose_secret()),
        encode(settings.database.as_deref().unwrap_or_default()),
        query.join("&"),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEYS, settings};
    use super::*;
    use crate::testing;

    fn url_of(keys: &str) -> String {
        let lease = testing::lease(keys);
        let settings = Settings::read(&lease.fields, None).unwrap();
        let account = settings.account_for("00");
        let variables = variables(&settings, &account, &SecretString::from("p/w"));
        variables[2].1.expose_secret().to_owned()
    }

    #[test]
    fn urls_hold_everything_that_a_client_needs() {
        let mysql = KEYS.replace("'postgres'", "'mysql'");
        for (keys, wanted) in [
            (
                format!("{KEYS}database = 'a b'"),
                "postgres://fnox_00:p%2Fw@db.example.com:5432/a%20b?sslmode=require",
            ),
            (
                format!("{KEYS}ca_file = '/etc/c a.pem'"),
                "postgres://fnox_00:p%2Fw@db.example.com:5432/postgres?sslmode=verify-full&sslrootcert=%2Fetc%2Fc%20a.pem",
            ),
            (
                KEYS.replace("db.example.com", "::1"),
                "postgres://fnox_00:p%2Fw@[::1]:5432/postgres",
            ),
            (
                KEYS.replace("db.example.com", "/run/pg"),
                "postgres://fnox_00:p%2Fw@/postgres?host=%2Frun%2Fpg&port=5432",
            ),
            (mysql.clone(), "mysql://fnox_00:p%2Fw@db.example.com:3306/"),
            (
                mysql.replace("db.example.com", "/run/m.sock"),
                "mysql://fnox_00:p%2Fw@localhost/?socket=%2Frun%2Fm.sock",
            ),
        ] {
            assert_eq!(url_of(&keys), wanted);
        }
    }

    #[test]
    fn variables_have_the_names_that_were_asked_for() {
        let settings = settings("user_env_var = 'U'\npassword_env_var = 'P'\nurl_env_var = ''");
        let account = settings.account_for("00");
        let made = variables(&settings, &account, &SecretString::from("x"));
        let names: Vec<&str> = made.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["U", "P"]);
        assert_eq!(settings.produces(), names);
    }
}
