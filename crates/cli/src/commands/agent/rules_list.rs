//! `fnox agent rules`

use fnox_config::Config;
use fnox_gateway::policy::{Egress, Policy};
use fnox_gateway::rule::{CredentialRef, Mode, Rule};
use fnox_leases::Manager;

use crate::app::App;
use crate::args::agent::AgentRulesArgs;
use crate::commands::masters::Masters;
use crate::error::CliError;
use crate::gateway::documents::{RuleDocument, RulesDocument};
use crate::gateway::rules::{self, Proxy, ProxyRule};

pub(super) fn run(app: &App, args: &AgentRulesArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let proxy = rules::read(&config, app.folders.home())?;
    let resolver = app.reading_resolver(&config)?;
    let masters = Masters::new(app, &config, &resolver);
    let manager = masters.manager();
    let document = document(&proxy, |rule, own| variable(&config, &manager, rule, own));
    if args.json {
        return app.printer.json(&document);
    }
    app.printer.line(&format!("egress: {}", document.egress))?;
    app.printer.line(&format!("audit: {}", document.audit))?;
    for (name, list) in [
        ("allow_domains", &document.allow_domains),
        ("allow_private", &document.allow_private),
    ] {
        if !list.is_empty() {
            app.printer.line(&format!("{name}: {}", list.join(", ")))?;
        }
    }
    for rule in &document.rules {
        app.printer.line(&line(rule))?;
    }
    Ok(())
}

/// The variable that has a rule's placeholder.
fn variable(
    config: &Config,
    manager: &Manager<'_>,
    rule: &Rule,
    own: &ProxyRule,
) -> Option<String> {
    if own.variable.is_some() {
        return own.variable.clone();
    }
    match &rule.credential {
        CredentialRef::Secret(_) => own.secret.as_ref().map(ToString::to_string),
        CredentialRef::Lease { .. } if rule.injection.is_signature() => {
            Some("AWS_ACCESS_KEY_ID".to_owned())
        }
        CredentialRef::Lease {
            variable: Some(name),
            ..
        } => Some(name.to_string()),
        CredentialRef::Lease { name, .. } => {
            let produced = manager.produced(config.lease(name.as_str()).ok()?).ok()?;
            match produced.as_slice() {
                [one] => Some(one.clone()),
                _ => None,
            }
        }
        CredentialRef::Captured { .. } => None,
    }
}

fn document(
    proxy: &Proxy,
    variable: impl Fn(&Rule, &ProxyRule) -> Option<String>,
) -> RulesDocument {
    let Policy { egress, rules, .. } = &proxy.policy;
    RulesDocument {
        egress: match egress {
            Egress::Strict => "strict",
            Egress::Permissive => "permissive",
        },
        audit: proxy.tells,
        allow_domains: proxy.allow_domains.clone(),
        allow_private: proxy.allow_private.clone(),
        rules: rules
            .iter()
            .zip(&proxy.rules)
            .map(|(rule, own)| one(rule, variable(rule, own)))
            .collect(),
    }
}

fn one(rule: &Rule, env: Option<String>) -> RuleDocument {
    let capture = rule.capture.clone().unwrap_or_default();
    RuleDocument {
        credential: rule.credential.to_string(),
        host: rule.hosts.to_string(),
        methods: rule.methods.iter().map(ToString::to_string).collect(),
        paths: rule.paths.iter().map(ToString::to_string).collect(),
        place: rule.injection.describe(),
        inject: match rule.mode {
            Mode::Swap => "swap",
            Mode::Set => "set",
        },
        env,
        max_uses: rule.max_uses,
        asks: rule.approve == fnox_gateway::rule::Approve::Ask,
        capture: capture.members,
        capture_hosts: capture.hosts.iter().map(ToString::to_string).collect(),
    }
}

/// `GITHUB_TOKEN -> api.github.com methods=GET paths=/repos/** in=… env=GITHUB_TOKEN`. No scheme: a rule for this machine
/// may be used without TLS too.
fn line(rule: &RuleDocument) -> String {
    let list = |items: &[String]| match items {
        [] => "all".to_owned(),
        items => items.join(","),
    };
    let mut words = vec![
        format!("{} -> {}", rule.credential, rule.host),
        format!("methods={}", list(&rule.methods)),
        format!("paths={}", list(&rule.paths)),
        format!("in={}", rule.place),
        format!("inject={}", rule.inject),
    ];
    words.extend(rule.env.as_ref().map(|env| format!("env={env}")));
    words.extend(rule.max_uses.map(|uses| format!("max_uses={uses}")));
    words.extend(rule.asks.then(|| "approve=ask".to_owned()));
    for (name, items) in [
        ("capture", &rule.capture),
        ("capture_hosts", &rule.capture_hosts),
    ] {
        words.extend((!items.is_empty()).then(|| format!("{name}={}", items.join(","))));
    }
    words.join(" ")
}
