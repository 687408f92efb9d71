//! `fnox serve policy`

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use fnox_server::Subject;
use fnox_server::policy::{Policy, PolicyError};
use fnox_server::settings::{Algorithm, IssuerSettings, Preset};
use fnox_server::subject::Claims;

use super::places;
use crate::app::App;
use crate::args::serve::{FileArgs, PolicyCommand, PolicyGroup, PolicyTestArgs};
use crate::error::CliError;
use crate::server::documents::{ServerPolicyChecked, ServerPolicyFinding, ServerPolicyTested};
use crate::server::error::ServerFailure;
use crate::server::issuers;
use crate::server::settings::Overrides;
use crate::vault::values::count;

/// As much as the server takes of a token, decoded.
const CLAIMS_LIMIT: u64 = 64 * 1024;

pub(super) fn run(app: &App, group: &PolicyGroup) -> Result<(), CliError> {
    match &group.command {
        PolicyCommand::Check { file, policy, json } => check(app, file, policy.as_deref(), *json),
        PolicyCommand::Test(args) => test(app, args),
    }
}

/// The policy, what is wrong with it if it is none, and the issuers.
struct Read {
    origin: String,
    policy: Result<Policy, PolicyError>,
    issuers: Vec<IssuerSettings>,
}

fn read(app: &App, file: &FileArgs, policy: Option<&Path>) -> Result<Read, CliError> {
    let (file, places) = places(app, file)?;
    let issuers = if file.exists() {
        issuers::read(&file, &Overrides::default(), &places.public_url)?
    } else {
        presets(&places.public_url)
    };
    let path = policy.map_or(places.policy, |path| app.cwd.join(path));
    let origin = path.display().to_string();
    let text = fnox_config::trust::read(&path)?;
    let policy = Policy::parse(&text, &issuers).map_err(|error| error.of(&origin));
    Ok(Read {
        origin,
        policy,
        issuers,
    })
}

/// Without a server.toml: everything that a policy can mean by a preset's name.
fn presets(audience: &str) -> Vec<IssuerSettings> {
    Preset::ALL
        .into_iter()
        .map(|preset| IssuerSettings {
            name: preset.as_str().to_owned(),
            preset,
            url: preset.url().unwrap_or_default().to_owned(),
            audience: audience.to_owned(),
            algorithms: vec![Algorithm::Rs256],
            jwks_file: None,
            allow_origins: Vec::new(),
            leeway: Duration::from_mins(1),
            longest_life: Duration::from_hours(24),
        })
        .collect()
}

fn check(app: &App, file: &FileArgs, policy: Option<&Path>, json: bool) -> Result<(), CliError> {
    let read = read(app, file, policy)?;
    if json {
        let findings = read.policy.as_ref().err().map(|error| &error.findings);
        app.printer.json(&ServerPolicyChecked {
            policy: read.origin.clone(),
            rules: read.policy.as_ref().ok().map(Policy::rules),
            findings: findings
                .into_iter()
                .flatten()
                .map(|finding| ServerPolicyFinding {
                    line: finding.line,
                    rule: finding.rule.clone(),
                    message: finding.message.clone(),
                    help: finding.help.clone(),
                })
                .collect(),
        })?;
    }
    let policy = read.policy.map_err(refused)?;
    app.printer.done(&format!(
        "{}: {}",
        read.origin,
        count(policy.rules() as u64, "rule")
    ));
    Ok(())
}

fn test(app: &App, args: &PolicyTestArgs) -> Result<(), CliError> {
    let read = read(app, &args.file, args.policy.as_deref())?;
    let policy = read.policy.map_err(refused)?;
    let claims = claims(app, &args.claims)?;
    let subject = subject(&read.issuers, args.issuer.as_deref(), claims)?;
    let profile = app.write_target()?;
    let profile = profile.as_ref().map_or("default", |name| name.as_str());
    let ask =
        (!args.keys.is_empty()).then_some((args.project.as_str(), profile, args.keys.as_slice()));
    let explanation = policy.explain(&subject, ask);
    if args.json {
        app.printer.json(&ServerPolicyTested::from(&explanation))?;
    } else {
        app.printer.raw(&explanation.to_string())?;
    }
    let denied: Vec<&str> = explanation
        .keys
        .iter()
        .filter(|key| !key.permitted)
        .map(|key| key.key.as_str())
        .collect();
    let message = match (explanation.admitted, denied.as_slice()) {
        (true, []) => return Ok(()),
        (false, _) => "the policy does not let these claims in".to_owned(),
        (true, denied) => format!(
            "the policy does not release {}",
            denied.join(", ").escape_debug()
        ),
    };
    Err(ServerFailure::Denied { message }.into())
}

fn claims(app: &App, path: &Path) -> Result<Claims, CliError> {
    let (path, what) = if path == Path::new("-") {
        ("/dev/stdin".into(), "the claims on stdin".to_owned())
    } else {
        let path = app.cwd.join(path);
        let what = format!("the claims in {}", path.display());
        (path, what)
    };
    let mut text = String::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(CLAIMS_LIMIT).read_to_string(&mut text))
        .map_err(|source| CliError::File {
            action: "read",
            path,
            source,
        })?;
    serde_json::from_str(&text).map_err(|error| CliError::Input {
        what,
        reason: error.to_string(),
        help: Some(
            "they are one JSON object: the middle part of a token, decoded from base64url"
                .to_owned(),
        ),
    })
}

fn subject(
    issuers: &[IssuerSettings],
    chosen: Option<&str>,
    claims: Claims,
) -> Result<Subject, CliError> {
    let text = |claim: &str| claims.get(claim).and_then(serde_json::Value::as_str);
    let issuer = match chosen {
        Some(name) => issuers.iter().find(|issuer| issuer.name == name),
        None => text("iss").and_then(|iss| issuers.iter().find(|issuer| issuer.url == iss)),
    };
    let Some(issuer) = issuer else {
        let names: Vec<&str> = issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        let message = match chosen {
            Some(name) => format!("there is no issuer `{}`", name.escape_debug()),
            None => format!(
                "no issuer has the address `{}` of the claim `iss`",
                text("iss").unwrap_or_default().escape_debug()
            ),
        };
        return Err(CliError::Usage {
            message,
            help: Some(format!("name one with --issuer: {}", names.join(", "))),
        });
    };
    Ok(Subject {
        issuer: issuer.name.clone(),
        preset: issuer.preset,
        subject: text("sub").unwrap_or_default().to_owned(),
        claims,
        roles: Vec::new(),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: PolicyError) -> CliError {
    ServerFailure::Policy {
        message: format!("this is not a policy:\n{error}"),
    }
    .into()
}
