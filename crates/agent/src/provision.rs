//! Bringing a manifest's values to their places.
//!
//! First every lease, then every text, then the journal, then every file under a temporary name, then the names.
//! What fails on the way takes everything before it back: files go with [`Written`], leases with [`Lease`].

use std::path::PathBuf;

use fnox_core::{SecretBytes, SecretString};
use zeroize::Zeroizing;

use crate::error::AgentError;
use crate::files::{Written, missing_folders, must_be_absent, parent};
use crate::journal::{Journal, Record};
use crate::lease::{Borrower, Lease, give_up, settle};
use crate::manifest::{Entry, Manifest, Variable};
use crate::owner::Owner;
use crate::stop::Stop;

/// Values in their places, and the leases that they are there by.
#[derive(Debug)]
pub struct Provisioned {
    pub(crate) borrower: Borrower,
    pub(crate) journal: Journal,
    pub(crate) record: Record,
    pub(crate) env_file: Option<PathBuf>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) written: Written,
}

/// Where values go besides the manifest's files, and whose all of it will be.
#[derive(Debug, Default)]
pub struct Places {
    /// The file of the variables.
    pub env_file: Option<PathBuf>,
    /// Whose the files will be; this user's otherwise.
    pub owner: Option<Owner>,
}

/// One entry's lease, and what came of its value.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) entry: Entry,
    pub(crate) lease: Lease,
    pub(crate) rendered: Rendered,
}

/// The texts that one value fills.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) variables: Vec<(String, SecretString)>,
    pub(crate) files: Vec<(PathBuf, SecretBytes)>,
}

/// Leases what the manifest names, and writes it. Entries that only answer git are leased when git asks.
///
/// # Errors
/// Whatever failed first. Then nothing is left behind: no file, no folder, no lease.
pub async fn provision(
    borrower: Borrower,
    journal: Journal,
    manifest: &Manifest,
    places: Places,
    stop: &Stop,
) -> Result<Provisioned, AgentError> {
    let entries: Vec<&Entry> = manifest
        .credentials
        .iter()
        .filter(|entry| !entry.files.is_empty() || !entry.variables.is_empty())
        .collect();
    if places.env_file.is_none() && entries.iter().any(|entry| !entry.variables.is_empty()) {
        return Err(AgentError::Usage {
            message: "the manifest has variables, and no file is named for them".to_owned(),
            help: "name one with --env-file, or use `fnox-agent exec` for a program that needs them",
        });
    }
    let client = borrower.client().clone();
    give_up(&client, &journal.remove_remains()?);
    journal.clear()?;
    let lent = stop.unless(lend_all(&borrower, &entries)).await;
    let outcome = lent.and_then(|kept| put(borrower, journal, kept, places));
    if outcome.is_err() {
        settle(&client).await;
    }
    outcome
}

async fn lend_all(borrower: &Borrower, entries: &[&Entry]) -> Result<Vec<Kept>, AgentError> {
    let mut kept = Vec::with_capacity(entries.len());
    for &entry in entries {
        let loan = borrower
            .lend(&entry.secret, &entry.host, entry.ttl_secs)
            .await?;
        kept.push(Kept {
            rendered: Rendered::of(entry, &loan.value)?,
            entry: entry.clone(),
            lease: loan.lease,
        });
    }
    Ok(kept)
}

/// Writes everything, with the journal first.
fn put(
    borrower: Borrower,
    journal: Journal,
    kept: Vec<Kept>,
    Places { env_file, owner }: Places,
) -> Result<Provisioned, AgentError> {
    let files = kept.iter().flat_map(|kept| kept.rendered.files.clone());
    let mut contents: Vec<(PathBuf, SecretBytes)> = files.collect();
    if let Some(path) = &env_file {
        contents.push((path.clone(), env_text(&kept)));
    }
    let mut record = Record {
        leases: kept.iter().map(|kept| kept.lease.id()).collect(),
        ..Record::default()
    };
    for (path, _) in &contents {
        must_be_absent(path)?;
        record.files.push(path.clone());
        for folder in missing_folders(parent(path)) {
            if !record.folders.contains(&folder) {
                record.folders.push(folder);
            }
        }
    }
    journal.write(&record)?;
    let mut written = Written::of(owner);
    if let Err(error) = written.write(&contents) {
        if written.remove_all().is_ok() {
            let _the_first_error_counts = journal.clear();
        }
        return Err(error);
    }
    Ok(Provisioned {
        borrower,
        journal,
        record,
        env_file,
        kept,
        written,
    })
}

