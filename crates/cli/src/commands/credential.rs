//! `fnox credential`
//!
//! Other programs call this, many at once and often: nothing is asked, nothing but the answer is printed, and a cached
//! credential costs one read of the ledger. Mints happen once, because whoever comes second waits for the lock of
//! the lease and finds what the first one got.

mod install;
mod place;

use std::io::Read as _;

use fnox_config::Config;
use fnox_core::ExitStatus;
use fnox_leases::Held;
use fnox_leases::delivery::helper::{self, Unsuitable, docker, gcp, git, kubernetes};
use zeroize::Zeroizing;

use self::place::Place;
use crate::app::App;
use crate::args::credential::{
    AwsArgs, CredentialArgs, CredentialCommand, DockerArgs, DockerOperation, GitArgs,
    KubernetesArgs, TokenArgs,
};
use crate::commands::masters::acquire;
use crate::error::CliError;

pub(crate) fn run(app: &App, args: &CredentialArgs) -> Result<ExitStatus, CliError> {
    let folder = args.project.as_deref();
    let helper = app.for_helper(folder);
    let done = match &args.command {
        CredentialCommand::Aws(args) => aws(&helper, args),
        CredentialCommand::Gcp(args) => return google(&helper, args),
        CredentialCommand::Kubernetes(args) => kubectl(&helper, args),
        CredentialCommand::Docker(args) => return docker(&helper, args),
        CredentialCommand::Git(args) => git(&helper, args),
        CredentialCommand::Install(args) => install::run(app, folder, args),
    };
    done.map(|()| ExitStatus::Success)
}

fn held(app: &App, config: &Config, lease: &str) -> Result<Held, CliError> {
    let lease = config.lease(lease)?;
    let label = format!("fnox-credential-{}", lease.name);
    acquire(app, config, &lease.name, label)
}

fn unsuitable(error: &Unsuitable) -> CliError {
    CliError::Usage {
        message: error.to_string(),
        help: Some(format!(
            "`fnox lease create {} -f json` shows what it issues; `--variable` names the one to use",
            error.lease
        )),
    }
}

fn aws(app: &App, args: &AwsArgs) -> Result<(), CliError> {
    let held = held(app, &app.load()?, &args.lease)?;
    let document = helper::aws::document(&held).map_err(|error| unsuitable(&error))?;
    app.printer.line(&document)
}

/// Failures are told on stdout too: that is what Google's libraries show.
fn google(app: &App, args: &TokenArgs) -> Result<ExitStatus, CliError> {
    let answer = || {
        let question = gcp::Question::of(&app.env).map_err(CliError::usage)?;
        let held = held(app, &app.load()?, &args.lease)?;
        let variable = args.variable.as_deref();
        gcp::document(&held, variable, question).map_err(|error| unsuitable(&error))
    };
    match answer() {
        Ok(document) => {
            app.printer.line(&document)?;
            Ok(ExitStatus::Success)
        }
        Err(error) => {
            app.printer
                .line(&gcp::failure(error.code(), &told(&error)))?;
            Ok(error.status())
        }
    }
}

fn kubectl(app: &App, args: &KubernetesArgs) -> Result<(), CliError> {
    let malformed = |error: kubernetes::Malformed| CliError::Input {
        what: "kubectl's question".to_owned(),
        reason: error.to_string(),
        help: None,
    };
    let question = kubernetes::Question::parse(app.env.var("KUBERNETES_EXEC_INFO"));
    let question = question.map_err(malformed)?;
    if let Some(server) = &args.server {
        place::check_cluster(server, question.server.as_ref())?;
    }
    let held = held(app, &app.load()?, &args.token.lease)?;
    let variable = args.token.variable.as_deref();
    let document =
        kubernetes::document(&held, variable, &question).map_err(|error| unsuitable(&error))?;
    app.printer.line(&document)
}

