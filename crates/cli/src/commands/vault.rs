//! `fnox vault`

mod approvals;
mod audit;
mod credential;
pub(crate) mod exec;
mod init;
mod key;
mod lease;
mod policy;
mod secret;
mod serve;
mod status;
mod store;
mod token;
mod zerolease;

use fnox_core::ExitStatus;

use crate::app::App;
use crate::args::vault::{VaultArgs, VaultCommand};
use crate::error::CliError;

pub(crate) fn run(app: &App, args: VaultArgs) -> Result<ExitStatus, CliError> {
    let done = |result: Result<(), CliError>| result.map(|()| ExitStatus::Success);
    match args.command {
        VaultCommand::Init(args) => done(init::run(app, &args)),
        VaultCommand::Serve(args) => serve::run(app, &args),
        VaultCommand::Status(args) => done(status::run(app, &args)),
        VaultCommand::Secret(group) => done(secret::run(app, &group)),
        VaultCommand::Lease(group) => done(lease::run(app, &group)),
        VaultCommand::Approvals(args) => done(approvals::list(app, &args)),
        VaultCommand::Approve(args) => done(approvals::approve(app, &args)),
        VaultCommand::Deny(args) => done(approvals::deny(app, &args)),
        VaultCommand::Token(group) => done(token::run(app, &group)),
        VaultCommand::Policy(group) => done(policy::run(app, &group)),
        VaultCommand::Audit(group) => done(audit::run(app, &group)),
        VaultCommand::Key(group) => done(key::run(app, &group)),
        VaultCommand::Backup(args) => done(store::backup(app, &args)),
        VaultCommand::Restore(args) => done(store::restore(app, &args)),
        VaultCommand::Import(command) => done(store::import(app, &command)),
        VaultCommand::Exec(args) => exec::run(app, &args),
        VaultCommand::CredentialFill(args) => done(credential::run(app, &args)),
    }
}
