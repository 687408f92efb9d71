//! Who is meant, and by what the person is known.

use std::collections::BTreeSet;

use fnox_config::Fields;
use fnox_core::age::Recipient;

use super::views::View;
use crate::error::CliError;

/// Somebody who leaves.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// What the command was told.
    pub(super) user: String,
    pub(super) email: Option<String>,
    /// Service and name there.
    pub(super) accounts: Vec<(String, String)>,
    /// Recipients in the form in which two of them can be compared.
    recipients: BTreeSet<String>,
}

impl Person {
    /// Finds a person by name, address, account or recipient: in `[people]`, or as the comment of an SSH recipient.
    pub(super) fn find(views: &[View], user: &str) -> Result<Self, CliError> {
        let mut person = Self {
            user: user.to_owned(),
            email: user.contains('@').then(|| user.to_owned()),
            ..Self::default()
        };
        if let Ok(recipient) = Recipient::parse(user) {
            person.recipients.insert(recipient.canonical());
        }
        let mut is_known = !person.recipients.is_empty();
        for view in views {
            for (name, fields) in &view.config.settings.people {
                if is_meant(name, fields, &person) {
                    person.add(fields);
                    is_known = true;
                }
            }
        }
        for view in views {
            for recipient in recipients(view) {
                let comment = recipient.split_whitespace().nth(2);
                let is_theirs = comment.is_some_and(|comment| {
                    let email = person.email.as_deref();
                    comment.eq_ignore_ascii_case(user)
                        || email.is_some_and(|email| comment.eq_ignore_ascii_case(email))
                });
                if let (true, Ok(parsed)) = (is_theirs, Recipient::parse(&recipient)) {
                    person.recipients.insert(parsed.canonical());
                    is_known = true;
                }
            }
        }
        // An address is enough to go on with: accounts and the team server know people by it.
        if is_known || person.email.is_some() {
            return Ok(person);
        }
        Err(CliError::Usage {
            message: format!("nobody here is known as `{}`", user.escape_debug()),
            help: Some(format!(
                "give an email address or a recipient, or add the person to fnox.toml:\n\
                 [people.{}]\nemail = \"…\"\nrecipients = [\"age1…\"]",
                if user
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                {
                    user
                } else {
                    "NAME"
                }
            )),
        })
    }

    fn add(&mut self, fields: &Fields) {
        if let Some(email) = fields.text("email") {
            self.email = Some(email.to_owned());
        }
        for (service, name) in fields.map("accounts").into_iter().flatten() {
            let account = (service.clone(), name.clone());
            if !self.accounts.contains(&account) {
                self.accounts.push(account);
            }
        }
        for recipient in fields.list("recipients") {
            if let Ok(recipient) = Recipient::parse(recipient) {
                self.recipients.insert(recipient.canonical());
            }
        }
    }

    /// Whether a recipient of a provider is the person's.
    pub(super) fn has(&self, recipient: &str) -> bool {
        Recipient::parse(recipient)
            .is_ok_and(|recipient| self.recipients.contains(&recipient.canonical()))
    }

    /// Whether a comment is about the person: it has one of the names as a word of its own.
    pub(super) fn is_named_in(&self, comment: &str) -> bool {
        let is_separator = |c: char| c.is_whitespace() || "#,;:()<>\"'".contains(c);
        let names = [Some(&self.user), self.email.as_ref()];
        comment.split(is_separator).any(|word| {
            let mut names = names.into_iter().flatten();
            names.any(|name| name.eq_ignore_ascii_case(word))
        })
    }

    /// All that the person was looked for by.
    pub(super) fn known_as(&self) -> Vec<String> {
        let mut names = vec![self.user.clone()];
        names.extend(self.email.clone());
        names.extend(self.accounts.iter().map(|(_, name)| name.clone()));
        names.extend(self.recipients.iter().cloned());
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

fn is_meant(name: &str, fields: &Fields, person: &Person) -> bool {
    let user = person.user.as_str();
    let is_account = fields
        .map("accounts")
        .into_iter()
        .flatten()
        .any(|(_, account)| account.eq_ignore_ascii_case(user));
    name == user
        || fields
            .text("email")
            .is_some_and(|email| email.eq_ignore_ascii_case(user))
        || is_account
        || fields
            .list("recipients")
            .iter()
            .any(|recipient| person.has(recipient))
}

fn recipients(view: &View) -> Vec<String> {
    let providers = view.config.providers.values();
    providers
        .filter(|provider| provider.spec.name == "age")
        .flat_map(|provider| provider.fields.list("recipients"))
        .chain(&view.config.settings.age_recipients)
        .cloned()
        .collect()
}