/// Docker shows what a helper that fails prints on stdout.
fn docker(app: &App, args: &DockerArgs) -> Result<ExitStatus, CliError> {
    let fails = |message: &str| {
        app.printer.line(message)?;
        Ok(ExitStatus::Failure)
    };
    match args.operation {
        // Docker stores after a login. What it would store is not wanted here, and that it was not kept is no failure.
        DockerOperation::Store | DockerOperation::Erase => {
            read(docker::INPUT_LIMIT)?;
            Ok(ExitStatus::Success)
        }
        DockerOperation::Version => {
            let version = env!("CARGO_PKG_VERSION");
            app.printer
                .line(&format!("docker-credential-fnox {version}"))?;
            Ok(ExitStatus::Success)
        }
        DockerOperation::List => {
            let place = Place::of(&app.load()?, &args.place, place::Program::Docker)?;
            app.printer
                .line(&docker::list(&place.host, &place.username))?;
            Ok(ExitStatus::Success)
        }
        DockerOperation::Get => {
            let input = read(docker::INPUT_LIMIT)?;
            let host = match docker::parse(&input) {
                Ok(host) => host,
                Err(error) => return fails(&error.to_string()),
            };
            let server = String::from_utf8_lossy(&input);
            let answer = || {
                let config = app.load()?;
                let place = Place::of(&config, &args.place, place::Program::Docker)?;
                if !helper::is_same_over_https(&host, &place.host) {
                    return Ok(None);
                }
                let held = held(app, &config, &args.place.token.lease)?;
                let token = helper::token(&held, args.place.token.variable.as_deref())
                    .map_err(|error| unsuitable(&error))?;
                Ok(docker::document(server.trim_end(), &place.username, token))
            };
            match answer() {
                Ok(Some(document)) => {
                    app.printer.line(&document)?;
                    Ok(ExitStatus::Success)
                }
                Ok(None) => fails(docker::NOT_FOUND),
                Err(error) => {
                    app.printer.line(&told(&error))?;
                    Err(error)
                }
            }
        }
    }
}

fn git(app: &App, args: &GitArgs) -> Result<(), CliError> {
    match args.operation.as_str() {
        "get" => {}
        "capability" => return app.printer.raw(git::CAPABILITIES),
        // `store`, `erase`, and what git may call one day (gitcredentials(7): unknown operations are ignored).
        _ => return read(git::INPUT_LIMIT).map(|_| ()),
    }
    let question = git::parse(&read(git::INPUT_LIMIT)?).map_err(|error| CliError::Input {
        what: "git's question".to_owned(),
        reason: error.to_string(),
        help: None,
    })?;
    let Some(host) = question.host.filter(|_| question.protocol == "https") else {
        return Ok(());
    };
    let config = app.load()?;
    let place = Place::of(&config, &args.place, place::Program::Git)?;
    if !helper::is_same_over_https(&host, &place.host) {
        return Ok(());
    }
    let answer = || {
        let held = held(app, &config, &args.place.token.lease)?;
        let token = helper::token(&held, args.place.token.variable.as_deref())
            .map_err(|error| unsuitable(&error))?;
        let username = question.username.as_deref().unwrap_or(&place.username);
        let end = held.credential.expires_at.map(jiff::Timestamp::as_second);
        git::answer_until(username, token.expose_secret(), end).ok_or_else(|| CliError::Usage {
            message: "the token has several lines, and git's protocol has no way to say that"
                .to_owned(),
            help: None,
        })
    };
    match answer() {
        Ok(answer) => app.printer.raw(&answer),
        Err(error) => {
            // Another helper, or the person, might have something that lives longer.
            app.printer.raw(git::QUIT)?;
            Err(error)
        }
    }
}

/// An error in one line, with what to do.
fn told(error: &CliError) -> String {
    let help = error.help().map(|help| format!(" ({help})"));
    let text = format!("fnox: {error}{}", help.unwrap_or_default());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read(limit: usize) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut input = Zeroizing::new(Vec::with_capacity(limit + 1));
    std::io::stdin()
        .lock()
        .take(limit as u64 + 1)
        .read_to_end(&mut input)
        .map_err(|source| CliError::File {
            action: "read",
            path: "/dev/stdin".into(),
            source,
        })?;
    Ok(input)
}
