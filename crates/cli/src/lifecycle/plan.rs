//! What has to be done, as far as the configuration knows.

use std::collections::BTreeSet;

use fnox_config::spec::Capability;
use fnox_config::{ProviderConfig, SecretConfig};
use fnox_core::Clock as _;
use fnox_core::lease::LeaseState;
use fnox_leases::LeaseSummary;
use fnox_leases::mint::Consumes;

use super::documents::{By, Item, Offboarding, State, Step};
use super::person::Person;
use super::recipients::{Membership, memberships};
use super::sessions;
use super::views::{self, View, place};
use crate::app::{App, block_on};
use crate::commands::masters::Masters;
use crate::error::CliError;

/// What has to be done when somebody leaves.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) document: Offboarding,
    pub(super) person: Person,
    /// In the order of the items of their step.
    pub(super) memberships: Vec<Membership>,
    /// Ids of this machine's leases, in the order of the items of their step.
    pub(super) leases: Vec<String>,
}

impl Plan {
    /// Reads the configuration of every profile and this machine's ledger. Nobody is asked for anything.
    pub(crate) fn make(app: &App, user: &str) -> Result<Self, CliError> {
        let views = views::all(app)?;
        let person = Person::find(&views, user)?;
        let memberships = memberships(app, &views, &person);
        let known = known_secrets(&views, &memberships);
        let shared = shared_secrets(&views);
        let leases = leases(app, &views, &known, &shared)?;
        let mut steps = vec![
            recipients_step(&memberships, &person),
            rotate_step(&known, &shared),
            leases_step(&leases),
            sessions_step(app, &views, &person),
            server_step(&views, &person),
            accounts_step(&views, &person),
        ];
        steps.retain(|step| !step.items.is_empty());
        Ok(Self {
            document: Offboarding {
                user: user.to_owned(),
                known_as: person.known_as(),
                applied: false,
                steps,
            },
            person,
            memberships,
            leases: leases.into_iter().map(|lease| lease.lease_id).collect(),
        })
    }
}

/// Secrets of all profiles that fit, each once.
fn secrets(
    views: &[View],
    fits: impl Fn(&SecretConfig, &ProviderConfig) -> bool,
) -> Vec<(&SecretConfig, &ProviderConfig)> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for view in views {
        for secret in view.config.secrets.values() {
            let mut providers = view.config.providers_of(secret);
            if let Some(provider) = providers.find(|provider| fits(secret, provider))
                && seen.insert((secret.name.to_string(), place(&secret.location)))
            {
                out.push((secret, provider));
            }
        }
    }
    out
}

/// What the person could read for certain: it is encrypted to them, in a file that they have.
fn known_secrets<'a>(
    views: &'a [View],
    memberships: &[Membership],
) -> Vec<(&'a SecretConfig, &'a ProviderConfig)> {
    secrets(views, |secret, provider| {
        secret.value.is_some() && memberships.iter().any(|one| one.is_of(provider))
    })
}

/// What the person could read if they were let into the store that everybody shares.
fn shared_secrets(views: &[View]) -> Vec<(&SecretConfig, &ProviderConfig)> {
    const OF_ONE_MACHINE: [&str; 3] = ["plain", "keychain", "password-store"];
    secrets(views, |_, provider| {
        provider.capability != Capability::EncryptsInConfig
            && !OF_ONE_MACHINE.contains(&provider.spec.name)
    })
}

/// This machine's live leases that were minted from something that the person could read.
fn leases(
    app: &App,
    views: &[View],
    known: &[(&SecretConfig, &ProviderConfig)],
    shared: &[(&SecretConfig, &ProviderConfig)],
) -> Result<Vec<LeaseSummary>, CliError> {
    let readable: BTreeSet<&str> = known
        .iter()
        .chain(shared)
        .map(|(secret, _)| secret.name.as_str())
        .collect();
    let mut out: Vec<LeaseSummary> = Vec::new();
    for view in views {
        let resolver = app.resolver(&view.config);
        let masters = Masters::new(app, &view.config, &resolver);
        let manager = masters.manager();
        let records = block_on(manager.list())??;
        for lease in view.config.leases.values() {
            let is_known = match manager.consumed(lease)? {
                Consumes::Everything => !readable.is_empty(),
                Consumes::Names(names) => names.iter().any(|name| readable.contains(name.as_str())),
            };
            let live = records.iter().filter(|record| {
                record.lease == lease.name.as_str() && record.state == LeaseState::Active
            });
            for record in live.filter(|_| is_known) {
                if out.iter().all(|other| other.lease_id != record.lease_id) {
                    out.push(record.clone());
                }
            }
        }
    }
    Ok(out)
}

fn step(name: &'static str, title: impl Into<String>, by: By, items: Vec<Item>) -> Step {
    Step {
        name,
        title: title.into(),
        by,
        state: State::Open,
        items,
    }
}

