//! `fnox lease create --explain`

use std::fmt::Write as _;

use fnox_config::Config;
use fnox_core::{LeaseName, Lifetime};
use fnox_leases::Explanation;

use crate::app::{App, block_on};
use crate::args::{CreateArgs, LeaseFormat};
use crate::commands::masters::Masters;
use crate::error::CliError;
use crate::output::documents::ExplainedLease;

/// Tells what creating these leases would do.
pub(super) fn print(
    app: &App,
    config: &Config,
    names: &[LeaseName],
    duration: Option<Lifetime>,
    args: &CreateArgs,
) -> Result<(), CliError> {
    let resolver = app.resolver(config);
    let masters = Masters::new(app, config, &resolver);
    let manager = masters.manager();
    for name in names {
        let explanation = block_on(manager.explain(name, duration, &args.label))??;
        match args.format {
            LeaseFormat::Json => app.printer.json(&ExplainedLease::from(explanation))?,
            LeaseFormat::Shell | LeaseFormat::Env => app.printer.raw(&in_words(&explanation))?,
        }
    }
    Ok(())
}

fn in_words(explanation: &Explanation) -> String {
    let mut out = String::new();
    let duration = Lifetime::from_secs(explanation.duration_seconds);
    let (name, kind) = (&explanation.lease, &explanation.kind);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "Lease `{name}` ({kind}), for {duration}. Nothing was called.\n"
    );
    if let Some(via) = &explanation.via {
        let _ = writeln!(out, "Via       lease `{via}`");
    }
    for (number, master) in explanation.masters.iter().enumerate() {
        let heading = if number == 0 { "Masters" } else { "" };
        let _ = writeln!(out, "{heading:<9} {} from {}", master.name, master.source);
    }
    if let Some(missing) = &explanation.missing {
        let _ = writeln!(out, "Missing   {missing}");
    }
    for call in &explanation.calls {
        let _ = writeln!(out, "Call      {} {}", call.action, call.target);
        let _ = writeln!(out, "            to {}, as {}", call.purpose, call.master);
        for (name, value) in &call.details {
            let _ = writeln!(out, "            {name} = {value}");
        }
    }
    let list = |names: &[String]| match names {
        [] => "what it prints".to_owned(),
        names => names.join(", "),
    };
    let _ = writeln!(out, "Gives     {}", list(&explanation.produces));
    if !explanation.withholds.is_empty() {
        let _ = writeln!(out, "Withholds {}", explanation.withholds.join(", "));
    }
    let end = match (explanation.prolongable, explanation.revocable) {
        (true, true) => "the issuer prolongs it, and withdraws it when asked",
        (true, false) => "the issuer prolongs it; it only expires",
        (false, true) => "it is replaced by a new one, and withdrawn when asked",
        (false, false) => "it is replaced by a new one; it only expires",
    };
    let _ = writeln!(out, "Renewal   {end}");
    if let Some(end) = explanation.cached_until {
        let _ = writeln!(out, "Cached    `fnox exec` uses one that works until {end}");
    }
    out.push('\n');
    out
}
