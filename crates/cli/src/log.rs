//! What is told while a command runs: messages on stderr, records for log shippers, spans for traces.

use fnox_core::Env;
use tracing::Subscriber;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::prelude::*;

use crate::args::serve::LogForm;
use crate::args::{Cli, Command};
use crate::environment;
use crate::output::Printer;
use crate::telemetry;
use crate::vault::audit_stream::{self, AuditStream};

/// Who is told something.
type Listener = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins to tell.
pub(crate) fn init(cli: &Cli, env: &Env) {
    let _ = subscriber(cli, env).try_init();
}

/// Messages of our own crates go to stderr: warnings always, more with `--verbose`, `FNOX_LOG` or `RUST_LOG`. Those of
/// libraries never do, whatever these say: some show what they send and receive, secrets included.
fn subscriber(cli: &Cli, env: &Env) -> impl Subscriber + Send + Sync + 'static {
    let serving = match &cli.command {
        Command::Serve(args) => args.serves(),
        _ => None,
    };
    let is_gateway = match &cli.command {
        Command::Gateway(_) | Command::Mcp(_) => true,
        Command::Agent(args) => args.runs(),
        _ => false,
    };
    // Each of them says by a filter what it wants. One that does not, were it only a `None`, would have every span of
    // every library made, several for each frame of HTTP/2.
    let mut listeners: Vec<Listener> = Vec::new();
    listeners.extend(telemetry::layer(serving.is_some() || is_gateway));
    if matches!(&cli.command, Command::Vault(args) if args.serves()) {
        let records = filter_fn(|event| event.target() == audit_stream::TARGET);
        let records = records.with_max_level_hint(LevelFilter::INFO);
        listeners.push(AuditStream.with_filter(records).boxed());
    }
    listeners.push(messages(cli, env, serving));
    tracing_subscriber::registry().with(listeners)
}

fn messages(cli: &Cli, env: &Env, serving: Option<LogForm>) -> Listener {
    let default = match (cli.global.verbose, cli.global.quiet) {
        // The whole screen is taken: what must be told is told there.
        _ if matches!(cli.command, Command::Tui) => LevelFilter::OFF,
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::ERROR,
        (false, false) if serving.is_some() => LevelFilter::INFO,
        // Google's libraries read a helper's stderr together with its stdout.
        (false, false) if matches!(cli.command, Command::Credential(_)) => LevelFilter::ERROR,
        (false, false) => LevelFilter::WARN,
    };
    // Every crate of ours begins with `fnox`, so this names them all.
    let own = Targets::new().with_target("fnox", default);
    let wanted = match &cli.command {
        Command::Tui => None,
        _ => wanted(env),
    };
    let filter = wanted.unwrap_or(own);
    let of_ours = filter_fn(|message| message.target().starts_with("fnox"));
    let of_ours = of_ours.with_max_level_hint(LevelFilter::TRACE);
    let messages = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(cli.global.verbose);
    let filter = filter.and(of_ours);
    if serving == Some(LogForm::Json) {
        let messages = messages.json().flatten_event(true).with_span_list(false);
        messages.with_filter(filter).boxed()
    } else {
        messages.without_time().with_filter(filter).boxed()
    }
}

/// What `FNOX_LOG` asks for, or `RUST_LOG`. One that cannot be read asks for nothing, and is told if it is ours.
fn wanted(env: &Env) -> Option<Targets> {
    if let Some(text) = env.var(environment::LOG).filter(|text| !text.is_empty()) {
        return match text.parse() {
            Ok(filter) => Some(filter),
            Err(error) => {
                let printer = Printer::new(false, env.var("NO_COLOR").is_some());
                printer.warn(&format!("{} is left aside: {error}", environment::LOG));
                None
            }
        };
    }
    env.var("RUST_LOG")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// Whether a span of a library, a span of ours, and a warning of ours are wanted.
    fn wanted_of(command: &[&str], variables: &[(&str, &str)]) -> [bool; 3] {
        let cli = Cli::try_parse_from(command).unwrap();
        let env: Env = variables.iter().copied().collect();
        tracing::subscriber::with_default(subscriber(&cli, &env), || {
            let library = tracing::error_span!(target: "h2::codec", "frame");
            let own = tracing::info_span!(target: "fnox_gateway::proxy", "exchange");
            let warning = tracing::enabled!(target: "fnox_gateway", tracing::Level::WARN);
            [!library.is_disabled(), !own.is_disabled(), warning]
        })
    }

    #[test]
    fn spans_of_libraries_are_never_made_and_ours_only_if_somebody_looks() {
        let run = ["fnox", "agent", "run", "--", "true"];
        for command in [&run[..], &["fnox", "gateway", "serve"], &["fnox", "list"]] {
            assert_eq!(wanted_of(command, &[]), [false, false, true], "{command:?}");
            let everything = [("FNOX_LOG", "trace")];
            assert_eq!(wanted_of(command, &everything), [false, true, true]);
        }
        assert_eq!(wanted_of(&["fnox", "serve"], &[]), [false, true, true]);
        assert_eq!(
            wanted_of(&["fnox", "vault", "serve"], &[]),
            [false, false, true]
        );
        assert_eq!(
            wanted_of(&["fnox", "list", "--quiet"], &[]),
            [false, false, false]
        );
    }
}