fn recipients_step(memberships: &[Membership], person: &Person) -> Step {
    let items = memberships.iter().map(|membership| Item {
        what: format!("{} encrypts to {}", membership.owner, person.user),
        place: Some(membership.place.clone()),
        command: None,
        problem: (!membership.has_others)
            .then(|| "nobody else could read its values: add a recipient first".to_owned()),
    });
    let title = "Take the person's recipients out and encrypt the values anew, in all profiles";
    step("recipients", title, By::Fnox, items.collect())
}

fn rotate_step(
    known: &[(&SecretConfig, &ProviderConfig)],
    shared: &[(&SecretConfig, &ProviderConfig)],
) -> Step {
    let mut items: Vec<Item> = known
        .iter()
        .map(|(secret, provider)| Item {
            what: format!(
                "{} (`{}`): encrypted to the person",
                secret.name, provider.name
            ),
            place: Some(place(&secret.location)),
            command: Some(format!("fnox set {}", secret.name)),
            problem: None,
        })
        .collect();
    items.extend(shared.iter().map(|(secret, provider)| Item {
        what: format!(
            "{} (`{}`): if the person could open it in {}",
            secret.name, provider.name, provider.spec.label
        ),
        place: Some(place(&secret.location)),
        command: None,
        problem: None,
    }));
    let title = "Replace the values that the person could have copied, at their issuers and here";
    step("rotate", title, By::Person, items)
}

fn leases_step(leases: &[LeaseSummary]) -> Step {
    let items = leases.iter().map(|lease| Item {
        what: format!(
            "lease `{}`, {}{}",
            lease.lease,
            lease.lease_id,
            lease
                .expires_at
                .map_or_else(String::new, |end| format!(", until {end}"))
        ),
        place: None,
        command: Some(format!("fnox lease revoke {}", lease.lease_id)),
        problem: None,
    });
    let title = "Withdraw this machine's leases that were minted from such secrets";
    step("leases", title, By::Fnox, items.collect())
}

fn sessions_step(app: &App, views: &[View], person: &Person) -> Step {
    let now = app.clock.now();
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for lease in views.iter().flat_map(|view| view.config.leases.values()) {
        if seen.insert(place(lease.fields.location())) {
            items.push(sessions::of(lease, person, now));
        }
    }
    let title = "End what the person's own machine minted; disabling an account does not end it";
    step("sessions", title, By::Person, items)
}

fn server_step(views: &[View], person: &Person) -> Step {
    let who = person.email.as_deref().unwrap_or(&person.user);
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for provider in views.iter().flat_map(|view| view.config.providers.values()) {
        let Some(url) = provider.fields.text("url") else {
            continue;
        };
        if provider.spec.name != "fnox-server" || !seen.insert(url.to_owned()) {
            continue;
        }
        let url = url.trim_end_matches('/');
        let item = |what: String, command: Option<String>| Item {
            what,
            place: Some(place(provider.fields.location())),
            command,
            problem: None,
        };
        items.push(item(
            format!("{url}: end sessions, open approvals and the right to approve"),
            Some(format!(
                "curl -H \"Authorization: Bearer $SCIM_TOKEN\" -G {url}/scim/v2/Users --data-urlencode 'filter=userName \
                 eq \"{who}\"'\n\
                 curl -X PATCH -H \"Authorization: Bearer $SCIM_TOKEN\" -H 'Content-Type: application/scim+json' \
                 {url}/scim/v2/Users/ID -d '{{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:PatchOp\"],\
                 \"Operations\":[{{\"op\":\"replace\",\"path\":\"active\",\"value\":false}}]}}'"
            )),
        ));
        items.push(item(
            format!("{url}: take {who} out of `approvers` in policy.toml, and the person's recipients out of the secrets"),
            Some("fnox secret rekey".to_owned()),
        ));
    }
    step("server", "Tell the team server", By::Person, items)
}

fn accounts_step(views: &[View], person: &Person) -> Step {
    let who = person.email.as_deref().unwrap_or(&person.user);
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for provider in views.iter().flat_map(|view| view.config.providers.values()) {
        if provider.spec.name == "1password" && seen.insert(place(provider.fields.location())) {
            items.push(Item {
                what: format!("1Password: suspend {who}, which ends access to every vault"),
                place: Some(place(provider.fields.location())),
                command: Some(format!(
                    "op user suspend {who} --deauthorize-devices-after 0s"
                )),
                problem: None,
            });
        }
    }
    items.extend(person.accounts.iter().map(|(service, name)| {
        Item {
            what: format!("{service}: end the access of {name}"),
            command: (service == "github")
                .then(|| format!("gh api --method DELETE orgs/ORGANISATION/memberships/{name}")),
            ..Item::default()
        }
    }));
    step("accounts", "End the person's accounts", By::Person, items)
}