impl Provisioned {
    /// Leaves files and leases for [`withdraw`], which finds them in the journal.
    pub fn leave(self) {
        self.written.leave();
        for kept in self.kept {
            kept.lease.leave();
        }
    }

    /// Removes the files and gives the leases up.
    ///
    /// # Errors
    /// `File` if a file could not be removed; the leases are given up all the same.
    pub async fn withdraw(mut self) -> Result<(), AgentError> {
        let removed = self.written.remove_all();
        self.kept.clear();
        settle(self.borrower.client()).await;
        removed?;
        self.journal.clear()
    }

    /// Writes the journal again with the leases of now.
    pub(crate) fn note_leases(&mut self) -> Result<(), AgentError> {
        self.record.leases = self.kept.iter().map(|kept| kept.lease.id()).collect();
        self.journal.write(&self.record)
    }

    /// Writes the file of variables again.
    pub(crate) fn rewrite_env_file(&self) -> Result<(), AgentError> {
        match &self.env_file {
            Some(path) => self.written.replace(path, &env_text(&self.kept)),
            None => Ok(()),
        }
    }
}

/// Removes the files of an earlier run, and gives its leases up where there is a connection for it. Leases that
/// are not given up end by themselves.
///
/// # Errors
/// `File`.
pub async fn withdraw(
    journal: &Journal,
    client: Option<&fnox_vault_wire::Client>,
) -> Result<(), AgentError> {
    let leases = journal.remove_remains()?;
    if let Some(client) = client {
        give_up(client, &leases);
        settle(client).await;
    }
    journal.clear()
}

impl Rendered {
    pub(crate) fn of(entry: &Entry, value: &SecretBytes) -> Result<Self, AgentError> {
        let mut files = Vec::with_capacity(entry.files.len());
        for file in &entry.files {
            let content = file
                .template
                .render(value)
                .map_err(|reason| unfit(entry, file.path.display().to_string(), reason))?;
            files.push((file.path.clone(), content));
        }
        Ok(Self {
            variables: Self::variables_of(entry, value)?,
            files,
        })
    }

    pub(crate) fn variables_of(
        entry: &Entry,
        value: &SecretBytes,
    ) -> Result<Vec<(String, SecretString)>, AgentError> {
        let variables = entry.variables.iter();
        variables
            .map(|variable| match text_of(variable, value) {
                Ok(text) => Ok((variable.name.clone(), text)),
                Err(reason) => Err(unfit(
                    entry,
                    format!("the variable {}", variable.name),
                    reason,
                )),
            })
            .collect()
    }
}

fn unfit(entry: &Entry, place: String, reason: String) -> AgentError {
    AgentError::Unfit {
        secret: entry.secret.to_string(),
        place,
        reason,
    }
}

fn text_of(variable: &Variable, value: &SecretBytes) -> Result<SecretString, String> {
    let text = variable.template.render(value)?;
    let text = text.into_string().map_err(|error| error.to_string())?;
    if text.expose_secret().contains('\0') {
        return Err("it has a NUL, which no variable can have".to_owned());
    }
    Ok(text)
}

/// Lines that sh(1) and systemd (`EnvironmentFile=`) read alike: both know double quotes and, inside of them, a
/// backslash before `"`, `\`, `$` and a backquote.
fn env_text(kept: &[Kept]) -> SecretBytes {
    let variables = kept.iter().flat_map(|kept| &kept.rendered.variables);
    let lines = variables.map(|(name, value)| line(name, value.expose_secret()));
    let lines: Vec<Zeroizing<Vec<u8>>> = lines.collect();
    let mut out = Vec::with_capacity(lines.iter().map(|line| line.len()).sum());
    for line in &lines {
        out.extend_from_slice(line);
    }
    SecretBytes::new(out)
}

fn line(name: &str, value: &str) -> Zeroizing<Vec<u8>> {
    // Room for the worst case, so that nothing is left where it grew.
    let mut line = Zeroizing::new(Vec::with_capacity(name.len() + 2 * value.len() + 4));
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"=\"");
    for byte in value.bytes() {
        if b"\"\\$`".contains(&byte) {
            line.push(b'\\');
        }
        line.push(byte);
    }
    line.extend_from_slice(b"\"\n");
    line
}
