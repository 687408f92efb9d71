//! From the command line to what is done.

use std::path::Path;
use std::sync::Arc;

use fnox_core::{Env, ExitStatus, SecretString, SystemClock};
use fnox_vault_wire::{Client, ClientOptions, Connector};

use crate::args::{
    Command, ConnectionArgs, CredentialArgs, ExecArgs, GitOperation, ProvisionArgs, ProxyArgs,
    WithdrawArgs,
};
use crate::error::AgentError;
use crate::journal::{Journal, default_folder};
use crate::lease::Borrower;
use crate::manifest::Manifest;
use crate::owner::Owner;
use crate::provision::Places;
use crate::proxy::{Gateway, Proxy};
use crate::report::note;
use crate::stop::Stop;
use crate::token::FW_CFG;
use crate::{exec, git, notify, provision};

/// Does what the command line says.
pub(crate) fn run(command: &Command, env: &Env) -> Result<ExitStatus, AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| AgentError::System {
            what: "start",
            source,
        })?;
    runtime.block_on(async {
        match command {
            Command::Provision(args) => provision(args, env).await,
            Command::Withdraw(args) => withdraw(args, env).await,
            Command::Proxy(args) => proxy(args, env).await,
            Command::CredentialFill(args) => credential_fill(args, env).await,
            Command::Exec(args) => run_program(args, env).await,
        }
    })
}

async fn provision(args: &ProvisionArgs, env: &Env) -> Result<ExitStatus, AgentError> {
    let manifest = Manifest::read(&args.manifest, env)?;
    let journal = journal(args.state.as_deref(), env)?;
    let owner = args.owner.as_deref().map(Owner::find).transpose()?;
    let stop = Stop::on_signals()?;
    let borrower = stop.unless(borrower(&args.connection, env)).await?;
    let env_file = args.env_file.as_deref().map(std::path::absolute);
    let env_file = env_file.transpose().map_err(|source| AgentError::System {
        what: "find the working folder",
        source,
    })?;
    let places = Places { env_file, owner };
    let done = provision::provision(borrower, journal, &manifest, places, &stop).await?;
    notify::tell(env, "READY=1");
    if args.watch {
        done.watch(&stop).await?;
    } else {
        done.leave();
    }
    Ok(ExitStatus::Success)
}

async fn withdraw(args: &WithdrawArgs, env: &Env) -> Result<ExitStatus, AgentError> {
    let journal = journal(args.state.as_deref(), env)?;
    // Files go whether or not there is a vault.
    let client = match client(&args.connection, env).await {
        Ok(client) => Some(client),
        Err(error) => {
            note(&format!("the leases end by themselves: {error}"));
            None
        }
    };
    provision::withdraw(&journal, client.as_ref()).await?;
    Ok(ExitStatus::Success)
}

async fn credential_fill(args: &CredentialArgs, env: &Env) -> Result<ExitStatus, AgentError> {
    let question = git::question(std::io::stdin().lock())?;
    // The vault keeps what it has, whatever git thinks of it.
    if args.operation != GitOperation::Get {
        return Ok(ExitStatus::Success);
    }
    let manifest = Manifest::read(&args.manifest, env)?;
    let Some((entry, host)) = git::answering(&manifest, &question, args.allow_http)? else {
        return Ok(ExitStatus::Success);
    };
    let borrower = borrower(&args.connection, env).await?.for_tool("git");
    git::answer(&borrower, entry, host, &question, std::io::stdout().lock()).await?;
    Ok(ExitStatus::Success)
}

async fn run_program(args: &ExecArgs, env: &Env) -> Result<ExitStatus, AgentError> {
    let manifest = args.manifest.as_deref();
    let manifest = manifest.map(|path| Manifest::read(path, env)).transpose()?;
    let entries = exec::wanted(manifest, &args.secrets)?;
    let borrower = borrower(&args.connection, env).await?;
    exec::run(&borrower, &entries, env, &args.command).await
}

fn journal(folder: Option<&Path>, env: &Env) -> Result<Journal, AgentError> {
    match folder {
        Some(folder) => Journal::open(folder),
        None => Journal::open(&default_folder(env)?),
    }
}

async fn proxy(args: &ProxyArgs, env: &Env) -> Result<ExitStatus, AgentError> {
    let stop = Stop::on_signals()?;
    let gateway = place("--gateway", &args.gateway)?;
    // None behind a door that is this guest's alone.
    let token = args.connection.token.source();
    let token = token
        .map(|source| source.read(env, Path::new(FW_CFG)))
        .transpose()?;
    let gateway = Gateway::new(gateway, token.as_ref());
    let listening = stop.unless(async {
        let vault = if args.gateway_only {
            None
        } else {
            let client = connect(&args.connection, token).await?;
            let agent = args.connection.agent.as_deref();
            Some(Borrower::new(client, agent, Arc::new(SystemClock)).await?)
        };
        let proxy = Proxy {
            gateway,
            vault,
            listen: args.listen,
            env_file: args.env_file.clone(),
            certificate_file: args.certificate_file.clone(),
        };
        proxy.open().await
    });
    let listening = listening.await?;
    note(&format!(
        "programs find the proxy at {}",
        listening.address()
    ));
    notify::tell(env, "READY=1");
    listening.serve(&stop).await?;
    Ok(ExitStatus::Success)
}

async fn borrower(args: &ConnectionArgs, env: &Env) -> Result<Borrower, AgentError> {
    let client = client(args, env).await?;
    Borrower::new(client, args.agent.as_deref(), Arc::new(SystemClock)).await
}

async fn client(args: &ConnectionArgs, env: &Env) -> Result<Client, AgentError> {
    let token = args.token.source();
    let token = token.map(|source| source.read(env, Path::new(FW_CFG)));
    connect(args, token.transpose()?).await
}

async fn connect(args: &ConnectionArgs, token: Option<SecretString>) -> Result<Client, AgentError> {
    let mut options = ClientOptions::new(place("--vault", &args.vault)?);
    options.token = token;
    Client::connect(options).await.map_err(AgentError::Vault)
}

fn place(option: &str, text: &str) -> Result<Connector, AgentError> {
    let parsed: Result<Connector, _> = text.parse();
    parsed.map_err(|error| AgentError::Usage {
        message: format!("{option}: {error}"),
        help: "from a guest its host is vsock:2:PORT, or tcp:10.0.2.2:PORT under QEMU",
    })
}
