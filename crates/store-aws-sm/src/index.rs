//! All secrets below the prefix.
//!
//! AWS lists names and current versions, a hundred at a time; values of versions that are not known yet are
//! read, twenty at a time. A version never changes, so what is known of one stays true: after the first list,
//! only what changed is read. A list may lag, but not behind what this process wrote itself (`memory`).

use std::collections::HashMap;
use std::sync::Arc;

use fnox_aws::secrets_manager::{self, BATCH_LIMIT, Filter, Metadata, Value};
use fnox_vault::store::StoreError;

use crate::memory::{Current, Seen, Summary, What};
use crate::name;
use crate::store::AwsSmStore;

impl AwsSmStore {
    /// The secrets, in the order of their names.
    pub(crate) async fn summaries(&self) -> Result<Vec<Arc<Summary>>, StoreError> {
        if !self.memory.is_listed(self.now()) {
            self.list_anew().await?;
        }
        let mut summaries = self.memory.summaries();
        summaries.sort_by(|a, b| a.record.name.as_str().cmp(b.record.name.as_str()));
        Ok(summaries)
    }

    async fn list_anew(&self) -> Result<(), StoreError> {
        let epoch = self.memory.epoch();
        let listed = self.names().await?;
        let doubtful = self.memory.doubtful(self.now());
        let mut seen: HashMap<String, Seen> = HashMap::new();
        let mut unknown: Vec<String> = Vec::new();
        for (aws_name, metadata) in &listed {
            let version = metadata.version("AWSCURRENT");
            match self.memory.seen(aws_name, version, self.now()) {
                Some(known) => drop(seen.insert(aws_name.clone(), known)),
                None => unknown.push(aws_name.clone()),
            }
        }
        let unlisted = doubtful
            .into_iter()
            .filter(|name| !listed.contains_key(name));
        unknown.extend(unlisted);
        for asked in unknown.chunks(BATCH_LIMIT) {
            for value in self.values(asked).await? {
                let found = self.look_at(&value, listed.get(&value.name))?;
                seen.insert(value.name, found);
            }
        }
        self.memory.list(seen, epoch, self.now());
        Ok(())
    }

    /// What AWS lists below the prefix, by name.
    async fn names(&self) -> Result<HashMap<String, Metadata>, StoreError> {
        let below = format!("{}/", self.options.prefix);
        let filter = Filter {
            name_prefix: Some(below.clone()),
            tag_key: None,
        };
        let mut listed = HashMap::new();
        let mut next: Option<String> = None;
        loop {
            let page = secrets_manager::list_secrets(&self.client, &filter, next.as_deref()).await;
            let page = page.map_err(|error| self.unavailable(&error))?;
            let ours = page
                .secret_list
                .into_iter()
                .filter(|secret| secret.name.starts_with(&below) && secret.deleted_date.is_none());
            listed.extend(ours.map(|secret| (secret.name.clone(), secret)));
            if page.next_token.is_none() || page.next_token == next {
                return Ok(listed);
            }
            next = page.next_token;
        }
    }

    /// The values of some secrets, without those that are gone by now.
    async fn values(&self, asked: &[String]) -> Result<Vec<Value>, StoreError> {
        let batch = secrets_manager::batch(&self.client, asked).await;
        let batch = batch.map_err(|error| self.unavailable(&error))?;
        let gone = ["ResourceNotFoundException", "InvalidRequestException"];
        let mut answered = batch.secret_values.len();
        for error in &batch.errors {
            if !gone.contains(&error.error_code.as_str()) {
                return Err(StoreError::Unavailable {
                    store: self.label().to_owned(),
                    problem: format!(
                        "{} cannot be read: {}: {}",
                        error.secret_id, error.error_code, error.message
                    ),
                });
            }
            answered += 1;
        }
        // A secret that silently is not there would be left behind when keys are retired.
        if answered < asked.len() {
            return Err(StoreError::Unavailable {
                store: self.label().to_owned(),
                problem: format!("AWS told of {answered} secrets of {}", asked.len()),
            });
        }
        Ok(batch.secret_values)
    }

    /// A secret of another program below the same prefix is left alone. One that bears this store's tags and
    /// is none of its documents is not: it was one.
    fn look_at(&self, value: &Value, metadata: Option<&Metadata>) -> Result<Seen, StoreError> {
        match self.decode(&value.name, value) {
            Ok(document) => Ok(Seen::of(&Current {
                version_id: value.version_id.clone(),
                document,
            })),
            Err(StoreError::Foreign { .. }) if !self.was_ours(value, metadata) => {
                tracing::warn!(store = %self.label(), secret = %value.name, "left alone: it is no secret of this vault");
                Ok(Seen {
                    version_id: value.version_id.clone(),
                    what: What::Foreign,
                })
            }
            Err(StoreError::Foreign { .. }) => Err(self.corrupt(format!(
                "the secret {} was replaced by something else",
                value.name
            ))),
            Err(error) => Err(error),
        }
    }

    fn was_ours(&self, value: &Value, metadata: Option<&Metadata>) -> bool {
        let is_tagged = metadata.is_some_and(|it| it.tag("fnox:id").is_some());
        let below = value.name.strip_prefix(&self.options.prefix);
        let last = below.and_then(|name| name.strip_prefix('/'));
        is_tagged
            && last.and_then(name::unescape).is_some()
            && !self.belongs_to_a_longer_prefix(value)
    }

    /// `fnox/prod` is below `fnox`: its secrets look like this store's, and say themselves that they are not.
    fn belongs_to_a_longer_prefix(&self, value: &Value) -> bool {
        let bytes = value
            .secret_binary
            .as_ref()
            .map(fnox_aws::Blob::expose_bytes);
        let document = bytes.and_then(|bytes| crate::payload::Document::decode(bytes).ok());
        document.is_some_and(|document| {
            document
                .prefix
                .strip_prefix(&self.options.prefix)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }
}
