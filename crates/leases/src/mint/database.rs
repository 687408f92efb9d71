//! `database`: a user of a PostgreSQL, MySQL or MariaDB server that is dropped afterwards.
//!
//! The user has a random password, which the server is told only as a verifier, and the rights that the
//! configuration's statements give. PostgreSQL ends the password by itself (`VALID UNTIL`); MySQL and MariaDB know
//! no such end, there the user works until it is dropped. The user's name ends in a part of the id under which the
//! intent is on record, so that one whose creation was not answered is found and dropped by `cleanup`.
//!
//! Attacks defended: a name that breaks out of its statement (names are made of letters, digits and `_` alone,
//! and quoted), functions of less privileged users that the administrator's connection would run (PostgreSQL's
//! `search_path`), servers that pose as the real one (TLS with a checked certificate unless the server is on this
//! machine), passwords in the server's log.

mod account;
mod mysql;
mod postgres;
mod settings;
mod statement;
mod tls;
mod trouble;
mod url;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::{Credential, Lifetime, SecretString};

use self::settings::{Engine, Place, Settings};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RenewRequest, RenewalKind, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;

#[derive(Debug)]
struct Database {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a key that could not become a part of a statement or an address.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(Database {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

impl Database {
    /// The administrator's password. On a Unix socket the server may know who it is without one.
    fn password(&self, context: &MintContext) -> Option<SecretString> {
        context
            .env
            .var(&self.settings.password_variable)
            .filter(|value| !value.is_empty())
            .map(SecretString::from)
    }
}

#[async_trait]
impl Mint for Database {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        self.settings.produces()
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(vec![self.settings.password_variable.clone()])
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names = vec![self.settings.password_variable.clone()];
        // Where clients look for another account when a program does not use the variables of this one.
        let ambient: &[&str] = match self.settings.engine {
            Engine::Postgres => &["PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE"],
            Engine::Mysql => &["MYSQL_PWD"],
        };
        names.extend(ambient.iter().map(|name| (*name).to_owned()));
        names
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::Supported
    }

    fn renewal(&self) -> RenewalKind {
        match self.settings.engine {
            Engine::Postgres => RenewalKind::Prolonged,
            Engine::Mysql => RenewalKind::Replaced,
        }
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        if self.password(context).is_some() || matches!(self.settings.place, Place::Socket(_)) {
            return Prerequisite::Present;
        }
        let variable = &self.settings.password_variable;
        Prerequisite::Missing {
            message: format!(
                "{variable}, the password of `{}` at {}, is not set.",
                self.settings.username, self.settings.place
            ),
            prompts: vec![PromptField {
                variable: variable.clone(),
                description: format!("password of the database user {}", self.settings.username),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, _: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let settings = &self.settings;
        let short = account::short_id(&request.provisional_id).unwrap_or("…");
        let account = settings.account_for(short);
        let user = settings.quoted(&account);
        let master = settings.password_variable.clone();
        let mut details = vec![
            ("user".to_owned(), account.name.clone()),
            ("life".to_owned(), request.duration.to_string()),
        ];
        if let Some(limit) = settings.connection_limit {
            details.push(("connection_limit".to_owned(), limit.to_string()));
        }
        let grants = settings.grants.iter();
        details.extend(grants.map(|grant| ("grant".to_owned(), grant.for_user(&user))));
        let call = |action: &str, purpose: &str, details| PlannedCall {
            action: action.to_owned(),
            target: settings.address(),
            purpose: purpose.to_owned(),
            master: master.clone(),
            details,
        };
        let encrypted = if settings.is_encrypted { "yes" } else { "no" };
        vec![
            call(
                "connect",
                "reach the server",
                vec![
                    ("username".to_owned(), settings.username.clone()),
                    ("tls".to_owned(), encrypted.to_owned()),
                ],
            ),
            call(
                "create user",
                "create a user and give it its rights",
                details,
            ),
        ]
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let password = self.password(context);
        match self.settings.engine {
            Engine::Postgres => {
                postgres::create(&self.settings, password.as_ref(), context, request).await
            }
            Engine::Mysql => {
                mysql::create(&self.settings, password.as_ref(), context, request).await
            }
        }
    }

    async fn renew(
        &self,
        context: &MintContext,
        request: &RenewRequest,
    ) -> Result<Credential, MintError> {
        let password = self.password(context);
        match self.settings.engine {
            Engine::Postgres => {
                postgres::renew(&self.settings, password.as_ref(), context, request).await
            }
            Engine::Mysql => Err(MintError::misconfigured(
                "engine",
                "users of MySQL and MariaDB have no end that could be moved, they are replaced",
            )),
        }
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let password = self.password(context);
        match self.settings.engine {
            Engine::Postgres => {
                postgres::revoke(&self.settings, password.as_ref(), context, request).await
            }
            Engine::Mysql => {
                mysql::revoke(&self.settings, password.as_ref(), context, request).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    pub(super) const KEYS: &str = "type = 'database'\nengine = 'postgres'\nhost = 'db.example.com'\n\
                                   username = 'fnox'\ngrants = ['GRANT reader TO {{ user }}']\n";

    pub(super) fn settings(more: &str) -> Settings {
        let lease = testing::lease(&format!("{KEYS}{more}"));
        Settings::read(&lease.fields, None).unwrap()
    }

    fn open_with(more: &str) -> Result<Box<dyn Mint>, LeaseError> {
        open(&testing::lease(&format!("{KEYS}{more}")), None)
    }

    #[test]
    fn a_password_that_is_missing_is_told_before_anybody_is_called() {
        let mint = open_with("").unwrap();
        let Prerequisite::Missing { message, prompts } = mint.prerequisites(&testing::context(&[]))
        else {
            panic!("something was found");
        };
        assert_eq!(
            message,
            "FNOX_DATABASE_PASSWORD, the password of `fnox` at db.example.com, is not set."
        );
        assert!(prompts[0].secret);
        let with = testing::context(&[("FNOX_DATABASE_PASSWORD", "x")]);
        assert_eq!(mint.prerequisites(&with), Prerequisite::Present);
    }

    #[test]
    fn the_plan_shows_the_very_statements() {
        let mint = open_with("connection_limit = 3").unwrap();
        let request = CreateRequest {
            duration: Lifetime::from_secs(900),
            label: "l".to_owned(),
            provisional_id: "database-0123456789abcdef".to_owned(),
            prepared: Vec::new(),
        };
        let calls = mint.explain(&testing::context(&[]), &request);
        assert_eq!(calls[0].target, "postgres://db.example.com:5432/postgres");
        assert_eq!(
            calls[1].details,
            [
                ("user", "fnox_0123456789abcdef"),
                ("life", "15m"),
                ("connection_limit", "3"),
                ("grant", "GRANT reader TO \"fnox_0123456789abcdef\""),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn the_administrators_password_is_withheld() {
        let mint = open_with("password_variable = 'ADMIN'").unwrap();
        let withheld = mint.withholds(&|_| false);
        assert!(withheld.contains(&"ADMIN".to_owned()), "{withheld:?}");
        assert!(withheld.contains(&"PGPASSWORD".to_owned()));
    }
}
