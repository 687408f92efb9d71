//! The keys of an `ssh` lease.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::name::is_variable_name;
use ipnet::IpNet;
use ssh_key::PublicKey;

use super::authority;
use crate::mint::CreateRequest;

/// The variable of the authority's key unless another one is named.
pub(super) const USUAL_VARIABLE: &str = "FNOX_SSH_CA_KEY";

/// The extensions that OpenSSH knows (`PROTOCOL.certkeys`, section "Extensions").
const KNOWN_EXTENSIONS: [&str; 6] = [
    "no-touch-required",
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
];

/// Where the authority's key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authority {
    /// In a file.
    File(PathBuf),
    /// In a variable or secret.
    Variable(String),
    /// With the SSH agent of whoever runs fnox: this is the public part.
    Agent(PublicKey),
}

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) authority: Authority,
    pub(super) principals: Vec<String>,
    pub(super) key_id: Option<String>,
    /// Names and values; most have none.
    pub(super) extensions: Vec<(String, String)>,
    pub(super) force_command: Option<String>,
    pub(super) source_addresses: Vec<String>,
}

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        Ok(Self {
            authority: authority(fields, home)?,
            principals: principals(fields)?,
            key_id: line(fields, "key_id")?,
            extensions: extensions(fields)?,
            force_command: line(fields, "force_command")?,
            source_addresses: source_addresses(fields)?,
        })
    }

    /// The certificate's name.
    pub(super) fn key_id_of(&self, request: &CreateRequest) -> String {
        let text = self.key_id.as_deref().unwrap_or(&request.label);
        // A server writes it into its log.
        text.chars().filter(|c| !c.is_control()).collect()
    }

    /// What a certificate will say.
    pub(super) fn described(&self, request: &CreateRequest) -> Vec<(String, String)> {
        let mut details = vec![
            ("principals".to_owned(), self.principals.join(", ")),
            ("key_id".to_owned(), self.key_id_of(request)),
            ("life".to_owned(), request.duration.to_string()),
        ];
        if let Some(command) = &self.force_command {
            details.push(("force-command".to_owned(), command.clone()));
        }
        if !self.source_addresses.is_empty() {
            details.push(("source-address".to_owned(), self.source_addresses.join(",")));
        }
        details.extend(self.extensions.iter().map(|(name, value)| {
            let text = if value.is_empty() {
                name.clone()
            } else {
                format!("{name}={value}")
            };
            ("extension".to_owned(), text)
        }));
        details
    }
}

fn authority(fields: &Fields, home: Option<&Path>) -> Result<Authority, ConfigError> {
    let keys = ["ca_key_file", "ca_key_variable", "ca_agent_key"];
    let mut named = keys.into_iter().filter(|key| fields.contains(key));
    if let (Some(first), Some(second)) = (named.next(), named.next()) {
        let reason = format!("and `{first}` both say where the key is: one of them");
        return Err(fields.invalid(second, reason));
    }
    if let Some(path) = fields.path("ca_key_file", home) {
        return Ok(Authority::File(path));
    }
    if let Some(text) = fields.text("ca_agent_key") {
        return agent_key(text).map_or_else(
            |reason| Err(fields.invalid("ca_agent_key", reason)),
            |key| Ok(Authority::Agent(key)),
        );
    }
    let name = fields.text("ca_key_variable").unwrap_or(USUAL_VARIABLE);
    if is_variable_name(name) {
        Ok(Authority::Variable(name.to_owned()))
    } else {
        Err(fields.invalid("ca_key_variable", "must be the name of a variable"))
    }
}

fn agent_key(text: &str) -> Result<PublicKey, String> {
    let key = PublicKey::from_openssh(text.trim()).map_err(|_| {
        "is no public key: a line of a `.pub` file, or of `ssh-add -L`, such as `ecdsa-sha2-nistp256 AAAA…`"
    })?;
    match authority::unfit_to_sign(key.key_data()) {
        Some(what) => Err(format!("is {what}, with which fnox does not sign")),
        None => Ok(key),
    }
}

fn principals(fields: &Fields) -> Result<Vec<String>, ConfigError> {
    let names = fields.list("principals");
    if names.is_empty() {
        return Err(fields.invalid(
            "principals",
            "must name somebody: a certificate without principals lets in as everybody",
        ));
    }
    // Wildcards and lists mean more than one user to some servers, and nothing to others.
    let is_plain = |name: &String| {
        !name.is_empty()
            && !name
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || ",*?!".contains(c))
    };
    if let Some(wrong) = names.iter().find(|name| !is_plain(name)) {
        return Err(fields.invalid(
            "principals",
            format!("has `{}`, which is not one user", wrong.escape_debug()),
        ));
    }
    Ok(names.to_vec())
}

