//! Secrets: stored by administrators, listed for those who may know of them.

use std::collections::BTreeSet;

use fnox_api::{
    CheckRequest, CheckedKey, Checks, Problem, ProblemCode, PutSecret, Role, SecretList,
    SecretView, VersionList,
};
use fnox_core::age::Recipient;

use super::names::{self, invalid};
use super::{Caller, Service};
use crate::store::{Condition, NewSecret, SecretPlace, SecretRecord};

/// Who reads which secrets there are, without the policy's leave.
const READERS: &[Role] = &[Role::Reader, Role::Approver, Role::Admin];

impl Service {
    /// Stores a version of a secret.
    pub(crate) async fn put_secret(
        &self,
        caller: &Caller,
        (project, key): (&str, &str),
        condition: Condition,
        body: PutSecret,
    ) -> Result<SecretView, Problem> {
        caller.must_be(&[Role::Admin])?;
        let place = names::place(project, body.profile.as_deref(), key)?;
        let settings = &self.settings().approvals;
        if body.ciphertext.as_bytes().len() > settings.ciphertext_limit {
            return Err(Problem::new(ProblemCode::TooLarge)
                .with_detail(format!(
                    "`ciphertext`: an age file may have {} bytes at most",
                    settings.ciphertext_limit
                ))
                .at_field("ciphertext"));
        }
        let description = body
            .description
            .map(|text| names::text(&text, "description", 1024))
            .transpose()?;
        let entry = about(caller, "secret_stored", &place);
        let new = NewSecret {
            condition,
            version: body.version,
            recipients: recipients(&body.recipients)?,
            ciphertext: body.ciphertext,
            description,
            require_approval: body.require_approval,
            now: self.now(),
            created_by: caller.session.subject.principal(),
            keep: settings.keep_versions,
            place,
        };
        let stored = self.store().put_secret(new, entry).await;
        self.stored(stored).map(SecretRecord::view)
    }

    /// The newest version: with its age file for administrators, who change recipients with it; that is recorded.
    pub(crate) async fn secret(
        &self,
        caller: &Caller,
        (project, profile, key): (&str, Option<&str>, &str),
    ) -> Result<SecretView, Problem> {
        let place = names::place(project, profile, key)?;
        self.must_see(caller, &place)?;
        let is_admin = caller.is(&[Role::Admin]);
        let found = self.store().secret(place.clone(), is_admin).await;
        let record = self
            .stored(found)?
            .ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
        if is_admin {
            let mut entry = about(caller, "secret_read", &place);
            entry.detail = Some(serde_json::json!({ "version": record.version }).to_string());
            let recorded = self.store().record(vec![entry]).await;
            self.stored(recorded)?;
        }
        Ok(record.view())
    }

    /// All kept versions, without age files.
    pub(crate) async fn versions(
        &self,
        caller: &Caller,
        (project, profile, key): (&str, Option<&str>, &str),
    ) -> Result<VersionList, Problem> {
        let place = names::place(project, profile, key)?;
        self.must_see(caller, &place)?;
        let found = self.store().versions(place).await;
        let versions = self.stored(found)?;
        if versions.is_empty() {
            return Err(Problem::new(ProblemCode::NotFound));
        }
        Ok(VersionList {
            versions: versions.into_iter().map(SecretRecord::view).collect(),
        })
    }

    /// Deletes a secret.
    pub(crate) async fn delete_secret(
        &self,
        caller: &Caller,
        (project, profile, key): (&str, Option<&str>, &str),
        condition: Condition,
    ) -> Result<(), Problem> {
        caller.must_be(&[Role::Admin])?;
        let place = names::place(project, profile, key)?;
        let entry = about(caller, "secret_deleted", &place);
        let deleted = self.store().delete_secret(place, condition, entry).await;
        self.stored(deleted)
    }

    /// A page of what the caller may know of.
    pub(crate) async fn secrets(
        &self,
        caller: &Caller,
        (project, profile): (&str, Option<&str>),
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<SecretList, Problem> {
        let project = names::project(project)?;
        let profile = profile.map(|text| names::profile(Some(text))).transpose()?;
        let limit = limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(invalid(
                "limit",
                &format!("it must be between 1 and {PAGE}"),
            ));
        }
        let after = after
            .map(|text| {
                text.split_once('/')
                    .map(|(profile, key)| (profile.to_owned(), key.to_owned()))
                    .ok_or_else(|| invalid("after", "it is not what `next` said"))
            })
            .transpose()?;
        let found = self.store().secrets(project, profile, after, limit).await;
        let records = self.stored(found)?;
        let next = records
            .last()
            .filter(|_| records.len() == limit as usize)
            .map(|last| format!("{}/{}", last.place.profile, last.place.key));
        let secrets = records
            .into_iter()
            .filter(|record| self.may_see(caller, &record.place))
            .map(SecretRecord::view)
            .collect();
        Ok(SecretList { secrets, next })
    }

