//! Users of PostgreSQL.
//!
//! A user is made with its rights in one transaction, so that a failure leaves nothing. Its password ends at
//! `VALID UNTIL`, by the server's clock; sessions that are open then go on until they are ended by `revoke`.
//!
//! Sources: PostgreSQL 15 documentation: CREATE ROLE, ALTER ROLE, DROP ROLE, DROP OWNED, 54.3 "SCRAM-SHA-256
//! Authentication", 53.59 `pg_shdepend`, appendix A "PostgreSQL Error Codes"; PostgreSQL 16 documentation, GRANT
//! (`WITH INHERIT`). PostgreSQL 12 and later.

mod connection;
mod removal;

use fnox_core::{Credential, SecretString};
use jiff::Timestamp;

use self::connection::{Connection, Role};
use super::account::{Account, random_password, short_id};
use super::settings::Settings;
use super::trouble::{Effort, Step};
use super::url;
use crate::mint::{
    CreateRequest, MintContext, MintError, MintErrorKind, RenewRequest, RevokeRequest,
};

/// Makes a user.
pub(super) async fn create(
    settings: &Settings,
    password: Option<&SecretString>,
    context: &MintContext,
    request: &CreateRequest,
) -> Result<Credential, MintError> {
    let effort = Effort::new(settings, password, context);
    let account = settings.account_for(checked(&request.provisional_id)?);
    let connection = Connection::open(effort).await?;
    let end = connection.end_after(request.duration).await?;
    let new_password = random_password();
    connection.begin().await?;
    connection
        .run(
            Step::Own("create a user"),
            &create_role(settings, &account, &new_password, end),
        )
        .await?;
    connection
        .run_statements("grants", &settings.grants, &settings.quoted(&account))
        .await?;
    connection.commit().await?;
    Ok(Credential {
        variables: url::variables(settings, &account, &new_password),
        expires_at: Some(end),
        id: account.id(),
        private: Vec::new(),
    })
}

/// Moves a user's end.
pub(super) async fn renew(
    settings: &Settings,
    password: Option<&SecretString>,
    context: &MintContext,
    request: &RenewRequest,
) -> Result<Credential, MintError> {
    let effort = Effort::new(settings, password, context);
    let account = known(&request.credential.id)?;
    let connection = Connection::open(effort).await?;
    match connection.role(&account.name).await? {
        Some(role) if role.may_log_in => {}
        _ => {
            return Err(MintError::new(
                MintErrorKind::Denied,
                format!("`{}` was dropped or locked at the server", account.name),
            ));
        }
    }
    let end = connection.end_after(request.duration).await?;
    let sql = format!(
        "ALTER ROLE {} VALID UNTIL '{end}'",
        settings.quoted(&account)
    );
    connection.run(Step::Own("prolong a user"), &sql).await?;
    Ok(Credential {
        expires_at: Some(end),
        ..request.credential.clone()
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
    let connection = Connection::open(effort).await?;
    let roles: Vec<Role> = if request.is_intent {
        let short = checked(&request.lease_id)?;
        connection.roles_ending_in(short).await?
    } else {
        let account = known(&request.lease_id)?;
        connection.role(&account.name).await?.into_iter().collect()
    };
    for role in roles {
        removal::remove(&connection, &role).await?;
    }
    Ok(())
}

fn checked(provisional_id: &str) -> Result<&str, MintError> {
    short_id(provisional_id).ok_or_else(|| unknown(provisional_id))
}

fn known(id: &str) -> Result<Account, MintError> {
    Account::of_id(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> MintError {
    MintError::new(
        MintErrorKind::Misconfigured,
        format!("{} is no user that fnox made", id.escape_debug()),
    )
}

/// The server is told a verifier and not the password, so no log of statements has it.
fn create_role(
    settings: &Settings,
    account: &Account,
    password: &SecretString,
    end: Timestamp,
) -> String {
    let verifier = postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes());
    let limit = match settings.connection_limit {
        Some(limit) => format!(" CONNECTION LIMIT {limit}"),
        None => String::new(),
    };
    format!(
        "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS{limit} \
         PASSWORD '{verifier}' VALID UNTIL '{end}'",
        settings.quoted(account)
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[test]
    fn a_statement_never_has_the_password() {
        let settings = settings("connection_limit = 2");
        let account = settings.account_for("00ff");
        let password = random_password();
        let end: Timestamp = "2030-01-02T03:04:05Z".parse().unwrap();
        let sql = create_role(&settings, &account, &password, end);
        assert!(!sql.contains(password.expose_secret()));
        assert!(sql.starts_with("CREATE ROLE \"fnox_00ff\" LOGIN NOSUPERUSER"));
        assert!(sql.contains(" CONNECTION LIMIT 2 PASSWORD 'SCRAM-SHA-256$4096:"));
        assert!(
            sql.ends_with("' VALID UNTIL '2030-01-02T03:04:05Z'"),
            "{sql}"
        );
    }
}
