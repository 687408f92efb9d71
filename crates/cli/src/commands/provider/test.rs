//! `fnox provider test`: really opens providers and asks each whether it could answer.

use fnox_config::Config;
use fnox_core::ProviderName;
use fnox_providers::ProviderError;
use fnox_providers::resolve::Resolver;
use futures_util::future::join_all;

use crate::app::{App, block_on};
use crate::args::ProviderTestArgs;
use crate::error::CliError;
use crate::output::documents::ProviderTest;

pub(super) fn run(app: &App, args: &ProviderTestArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let names = names(&config, args)?;
    let resolver = app.resolver(&config);
    let tests = block_on(tested(app, &resolver, &names))?;
    if args.json {
        let documents: Vec<ProviderTest> = tests
            .iter()
            .map(|(name, outcome)| document(name, outcome))
            .collect();
        app.printer.json(&documents)?;
    }
    if !args.all {
        return single(app, tests);
    }
    let failed = tests.iter().filter(|(_, outcome)| outcome.is_err()).count();
    if !args.json {
        for (name, outcome) in &tests {
            match outcome {
                Ok(()) => app.printer.line(&format!("  {name} ✓"))?,
                Err(error) => {
                    let reason = error.to_string().replace('\n', "\n    ");
                    app.printer.line(&format!("  {name} ✗ {reason}"))?;
                    if let Some(help) = error.help() {
                        app.printer.line(&format!("    help: {help}"))?;
                    }
                }
            }
        }
    }
    let all = tests.len();
    if failed > 0 {
        return Err(CliError::failed(format!(
            "{failed} of {all} providers failed"
        )));
    }
    app.printer.done(&format!(
        "{all} provider{} passed",
        if all == 1 { "" } else { "s" }
    ));
    Ok(())
}

fn names(config: &Config, args: &ProviderTestArgs) -> Result<Vec<ProviderName>, CliError> {
    if args.all {
        if args.name.is_some() {
            return Err(CliError::usage("give a name or `--all`, not both"));
        }
        let mut names: Vec<ProviderName> = config.providers.keys().cloned().collect();
        names.sort();
        return Ok(names);
    }
    let name = match &args.name {
        Some(name) => config.provider(name, None)?.name.clone(),
        None => config
            .default_provider()
            .cloned()
            .ok_or_else(|| CliError::Usage {
                message: "there is no default provider to test".to_owned(),
                help: Some("name one, or use `--all`".to_owned()),
            })?,
    };
    Ok(vec![name])
}

fn single(app: &App, tests: Vec<(ProviderName, Result<(), CliError>)>) -> Result<(), CliError> {
    for (name, outcome) in tests {
        outcome?;
        app.printer.done(&format!("The provider {name} works"));
    }
    Ok(())
}

fn document(name: &ProviderName, outcome: &Result<(), CliError>) -> ProviderTest {
    ProviderTest {
        name: name.to_string(),
        ok: outcome.is_ok(),
        error: outcome.as_ref().err().map(ToString::to_string),
        remedy: outcome.as_ref().err().and_then(CliError::help),
    }
}

/// Tests several providers at the same time.
pub(crate) async fn tested(
    app: &App,
    resolver: &Resolver<'_>,
    names: &[ProviderName],
) -> Vec<(ProviderName, Result<(), CliError>)> {
    let tests = names
        .iter()
        .map(|name| async move { (name.clone(), probe(app, resolver, name).await) });
    join_all(tests).await
}

/// Opens one provider and asks whether it could answer, within the time limit of a provider's call.
pub(in crate::commands) async fn probe(
    app: &App,
    resolver: &Resolver<'_>,
    name: &ProviderName,
) -> Result<(), CliError> {
    let failed = |error: ProviderError| CliError::Provider {
        provider: name.to_string(),
        action: "be used",
        error,
    };
    let work = async {
        let opened = resolver.open(name.as_str()).await?;
        opened.provider.check().await.map_err(failed)
    };
    let limit = app.provider_time_limit();
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(failed(ProviderError::unavailable(format!(
            "no answer within {} s",
            limit.as_secs()
        ))))
    })
}