    /// What a request for keys would be asked, without asking anybody.
    pub(crate) async fn check(
        &self,
        caller: &Caller,
        request: CheckRequest,
    ) -> Result<Checks, Problem> {
        let project = names::project(&request.project)?;
        let profile = names::profile(request.profile.as_deref())?;
        let policy = self.policy().current();
        let mut checked = Vec::new();
        for key in names::keys(&request.keys)? {
            let permit = policy.permit(&caller.session.subject, &project, &profile, &key);
            let place = SecretPlace {
                project: project.clone(),
                profile: profile.clone(),
                key: key.clone(),
            };
            let permit = match permit {
                Ok(permit) => permit,
                Err(denial) => {
                    checked.push(CheckedKey {
                        key,
                        version: None,
                        needs_approval: false,
                        refused: Some(said(denial.for_client())),
                    });
                    continue;
                }
            };
            let found = self.store().secret(place, false).await;
            let record = self.stored(found)?;
            let refused = match &record {
                None => Some(format!(
                    "the server has no `{key}` in the profile `{profile}`"
                )),
                Some(record) => permit
                    .recipient
                    .as_ref()
                    .filter(|wanted| !record.recipients.contains(wanted))
                    .map(|wanted| format!("`{key}` is not encrypted to {wanted}")),
            };
            checked.push(CheckedKey {
                key,
                version: record.as_ref().map(|record| record.version),
                needs_approval: permit.require_approval
                    || record.is_some_and(|record| record.require_approval),
                refused,
            });
        }
        Ok(Checks { keys: checked })
    }

    /// One answer for what is not there and what the caller may not know of.
    fn must_see(&self, caller: &Caller, place: &SecretPlace) -> Result<(), Problem> {
        if self.may_see(caller, place) {
            Ok(())
        } else {
            Err(Problem::new(ProblemCode::NotFound))
        }
    }

    fn may_see(&self, caller: &Caller, place: &SecretPlace) -> bool {
        caller.is(READERS)
            || self.policy().current().may_see(
                &caller.session.subject,
                &place.project,
                &place.profile,
                &place.key,
            )
    }
}

fn about(caller: &Caller, event: &str, place: &SecretPlace) -> fnox_core::audit::Entry {
    let mut entry = caller.entry(event);
    entry.project = Some(place.project.clone());
    entry.secret = Some(format!("{}/{}", place.profile, place.key));
    entry
}

fn said(problem: Problem) -> String {
    problem.detail.unwrap_or(problem.title)
}

/// Public keys, each once, without what does not matter, such as the comment of an SSH key: the policy's `recipient` is
/// compared with them. Kinds that this program does not know are kept as they are, since it never encrypts to them.
fn recipients(given: &[String]) -> Result<Vec<String>, Problem> {
    if given.is_empty() || given.len() > MOST_RECIPIENTS {
        return Err(invalid(
            "recipients",
            &format!("1 to {MOST_RECIPIENTS} public keys are needed"),
        ));
    }
    let mut seen = BTreeSet::new();
    let mut recipients = Vec::with_capacity(given.len());
    for (index, text) in given.iter().enumerate() {
        let field = format!("recipients[{index}]");
        let is_plain = text.len() <= 4096
            && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
            && text.trim() == text;
        let is_key = text.starts_with("age1") || text.starts_with("ssh-");
        if !is_plain || !is_key {
            return Err(invalid(
                &field,
                "it is not a public key of age (`age1…`, `ssh-…`)",
            ));
        }
        let canonical = Recipient::parse(text).map_or_else(|_| text.clone(), |key| key.canonical());
        if !seen.insert(canonical.clone()) {
            return Err(invalid(&field, "it is there twice"));
        }
        recipients.push(canonical);
    }
    Ok(recipients)
}

const PAGE: u32 = 200;
const MOST_RECIPIENTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const X25519: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    const SSH: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
    const PQ: &str = "age1pq1qqqqqqqqqqqqqqq";

    fn stored(given: &[&str]) -> Result<Vec<String>, Problem> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        recipients(&given)
    }

    #[test]
    fn public_keys_are_stored_without_comments() {
        let with_comment = format!("{SSH} ann@example.com");
        assert_eq!(
            stored(&[X25519, &with_comment]).unwrap(),
            [X25519, SSH].map(str::to_owned)
        );
    }

    #[test]
    fn kinds_that_are_not_known_stay_as_they_are() {
        assert!(Recipient::parse(PQ).is_err());
        assert_eq!(stored(&[PQ]).unwrap(), [PQ]);
    }

    #[test]
    fn one_key_with_two_comments_is_there_twice() {
        let [one, two] = ["a@example.com", "b@example.com"].map(|name| format!("{SSH} {name}"));
        for twice in [
            [one.as_str(), two.as_str()],
            [SSH, &two],
            [PQ, PQ],
            [X25519, X25519],
        ] {
            let problem = stored(&twice).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("recipients[1]"));
        }
        assert_eq!(stored(&[&one, X25519, PQ]).unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        for bad in ["", "AGE-SECRET-KEY-1", "age1x\n", " age1x", "age1é", "x"] {
            assert!(stored(&[bad]).is_err(), "{bad}");
        }
        assert!(stored(&[]).is_err());
    }
}
