//! Dropping a user: first nobody can log in as it, then its sessions end, then itself. `DROP USER` takes its rights
//! and leaves its sessions.

use mysql_async::Error;

use super::super::account::Account;
use super::super::trouble::Step;
use super::connection::{Connection, RIGHTS};
use crate::mint::MintError;

/// `ER_CANNOT_USER`: there is no such user.
const NO_USER: u16 = 1396;

/// `ER_NO_SUCH_THREAD`: the session has ended by itself.
const NO_SESSION: u16 = 1094;

/// Removes a user. One that is gone counts as removed, once its sessions are.
pub(super) async fn remove(
    connection: &mut Connection<'_>,
    account: &Account,
) -> Result<(), MintError> {
    let settings = connection.effort.settings;
    let user = settings.quoted(account);
    let lock = format!("ALTER USER {user} ACCOUNT LOCK");
    let is_there = match connection.try_run(&lock).await? {
        Ok(()) => true,
        Err(Error::Server(answer)) if answer.code == NO_USER => false,
        Err(error) => return Err(connection.problem(Step::Own("lock a user"), &error)),
    };
    end_sessions(connection, account).await?;
    if is_there {
        connection
            .run_statements("revoke_statements", &settings.revoke_statements, &user)
            .await?;
    }
    connection
        .run(
            Step::Own("drop a user"),
            &format!("DROP USER IF EXISTS {user}"),
        )
        .await
}

async fn end_sessions(connection: &mut Connection<'_>, account: &Account) -> Result<(), MintError> {
    let step = Step::Own("end the sessions of a user");
    // Without this right the list has only one's own sessions, and looks as if there were no others.
    if !connection.sees_sessions().await? {
        let said = "it does not have the right PROCESS itself, so it does not see them";
        return Err(connection.effort.denied(step, said, RIGHTS));
    }
    loop {
        let sessions = connection.sessions(&account.name).await?;
        if sessions.is_empty() {
            return Ok(());
        }
        for session in sessions {
            match connection
                .try_run(&format!("KILL CONNECTION {session}"))
                .await?
            {
                Err(Error::Server(answer)) if answer.code == NO_SESSION => {}
                Err(error) => return Err(connection.problem(step, &error)),
                Ok(()) => {}
            }
        }
        connection
            .effort
            .pause(&format!("a session of `{}`", account.name))
            .await?;
    }
}
