//! Dropping a user: first nobody can log in as it, then its sessions end, then its rights go, then itself.
//!
//! Rights are taken with `DROP OWNED BY`, which would drop what the user owns too. So that is looked for first, in the
//! same transaction, and is an error that names it: whose tables they are is for a person to decide, once, in
//! `revoke_statements`.

use tokio_postgres::error::SqlState;

use super::super::trouble::Step;
use super::connection::{Connection, Role};
use crate::mint::{MintError, MintErrorKind};

/// How many owned objects are named.
const NAMED: usize = 5;

const DROP: Step = Step::Own("drop a user");

/// Removes a user. One that somebody else dropped meanwhile counts as removed.
pub(super) async fn remove(connection: &Connection<'_>, role: &Role) -> Result<(), MintError> {
    let user = format!("\"{}\"", role.name);
    let locked = connection
        .try_run(&format!("ALTER ROLE {user} NOLOGIN"))
        .await?;
    if let Err(error) = locked {
        if error.code() == Some(&SqlState::UNDEFINED_OBJECT) {
            return Ok(());
        }
        return Err(connection.problem(Step::Own("lock a user"), &error));
    }
    end_sessions(connection, role).await?;
    connection.begin().await?;
    join(connection, &user).await?;
    let settings = connection.effort.settings;
    connection
        .run_statements("revoke_statements", &settings.revoke_statements, &user)
        .await?;
    refuse_owners(connection, role).await?;
    connection
        .run(
            Step::Own("take the rights of a user"),
            &format!("DROP OWNED BY {user}"),
        )
        .await?;
    match connection.try_run(&format!("DROP ROLE {user}")).await? {
        Ok(()) => connection.commit().await,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
            let detail = error.as_db_error().and_then(|answer| answer.detail());
            Err(still_in_use(connection, role, detail.unwrap_or_default()))
        }
        Err(error) => Err(connection.problem(DROP, &error)),
    }
}

async fn end_sessions(connection: &Connection<'_>, role: &Role) -> Result<(), MintError> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1";
    loop {
        let step = Step::Own("end the sessions of a user");
        if connection.query(step, sql, &[&role.oid]).await?.is_empty() {
            return Ok(());
        }
        connection
            .effort
            .pause(&format!("a session of `{}`", role.name))
            .await?;
    }
}

/// An administrator that is no superuser takes the rights of a user as a member of it. The membership is dropped with
/// the user.
async fn join(connection: &Connection<'_>, user: &str) -> Result<(), MintError> {
    let step = Step::Own("become a member of a user");
    let sql = "SELECT rolsuper, current_setting('server_version_num')::int \
               FROM pg_roles WHERE rolname = current_user";
    let rows = connection.query(step, sql, &[]).await?;
    let row = rows.first();
    let is_superuser = row.and_then(|row| row.try_get(0).ok()).unwrap_or(false);
    let version: i32 = row.and_then(|row| row.try_get(1).ok()).unwrap_or(0);
    if is_superuser {
        return Ok(());
    }
    // Since PostgreSQL 16 a member need not have the rights; before, this cannot be said.
    let option = if version >= 160_000 {
        " WITH INHERIT TRUE, SET TRUE"
    } else {
        ""
    };
    connection
        .run(step, &format!("GRANT {user} TO CURRENT_USER{option}"))
        .await
}

async fn refuse_owners(connection: &Connection<'_>, role: &Role) -> Result<(), MintError> {
    let sql = "SELECT CASE \
                 WHEN d.dbid = 0 OR b.datname = current_database() \
                 THEN pg_describe_object(d.classid, d.objid, d.objsubid) \
                 ELSE 'something in database ' || b.datname::text END \
               FROM pg_shdepend d LEFT JOIN pg_database b ON b.oid = d.dbid \
               WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = $1 AND d.deptype = 'o' \
               ORDER BY 1";
    let step = Step::Own("look for what a user owns");
    let rows = connection.query(step, sql, &[&role.oid]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = rows
        .iter()
        .take(NAMED)
        .map(|row| row.try_get(0).unwrap_or_else(|_| "something".to_owned()))
        .collect();
    if rows.len() > NAMED {
        named.push(format!("{} more", rows.len() - NAMED));
    }
    Err(MintError::new(
        MintErrorKind::Denied,
        connection.effort.cleaned(&format!(
            "`{}` can no longer log in, and is not dropped because it owns {}",
            role.name,
            named.join(", ")
        )),
    )
    .with_remedy(
        "give it to another user with `revoke_statements = [\"REASSIGN OWNED BY {{ user }} TO app\"]` \
         or drop it, then run `fnox lease cleanup`",
    ))
}

fn still_in_use(connection: &Connection<'_>, role: &Role, detail: &str) -> MintError {
    MintError::new(
        MintErrorKind::Denied,
        connection.effort.cleaned(&format!(
            "`{}` can no longer log in, and is not dropped because of {detail}",
            role.name
        )),
    )
    .with_remedy(
        "in each other database that is named, run `DROP OWNED BY` for this user if it owns nothing there, \
         then `fnox lease cleanup`",
    )
}
