//! `fnox vault policy`

use std::path::Path;

use fnox_core::{AgentId, Clock as _};
use fnox_vault::policy::{Finding, Policy, Question, Severity};
use fnox_vault_wire::methods::{Explanation, PolicyExplain, PolicyReload};

use crate::app::App;
use crate::args::vault::{PolicyCommand, PolicyGroup};
use crate::error::CliError;
use crate::vault::connect::ask;
use crate::vault::documents::{PolicyChecked, PolicyFinding};
use crate::vault::error::VaultFailure;
use crate::vault::target::Target;
use crate::vault::values::count;

pub(super) fn run(app: &App, group: &PolicyGroup) -> Result<(), CliError> {
    match &group.command {
        PolicyCommand::Check { file, strict } => check(app, group, file, *strict),
        PolicyCommand::Explain { file, .. } => explain(app, group, file.as_deref()),
        PolicyCommand::Reload => reload(app, group),
    }
}

fn check(app: &App, group: &PolicyGroup, file: &Path, strict: bool) -> Result<(), CliError> {
    let path = app.cwd.join(file);
    let outcome = Policy::load(&read(&path)?, &file.display().to_string());
    let (rules, findings) = match outcome {
        Ok(loaded) => (Some(loaded.policy.rules().len()), loaded.warnings),
        Err(error) => (None, error.findings),
    };
    if group.client.json {
        app.printer.json(&PolicyChecked {
            valid: rules.is_some(),
            rules,
            findings: findings.iter().map(finding).collect(),
        })?;
    } else {
        for finding in &findings {
            app.printer
                .line(&format!("{}: {finding}", severity(finding.severity)))?;
        }
    }
    let warnings = findings.len();
    match rules {
        Some(rules) if warnings == 0 || !strict => {
            let odd = match warnings {
                0 => String::new(),
                odd => format!(", {}", count(odd as u64, "warning")),
            };
            let rules = count(rules as u64, "rule");
            app.printer
                .done(&format!("{}: {rules}{odd}", file.display()));
            Ok(())
        }
        Some(_) => Err(refused(format!("{} has warnings", file.display()))),
        None => Err(refused(format!("{} is not a policy", file.display()))),
    }
}

fn explain(app: &App, group: &PolicyGroup, file: Option<&Path>) -> Result<(), CliError> {
    let PolicyCommand::Explain {
        agent,
        secret,
        host,
        tool,
        ..
    } = &group.command
    else {
        return Ok(());
    };
    let explanation = match file {
        None => {
            let params = PolicyExplain {
                agent: agent.clone(),
                secret: secret.clone(),
                host: host.clone(),
                tool: tool.clone(),
            };
            ask(app, &group.client.connection, &params)?
        }
        Some(file) => {
            let origin = file.display().to_string();
            let loaded = Policy::load(&read(&app.cwd.join(file))?, &origin)
                .map_err(|error| refused(format!("{origin} is not a policy:\n{error}")))?;
            let target = Target::of(secret, host)?;
            let agent =
                AgentId::parse(agent).map_err(|error| CliError::usage(error.to_string()))?;
            loaded.policy.explain(&Question {
                agent: &agent,
                secret: &target.secret,
                host: &target.host,
                tool: tool.as_deref(),
                now: app.clock.now(),
            })
        }
    };
    if group.client.json {
        return app.printer.json(&explanation);
    }
    print(app, &explanation)
}

fn print(app: &App, explanation: &Explanation) -> Result<(), CliError> {
    let word = if explanation.allowed {
        "allowed"
    } else {
        "denied"
    };
    app.printer
        .line(&format!("{word}: {}", explanation.summary))?;
    if let Some(terms) = &explanation.terms {
        let time = |seconds| fnox_core::Lifetime::from_secs(seconds).to_string();
        let uses = terms.max_uses.map_or_else(
            || "any number of uses".to_owned(),
            |uses| count(uses.into(), "use"),
        );
        let renewable = if terms.renewable {
            format!(", renewable up to {}", time(terms.max_lifetime_secs))
        } else {
            String::new()
        };
        app.printer.line(&format!(
            "  {} (at most {}), {uses}{renewable}",
            time(terms.ttl_secs),
            time(terms.max_ttl_secs)
        ))?;
    }
    for miss in &explanation.misses {
        app.printer
            .line(&format!("  {}: {}", miss.rule, miss.because))?;
    }
    Ok(())
}

fn reload(app: &App, group: &PolicyGroup) -> Result<(), CliError> {
    let reloaded = ask(app, &group.client.connection, &PolicyReload {})?;
    if group.client.json {
        return app.printer.json(&reloaded);
    }
    for warning in &reloaded.warnings {
        app.printer.warn(warning);
    }
    app.printer.done(&format!(
        "{} in force; {} withdrawn, {} shortened",
        count(reloaded.rules, "rule"),
        count(reloaded.leases_revoked, "lease"),
        reloaded.leases_shortened
    ));
    Ok(())
}

/// A policy's text. It is no secret, and not trusted: nothing in it is executed.
pub(super) fn read(path: &Path) -> Result<String, CliError> {
    Ok(fnox_config::trust::read(path)?)
}

fn refused(message: String) -> CliError {
    VaultFailure::Policy { message }.into()
}

fn finding(finding: &Finding) -> PolicyFinding {
    PolicyFinding {
        severity: severity(finding.severity),
        line: finding.line,
        column: finding.column,
        message: finding.message.clone(),
        help: finding.help.clone(),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
