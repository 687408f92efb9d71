//! `keeper-sm`: records that an application of Keeper Secrets Manager may read, over its API.
//!
//! A reference is Keeper's notation, such as `UID/field/password`. One call serves a batch: for the records that are wanted if all are
//! named by their UIDs, else for all records, whose titles only the device can read. Values of fields, custom fields and notes are
//! changed in place, in the revision that was read.
//!
//! Everything is encrypted by the clients themselves. The device's keys are in its configuration, a file or a variable, which a
//! one-time token makes.
//!
//! Facts are from Keeper's pages "Security & Encryption Model", "One Time Access Token", "Secrets Manager Configuration", "Keeper
//! Notation", "Field/Record Types" and "KSM Developer SDKs". Keeper's client for Python and the stand-in of the tests understand one
//! another.

mod bind;
mod change;
mod client;
mod config;
mod crypto;
mod notation;
mod place;
mod record;
mod server_keys;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use fnox_core::SecretString;
use tokio::sync::OnceCell;

use self::bind::Given;
use self::client::{Client, Everything, Purpose, SealedRecord};
use self::config::{Device, no_random};
use self::crypto::Key;
use self::notation::{Notation, Place as InRecord};
use self::place::Place;
use self::record::Record;
use super::rest::{self, Found};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

const TOKENS: [&str; 2] = ["FNOX_KEEPER_TOKEN", "KSM_TOKEN"];

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Unavailable` if no connection can be made at all.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let service = rest::service("Keeper", context, None)?;
    Ok(Box::new(KeeperSm {
        given: Given {
            place: Place::of(settings, context),
            token: rest::credential(settings, "token", &context.env, &TOKENS),
            time_limit: context.time_limit,
        },
        client: Client::new(service, context.time_limit),
        device: OnceCell::new(),
    }))
}

#[derive(Debug)]
struct KeeperSm {
    given: Given,
    client: Client,
    device: OnceCell<Device>,
}

#[async_trait]
impl Provider for KeeperSm {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        let mut found = Found::new();
        let mut wanted: BTreeMap<&str, Notation> = BTreeMap::new();
        for request in requests {
            let reference = request.reference.as_str();
            match Notation::parse(reference) {
                Ok(notation) => drop(wanted.insert(reference, notation)),
                Err(error) => drop(found.insert(reference.to_owned(), Err(error))),
            }
        }
        if !wanted.is_empty()
            && let Err(error) = self.read(&wanted, &mut found).await
        {
            for reference in wanted.keys() {
                found.insert((*reference).to_owned(), Err(error.clone()));
            }
        }
        rest::in_order(requests, &found)
    }

    /// Uses no one-time token, and opens no record.
    async fn check(&self) -> Result<(), ProviderError> {
        let Some(device) = self.given.bound()? else {
            return Err(self.given.unbound());
        };
        let answer = self
            .client
            .get(device.caller(), None, Purpose::Read)
            .await?;
        let records = records(&answer.body, &device.app_key);
        tracing::debug!("the application has {} records", records.len());
        Ok(())
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let notation = Notation::parse(reference)?;
        let record = self.one(&notation, reference).await?;
        let changed = record.with(&notation.place, value)?;
        self.replace(&record, &changed).await?;
        let now = self.again(&record.uid, reference).await?;
        let stored = now.value(&notation.place, reference);
        if stored.as_ref().ok() != Some(value) {
            return Err(overtaken(&record.uid));
        }
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let notation = Notation::parse(reference)?;
        let record = self.one(&notation, reference).await?;
        let changed = record
            .without(&notation.place)?
            .ok_or_else(|| ProviderError::not_found(reference))?;
        self.replace(&record, &changed).await?;
        let now = self.again(&record.uid, reference).await?;
        match now.value(&notation.place, reference) {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            _ => Err(overtaken(&record.uid)),
        }
    }
}

impl KeeperSm {
    async fn device(&self) -> Result<&Device, ProviderError> {
        self.device
            .get_or_try_init(|| self.given.device(&self.client))
            .await
    }

    async fn read(
        &self,
        wanted: &BTreeMap<&str, Notation>,
        found: &mut Found,
    ) -> Result<(), ProviderError> {
        let device = self.device().await?;
        let uids: Option<BTreeSet<&str>> = wanted.values().map(Notation::uid).collect();
        let uids: Option<Vec<&str>> = uids.map(|uids| uids.into_iter().collect());
        let answer = self
            .client
            .get(device.caller(), uids.as_deref(), Purpose::Read)
            .await?;
        let sealed = records(&answer.body, &device.app_key);
        let opened = opened(&sealed, uids.as_deref());
        let mut downloads = BTreeMap::new();
        for (reference, notation) in wanted {
            let value = match find(&opened, notation, reference) {
                Ok(record) => {
                    self.value(record, notation, reference, &mut downloads)
                        .await
                }
                Err(error) => Err(error),
            };
            found.insert((*reference).to_owned(), value);
        }
        Ok(())
    }

    async fn value(
        &self,
        record: &Record,
        notation: &Notation,
        reference: &str,
        downloads: &mut BTreeMap<String, Result<SecretString, ProviderError>>,
    ) -> Result<SecretString, ProviderError> {
        let InRecord::File(name) = &notation.place else {
            return record.value(&notation.place, reference);
        };
        let (file, key) = record
            .file(name)?
            .ok_or_else(|| ProviderError::not_found(reference))?;
        if let Some(known) = downloads.get(&file.file_uid) {
            return known.clone();
        }
        let content = self.file(file.url.as_deref(), &key, name).await;
        downloads.insert(file.file_uid.clone(), content.clone());
        content
    }

    async fn file(
        &self,
        url: Option<&str>,
        key: &Key,
        name: &str,
    ) -> Result<SecretString, ProviderError> {
        let unusable = |why: &str| {
            let name = name.escape_debug();
            ProviderError::unavailable(format!("the file `{name}` cannot be read: {why}"))
        };
        let url = url.ok_or_else(|| unusable("Keeper does not say where it is"))?;
        let sealed = self.client.download(url).await?;
        let opened = key.open(&sealed);
        let opened = opened.ok_or_else(|| unusable("what came is not under its key"))?;
        record::text_of_file(opened, name)
    }

    /// The record that is to be changed.
    async fn one(&self, notation: &Notation, reference: &str) -> Result<Record, ProviderError> {
        let device = self.device().await?;
        let uid = notation.uid().map(|uid| [uid]);
        let uids = uid.as_ref().map(<[&str; 1]>::as_slice);
        let answer = self
            .client
            .get(device.caller(), uids, Purpose::Read)
            .await?;
        let sealed = records(&answer.body, &device.app_key);
        let mut opened = opened(&sealed, uids);
        let uid = find(&opened, notation, reference)?.uid.clone();
        let record = opened
            .remove(&uid)
            .flatten()
            .ok_or_else(|| ProviderError::not_found(reference))?;
        if !record.is_editable {
            return Err(ProviderError::denied(format!(
                "the application may read the record {uid}, and not change it"
            ))
            .with_remedy("give it the right to edit the record or its folder in Keeper"));
        }
        Ok(record)
    }

    async fn again(&self, uid: &str, reference: &str) -> Result<Record, ProviderError> {
        let notation = Notation {
            record: uid.to_owned(),
            place: InRecord::Title,
        };
        self.one(&notation, reference).await
    }

    async fn replace(&self, record: &Record, changed: &str) -> Result<(), ProviderError> {
        use base64::Engine as _;
        // Nobody could read a record that is no JSON any more.
        if serde_json::from_str::<serde::de::IgnoredAny>(changed).is_err() {
            return Err(ProviderError::unavailable(format!(
                "the record {} cannot be changed: what would come out is no record",
                record.uid
            )));
        }
        let device = self.device().await?;
        let sealed = record
            .key
            .seal(changed.as_bytes())
            .map_err(|_| no_random())?;
        let sealed = base64::prelude::BASE64_STANDARD.encode(sealed);
        let outcome = self
            .client
            .update(device.caller(), &record.uid, record.revision, &sealed)
            .await;
        let Err(error) = outcome else { return Ok(()) };
        if error.kind != ErrorKind::Misconfigured {
            return Err(error);
        }
        // The service says in several ways that a record has moved on; its revision says it in one.
        match self.again(&record.uid, &record.uid).await {
            Ok(now) if now.revision != record.revision => Err(overtaken(&record.uid)),
            _ => Err(error),
        }
    }
}

/// A record with the key that its own key is under.
type Sealed<'a> = (&'a SealedRecord, Key);

/// The records of an answer, and those of its folders.
fn records<'a>(answer: &'a Everything, app_key: &Key) -> Vec<Sealed<'a>> {
    let of_app = answer.records.iter().flatten();
    let mut all: Vec<Sealed<'_>> = of_app.map(|record| (record, app_key.clone())).collect();
    for folder in answer.folders.iter().flatten() {
        let Some(key) = app_key.unwrap(&folder.folder_key) else {
            tracing::warn!(
                "the folder {} cannot be opened with the application's key",
                folder.folder_uid.escape_debug()
            );
            continue;
        };
        let of_folder = folder.records.iter().flatten();
        all.extend(of_folder.map(|record| (record, key.clone())));
    }
    all
}

/// The records that are wanted, by UID. `None`: it is there, and does not open.
fn opened(sealed: &[Sealed<'_>], uids: Option<&[&str]>) -> BTreeMap<String, Option<Record>> {
    let mut opened: BTreeMap<String, Option<Record>> = BTreeMap::new();
    for (record, outer) in sealed {
        let uid = record.record_uid.as_str();
        let is_wanted = uids.is_none_or(|uids| uids.contains(&uid));
        // A record can be shared by itself and in a folder.
        if !is_wanted || opened.get(uid).is_some_and(Option::is_some) {
            continue;
        }
        let key = match record.record_key.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => outer.unwrap(key),
            None => Some(outer.clone()),
        };
        let plain = key.and_then(|key| Record::open(record, key));
        opened.insert(uid.to_owned(), plain);
    }
    opened
}

fn find<'o>(
    opened: &'o BTreeMap<String, Option<Record>>,
    notation: &Notation,
    reference: &str,
) -> Result<&'o Record, ProviderError> {
    match opened.get(&notation.record) {
        Some(Some(record)) => return Ok(record),
        Some(None) => {
            return Err(ProviderError::unavailable(format!(
                "the record {} does not open with the application's key",
                notation.record.escape_debug()
            ))
            .with_remedy("share it with the application again in Keeper"));
        }
        None => {}
    }
    let mut named = opened
        .values()
        .flatten()
        .filter(|record| record.has_title(&notation.record));
    let Some(first) = named.next() else {
        return Err(ProviderError::not_found(reference).with_remedy(
            "is the record there, and shared with the application? Name it by its UID, or by its whole title",
        ));
    };
    if named.next().is_some() {
        return Err(ProviderError::misconfigured(format!(
            "several records have the title `{}`",
            notation.record.escape_debug()
        ))
        .with_remedy("name the one that is meant by its UID: Record Info in Keeper shows it"));
    }
    Ok(first)
}

/// Somebody else was faster.
fn overtaken(uid: &str) -> ProviderError {
    ProviderError::unavailable(format!(
        "the record {uid} was changed by somebody else at the same time, so the value was not stored"
    ))
    .with_remedy("look at the record in Keeper, and try again")
}
