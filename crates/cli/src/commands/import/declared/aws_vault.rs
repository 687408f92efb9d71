//! Profiles of aws-vault, which are those of the AWS configuration file.
//!
//! Each becomes a profile of fnox with one lease, so that `fnox exec -P NAME` does what `aws-vault exec NAME` does; `[default]` is
//! the base. Access keys are in aws-vault's keyring. They are not read: notes say which are still to be stored. The format:
//! AWS SDKs and Tools Reference Guide, "Shared config and credentials files"; `include_profile` is aws-vault's own.

use fnox_core::ProfileName;
use indexmap::IndexMap;
use toml_edit::Value;

use super::{Declarations, Entry, Section, Unreadable, not};

/// How many profiles may lead from one to the next.
const LONGEST_CHAIN: usize = 8;

/// The lease of a profile.
const LEASE: &str = "aws";

/// The lifetimes that STS gives a role's session, in seconds (`AssumeRole`, `DurationSeconds`).
const LIFETIMES: std::ops::RangeInclusive<u32> = 900..=43_200;

type Keys = IndexMap<String, String>;

/// All profiles of the file, by name.
struct Profiles(IndexMap<String, Keys>);

pub(super) fn read(text: &str) -> Result<Declarations, Unreadable> {
    let profiles = Profiles::parse(text)?;
    let mut found = Declarations::default();
    for name in profiles
        .0
        .keys()
        .filter(|name| !profiles.is_only_shared(name))
    {
        match profiles.leases(name) {
            Err(reason) => found.notes.push(format!(
                "the profile `{}` is left out: {reason}",
                name.escape_debug()
            )),
            Ok(leases) => {
                let profile = match name.as_str() {
                    "default" => None,
                    _ => Some(
                        ProfileName::parse(name).map_err(|error| Unreadable::because(&error))?,
                    ),
                };
                found.notes.extend(leases.master.map(|source| {
                    let option = profile.as_ref().map_or_else(String::new, |profile| format!(" -P {profile}"));
                    format!("`{source}` has its access key in aws-vault's keyring: store it with `fnox set AWS_ACCESS_KEY_ID{option}` and `fnox set AWS_SECRET_ACCESS_KEY{option}`")
                }));
                found
                    .entries
                    .extend(leases.entries.into_iter().map(|(name, keys)| Entry {
                        section: Section::Leases,
                        profile: profile.clone(),
                        name,
                        keys,
                    }));
            }
        }
    }
    Ok(found)
}