fn line(fields: &Fields, key: &str) -> Result<Option<String>, ConfigError> {
    match fields.text(key) {
        None => Ok(None),
        Some(text) if text.trim().is_empty() => Err(fields.invalid(key, "must not be empty")),
        Some(text) if text.chars().any(char::is_control) => {
            Err(fields.invalid(key, "must be one line without control characters"))
        }
        Some(text) => Ok(Some(text.to_owned())),
    }
}

fn extensions(fields: &Fields) -> Result<Vec<(String, String)>, ConfigError> {
    if !fields.contains("extensions") {
        return Ok(vec![("permit-pty".to_owned(), String::new())]);
    }
    let mut extensions: Vec<(String, String)> = Vec::new();
    for text in fields.list("extensions") {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        // Names with a domain are anybody's to define (RFC 4251 section 6).
        let is_own = name
            .split_once('@')
            .is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
        let is_known = KNOWN_EXTENSIONS.contains(&name) && value.is_empty();
        if !(is_known || is_own) || !is_plain(text) {
            let known = KNOWN_EXTENSIONS.join(", ");
            return Err(fields.invalid(
                "extensions",
                format!(
                    "has `{}`; known are {known}, and names such as `login@example.com=value`",
                    text.escape_debug()
                ),
            ));
        }
        if !extensions.iter().any(|(known, _)| known == name) {
            extensions.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(extensions)
}

fn source_addresses(fields: &Fields) -> Result<Vec<String>, ConfigError> {
    let addresses = fields.list("source_addresses");
    if fields.contains("source_addresses") && addresses.is_empty() {
        return Err(fields.invalid("source_addresses", "names no address"));
    }
    for text in addresses {
        // sshd refuses a certificate with a network that has bits of a host.
        let is_network = text
            .parse::<IpNet>()
            .is_ok_and(|network| network.network() == network.addr());
        if !is_network && text.parse::<IpAddr>().is_err() {
            return Err(fields.invalid(
                "source_addresses",
                format!(
                    "has `{}`, which is neither an address nor a network such as 10.1.0.0/16",
                    text.escape_debug()
                ),
            ));
        }
    }
    Ok(addresses.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn read(keys: &str) -> Result<Settings, ConfigError> {
        let lease = testing::lease(&format!("type = 'ssh'\n{keys}"));
        Settings::read(&lease.fields, None)
    }

    #[test]
    fn what_a_server_would_misunderstand_is_an_error_with_a_line() {
        for (wrong, wanted) in [
            ("principals = []", "lets in as everybody"),
            ("principals = ['a', '']", "not one user"),
            ("principals = ['a,b']", "not one user"),
            ("principals = ['*']", "not one user"),
            ("principals = [\"a\\n\"]", "not one user"),
            ("principals = ['a']\nkey_id = \"a\\nb\"", "one line"),
            ("principals = ['a']\nforce_command = ' '", "not be empty"),
            (
                "principals = ['a']\nextensions = ['permit-all']",
                "known are",
            ),
            (
                "principals = ['a']\nextensions = ['permit-pty=1']",
                "known are",
            ),
            ("principals = ['a']\nextensions = ['@x']", "known are"),
            ("principals = ['a']\nsource_addresses = []", "no address"),
            (
                "principals = ['a']\nsource_addresses = ['10.1.2.3/16']",
                "neither",
            ),
            (
                "principals = ['a']\nsource_addresses = ['!10.0.0.1']",
                "neither",
            ),
            (
                "principals = ['a']\nca_key_file = 'x'\nca_key_variable = 'X'",
                "one of them",
            ),
            (
                "principals = ['a']\nca_key_variable = ''",
                "name of a variable",
            ),
            (
                "principals = ['a']\nca_key_file = 'x'\nca_agent_key = 'X'",
                "one of them",
            ),
            (
                "principals = ['a']\nca_agent_key = 'ca.pub'",
                "no public key",
            ),
            (
                "principals = ['a']\nca_agent_key = 'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAAAABHNzaDo='",
                "does not sign",
            ),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wrong}: {error}");
            assert!(error.location().is_some_and(|location| location.line() > 1));
        }
    }

    #[test]
    fn a_certificate_permits_a_terminal_unless_told_otherwise() {
        let of = |keys: &str| {
            let settings = read(&format!("principals = ['a']\n{keys}")).unwrap();
            let extensions = settings.extensions.into_iter();
            extensions.collect::<Vec<(String, String)>>()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of(""), [pair("permit-pty", "")]);
        assert_eq!(of("extensions = []"), []);
        assert_eq!(
            of("extensions = ['login@example.com=me', 'permit-pty', 'permit-pty']"),
            [pair("login@example.com", "me"), pair("permit-pty", "")]
        );
    }
}
