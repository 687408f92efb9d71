//! Users of MySQL and MariaDB.
//!
//! These servers have no end for a user: `PASSWORD EXPIRE` asks for a new password and does not lock anybody out, and
//! events need a scheduler that is often off and rights that an administrator of users should not have. So the user
//! works until `revoke` or `cleanup` drops it, and its end is a promise of fnox, not of the server.
//!
//! Sources: MySQL 8.0 Reference Manual, 15.7.1.3 CREATE USER, 15.7.1.5 DROP USER, 15.7.8.4 KILL, 8.4.1.2 "Caching SHA-2
//! Pluggable Authentication", appendix "Server Error Message Reference"; MariaDB documentation, CREATE USER, KILL,
//! "Authentication Plugin - `mysql_native_password`". MySQL 8.0.17 and later, MariaDB 10.4 and later.

mod connection;
mod removal;
mod verifier;

use fnox_core::{Credential, SecretString};
use jiff::{SignedDuration, Timestamp};

use self::connection::{Connection, Flavour};
use super::account::{Account, random_password, short_id};
use super::settings::Settings;
use super::trouble::{Effort, Step};
use super::url;
use crate::mint::{CreateRequest, MintContext, MintError, MintErrorKind, RevokeRequest};

/// Makes a user.
pub(super) async fn create(
    settings: &Settings,
    password: Option<&SecretString>,
    context: &MintContext,
    request: &CreateRequest,
) -> Result<Credential, MintError> {
    let effort = Effort::new(settings, password, context);
    let account = settings.account_for(checked(&request.provisional_id)?);
    let mut connection = Connection::open(effort).await?;
    let flavour = connection.flavour().await?;
    let new_password = random_password();
    let sql = create_user(settings, &account, &new_password, flavour);
    // Each of these statements counts at once, so an answer that is lost leaves a user behind.
    match connection.try_run(&sql).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let is_answer = connection::is_answer(&error);
            let error = connection.problem(Step::Own("create a user"), &error);
            return Err(if is_answer {
                error
            } else {
                error.maybe_issued()
            });
        }
        Err(error) => return Err(error.maybe_issued()),
    }
    let user = settings.quoted(&account);
    if let Err(error) = connection
        .run_statements("grants", &settings.grants, &user)
        .await
    {
        let drop = format!("DROP USER IF EXISTS {user}");
        let is_gone = connection
            .run(Step::Own("drop a user"), &drop)
            .await
            .is_ok();
        return Err(if is_gone { error } else { error.maybe_issued() });
    }
    connection.close().await;
    let now = context.clock.now();
    let life =
        SignedDuration::try_from(request.duration.as_duration()).unwrap_or(SignedDuration::MAX);
    Ok(Credential {
        variables: url::variables(settings, &account, &new_password),
        expires_at: Some(now.checked_add(life).unwrap_or(Timestamp::MAX)),
        id: account.id(),
        private: Vec::new(),
    })
}

/// Drops a user.
pub(super) async fn revoke(
    settings: &Settings,
    password: Option<&SecretString>,
    context: &MintContext,
    request: &RevokeRequest,
) -> Result<(), MintError> {
    let effort = Effort::new(settings, password, context);
    let mut connection = Connection::open(effort).await?;
    let accounts = if request.is_intent {
        let short = checked(&request.lease_id)?;
        let mut accounts = vec![settings.account_for(short)];
        // The prefix may have been another one when the user was made.
        for found in connection.accounts_ending_in(short).await? {
            if !accounts.contains(&found) {
                accounts.push(found);
            }
        }
        accounts
    } else {
        vec![Account::of_id(&request.lease_id).ok_or_else(|| unknown(&request.lease_id))?]
    };
    for account in accounts {
        removal::remove(&mut connection, &account).await?;
    }
    connection.close().await;
    Ok(())
}

fn checked(provisional_id: &str) -> Result<&str, MintError> {
    short_id(provisional_id).ok_or_else(|| unknown(provisional_id))
}

fn unknown(id: &str) -> MintError {
    MintError::new(
        MintErrorKind::Misconfigured,
        format!("{} is no user that fnox made", id.escape_debug()),
    )
}

/// The server is told a verifier and not the password, so no log of statements has it.
fn create_user(
    settings: &Settings,
    account: &Account,
    password: &SecretString,
    flavour: Flavour,
) -> String {
    let identified = match flavour {
        Flavour::Mysql => format!(
            "IDENTIFIED WITH caching_sha2_password AS 0x{}",
            hex(&verifier::caching_sha2(
                password.expose_secret().as_bytes(),
                &verifier::random_salt()
            ))
        ),
        Flavour::MariaDb => format!(
            "IDENTIFIED VIA mysql_native_password USING '{}'",
            verifier::native(password.expose_secret().as_bytes())
        ),
    };
    let encrypted = if settings.is_encrypted {
        " REQUIRE SSL"
    } else {
        ""
    };
    let limit = match settings.connection_limit {
        Some(limit) => format!(" WITH MAX_USER_CONNECTIONS {limit}"),
        None => String::new(),
    };
    format!(
        "CREATE USER {} {identified}{encrypted}{limit}",
        settings.quoted(account)
    )
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::KEYS;
    use super::*;
    use crate::testing;

    #[test]
    fn a_statement_never_has_the_password() {
        let keys = KEYS.replace("'postgres'", "'mysql'");
        let lease = testing::lease(&format!("{keys}connection_limit = 2"));
        let settings = Settings::read(&lease.fields, None).unwrap();
        let account = settings.account_for("00ff");
        let password = random_password();
        for (flavour, wanted) in [
            (
                Flavour::Mysql,
                "CREATE USER 'fnox_00ff'@'%' IDENTIFIED WITH caching_sha2_password AS 0x24412430303524",
            ),
            (
                Flavour::MariaDb,
                "CREATE USER 'fnox_00ff'@'%' IDENTIFIED VIA mysql_native_password USING '*",
            ),
        ] {
            let sql = create_user(&settings, &account, &password, flavour);
            assert!(sql.starts_with(wanted), "{sql}");
            assert!(
                sql.ends_with(" REQUIRE SSL WITH MAX_USER_CONNECTIONS 2"),
                "{sql}"
            );
            let clear = password.expose_secret();
            assert!(!sql.contains(clear) && !sql.contains(&hex(clear.as_bytes())));
        }
    }
}