/// The leases that make one profile.
struct Leases {
    entries: Vec<(String, Vec<(&'static str, Value)>)>,
    /// The profile whose access key is the master of all of them.
    master: Option<String>,
}

impl Profiles {
    fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut profiles: IndexMap<String, Keys> = IndexMap::new();
        let mut current: Option<String> = None;
        let mut sections = 0;
        for line in text.lines() {
            let trimmed = line.trim();
            if let Some(rest) = trimmed.strip_prefix('[') {
                sections += 1;
                let title = rest.split(']').next().unwrap_or_default().trim();
                current = profile_of(title);
                if let Some(name) = &current {
                    profiles.entry(name.clone()).or_default();
                }
                continue;
            }
            if line.starts_with([' ', '\t']) || trimmed.starts_with(['#', ';']) {
                continue;
            }
            let keys = current.as_ref().and_then(|name| profiles.get_mut(name));
            if let (Some((key, value)), Some(keys)) = (trimmed.split_once('='), keys) {
                keys.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        if sections == 0 {
            return Err(not("an AWS configuration file: there is no section in it"));
        }
        Ok(Self(profiles))
    }

    /// A key of a profile, or of one that it includes.
    fn key(&self, name: &str, key: &str) -> Option<&str> {
        let mut name = name;
        for _ in 0..LONGEST_CHAIN {
            let keys = self.0.get(name)?;
            if let Some(value) = keys.get(key) {
                return Some(value);
            }
            name = keys.get("include_profile")?;
        }
        None
    }

    fn region(&self, name: &str) -> Result<Value, String> {
        self.key(name, "region")
            .or_else(|| self.key("default", "region"))
            .map(Value::from)
            .ok_or_else(|| "it names no `region`, which STS has to be asked in".to_owned())
    }

    /// Whether a profile has settings for others and stands for no credential itself.
    fn is_only_shared(&self, name: &str) -> bool {
        let mut others = self.0.values();
        let is_included =
            others.any(|keys| keys.get("include_profile").is_some_and(|own| own == name));
        (is_included || name == "default")
            && !self.is_lease(name)
            && self.key(name, "mfa_serial").is_none()
    }

    /// From the lease that the program gets back to the master.
    fn leases(&self, name: &str) -> Result<Leases, String> {
        let mut leases = Leases {
            entries: Vec::new(),
            master: None,
        };
        let mut lease = LEASE.to_owned();
        let mut name = name;
        for _ in 0..LONGEST_CHAIN {
            let key = |key: &str| self.key(name, key);
            if key("role_arn").is_none()
                && (key("sso_account_id").is_some() || key("sso_session").is_some())
            {
                leases.entries.push((
                    lease,
                    vec![
                        ("type", "aws-sso".into()),
                        ("profile", name.into()),
                        ("required", true.into()),
                    ],
                ));
                return Ok(leases);
            }
            if key("credential_process").is_some() {
                return Err(format!(
                    "`{name}` has a `credential_process`; a lease of type `command` can run it"
                ));
            }
            let mut keys: Vec<(&'static str, Value)> =
                vec![("type", "aws-sts".into()), ("region", self.region(name)?)];
            let mut copy = |from: &str, to: &'static str| {
                keys.extend(key(from).map(|value| (to, Value::from(value))));
            };
            copy("role_arn", "role_arn");
            copy("role_session_name", "session_name");
            copy("external_id", "external_id");
            copy("mfa_serial", "mfa_serial");
            copy("source_identity", "source_identity");
            copy("web_identity_token_file", "web_identity_token_file");
            let seconds = key("duration_seconds").and_then(|text| text.parse().ok());
            keys.extend(
                seconds
                    .filter(|seconds: &u32| LIFETIMES.contains(seconds))
                    .map(|seconds| ("duration", format!("{seconds}s").into())),
            );
            let is_role = key("role_arn").is_some();
            if !is_role {
                keys.push(("mode", "session-token".into()));
            }
            // aws-vault starts nothing without a credential.
            keys.push(("required", true.into()));
            let source = key("source_profile").filter(|source| is_role && *source != name);
            let has_token = key("web_identity_token_file").is_some();
            match source {
                Some(source) if self.is_lease(source) => {
                    let next = format!("{LEASE}-{source}");
                    keys.push(("via", next.as_str().into()));
                    leases.entries.push((lease, keys));
                    (lease, name) = (next, source);
                }
                _ => {
                    leases.master = (!has_token).then(|| source.unwrap_or(name).to_owned());
                    leases.entries.push((lease, keys));
                    return Ok(leases);
                }
            }
        }
        Err("its profiles lead to one another in a circle, or through too many".to_owned())
    }

    /// Whether a profile stands for a credential that something makes, rather than for an access key.
    fn is_lease(&self, name: &str) -> bool {
        [
            "role_arn",
            "sso_account_id",
            "sso_session",
            "credential_process",
        ]
        .iter()
        .any(|key| self.key(name, key).is_some())
    }
}

/// The profile of a section's title: `profile NAME`, or `default` without that word.
fn profile_of(title: &str) -> Option<String> {
    match title.split_once([' ', '\t']) {
        Some(("profile", name)) => Some(name.trim().trim_matches(['"', '\'']).to_owned()),
        None if title == "default" => Some(title.to_owned()),
        _ => None,
    }
}
