//! Reading and writing one secret.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use fnox_aws::secrets_manager::{self, NewSecret, NewValue, Tag, VALUE_LIMIT, Value};
use fnox_aws::{AwsClient, AwsError, Blob};
use fnox_core::VaultName;
use fnox_vault::store::{Refusal, StoreError};
use fnox_vault_wire::methods::SecretKind;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, MutexGuard};

use crate::memory::{Current, Memory};
use crate::name;
use crate::options::AwsSmOptions;
use crate::payload::{Document, FORMAT, Flaw};
use crate::problem::{is_absent, is_taken, unavailable};

/// How many writes of different secrets may go on at once.
const LOCKS: usize = 16;

/// The vault's secrets in AWS Secrets Manager.
#[derive(Debug)]
pub struct AwsSmStore {
    pub(crate) client: Arc<AwsClient>,
    pub(crate) options: AwsSmOptions,
    pub(crate) memory: Memory,
    label: String,
    /// Writes of one secret wait for each other; which lock is its own follows from its name.
    locks: [Mutex<()>; LOCKS],
}

/// How a write goes to AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// The value alone.
    Value,
    /// Value and description.
    Described,
}

impl AwsSmStore {
    /// A store. Nothing is asked of AWS yet.
    #[must_use]
    pub fn new(client: Arc<AwsClient>, options: AwsSmOptions) -> Self {
        let label = format!("aws-sm:{} ({})", options.prefix, client.region());
        Self {
            memory: Memory::new(options.cache),
            client,
            options,
            label,
            locks: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Asks AWS for the list of secrets, so that a wrong region, wrong credentials or missing permissions are
    /// told before anybody waits for a secret.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.summaries().await.map(drop)
    }

    /// How the store is named in messages.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn now(&self) -> Duration {
        self.options.clock.monotonic()
    }

    pub(crate) fn aws_name(&self, name: &VaultName) -> String {
        format!("{}/{}", self.options.prefix, name::escape(name))
    }

    pub(crate) async fn lock(&self, aws_name: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        aws_name.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        // invariant: the remainder is less than the number of locks.
        self.locks[at].lock().await
    }

    /// The current value, from memory if it was read a moment ago. `None`: there is none, or it is deleted.
    pub(crate) async fn current(
        &self,
        name: &VaultName,
    ) -> Result<Option<Arc<Current>>, StoreError> {
        let aws_name = self.aws_name(name);
        if let Some(current) = self.memory.value(&aws_name, self.now()) {
            return Ok(Some(current));
        }
        let epoch = self.memory.epoch();
        let current = self.read(name).await?;
        let living = current.filter(|current| !current.document.versions.is_empty());
        if let Some(current) = &living {
            self.memory.keep(&aws_name, current, epoch, self.now());
        }
        Ok(living)
    }

    /// The current value as AWS has it; also one that is empty because it was deleted.
    pub(crate) async fn read(&self, name: &VaultName) -> Result<Option<Arc<Current>>, StoreError> {
        let aws_name = self.aws_name(name);
        match secrets_manager::get_secret_value(&self.client, &aws_name).await {
            Ok(value) => {
                let document = self.decode(&aws_name, &value)?;
                let version_id = value.version_id;
                Ok(Some(Arc::new(Current {
                    version_id,
                    document,
                })))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// Reads a value that should be one of this store, under its own name.
    pub(crate) fn decode(&self, aws_name: &str, value: &Value) -> Result<Document, StoreError> {
        let store = || self.label.clone();
        let foreign = || StoreError::Foreign {
            store: store(),
            problem: format!("the secret {aws_name} holds something else"),
        };
        let bytes = value.secret_binary.as_ref().ok_or_else(foreign)?;
        let document = Document::decode(bytes.expose_bytes()).map_err(|flaw| match flaw {
            Flaw::Foreign => foreign(),
            Flaw::Newer(found) => StoreError::Newer {
                store: store(),
                found,
                known: u32::from(FORMAT),
            },
            Flaw::Broken(what) => self.corrupt(format!("the secret {aws_name} is damaged: {what}")),
        })?;
        if document.prefix != self.options.prefix {
            return Err(foreign());
        }
        if self.aws_name(&document.name) != aws_name {
            return Err(self.corrupt(format!(
                "the secret {aws_name} holds what belongs to another name"
            )));
        }
        Ok(document)
    }

    /// Makes a secret whose name is new. `Ok(false)`: AWS has one of that name, living or being deleted.
    pub(crate) async fn create(&self, document: Document) -> Result<bool, StoreError> {
        let aws_name = self.aws_name(&document.name);
        let (version_id, bytes) = self.encode(&document)?;
        let secret = NewSecret {
            name: aws_name.clone(),
            client_request_token: version_id.clone(),
            secret_binary: Blob::new(bytes),
            description: document.description.clone(),
            kms_key_id: self.options.kms_key_id.clone(),
            tags: tags(&document),
        };
        self.memory.doubt(&aws_name, self.now());
        match secrets_manager::create_secret(&self.client, &secret).await {
            Ok(()) => {
                self.remember(&aws_name, version_id, document);
                Ok(true)
            }
            Err(error) if is_taken(&error) => Ok(false),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// Replaces `base` by a document, and looks whether it was `base` that was replaced.
    pub(crate) async fn replace(
        &self,
        base: &Current,
        mut document: Document,
        write: Write,
    ) -> Result<(), StoreError> {
        document.generation = base.document.generation.saturating_add(1);
        document.previous = Some(base.version_id.clone());
        let aws_name = self.aws_name(&document.name);
        let (version_id, bytes) = self.encode(&document)?;
        let value = NewValue {
            secret_id: aws_name.clone(),
            client_request_token: version_id.clone(),
            secret_binary: Blob::new(bytes),
            description: (write == Write::Described)
                .then(|| document.description.clone().unwrap_or_default()),
        };
        self.memory.doubt(&aws_name, self.now());
        let written = match write {
            Write::Value => secrets_manager::put_secret_value(&self.client, &value).await,
            Write::Described => secrets_manager::update_secret(&self.client, &value).await,
        };
        written.map_err(|error| {
            if is_absent(&error) {
                Refusal::Missing.into()
            } else {
                self.unavailable(&error)
            }
        })?;
        self.must_follow(&aws_name, &version_id, &base.version_id)
            .await?;
        let tags = tags(&document);
        self.remember(&aws_name, version_id, document);
        if let Err(error) = secrets_manager::tag_resource(&self.client, &aws_name, &tags).await {
            tracing::warn!(store = %self.label, secret = %aws_name, %error, "the tags are not up to date");
        }
        Ok(())
    }

    /// Whether what was just written is current, and replaced what it was made from.
    async fn must_follow(
        &self,
        aws_name: &str,
        version_id: &str,
        base: &str,
    ) -> Result<(), StoreError> {
        let told = secrets_manager::describe_secret(&self.client, aws_name).await;
        let told = told.map_err(|error| self.unavailable(&error))?;
        if told.version("AWSCURRENT") != Some(version_id) {
            tracing::error!(store = %self.label, secret = %aws_name, "somebody else writes here too");
            return Err(Refusal::Moved.into());
        }
        if told.version("AWSPREVIOUS") != Some(base) {
            tracing::error!(store = %self.label, secret = %aws_name, "somebody else writes here too");
            return Err(StoreError::Unavailable {
                store: self.label.clone(),
                problem: format!(
                    "somebody else wrote {aws_name} at the same moment, and that write is replaced now; only \
                     one vault may use a prefix"
                ),
            });
        }
        Ok(())
    }

    fn remember(&self, aws_name: &str, version_id: String, document: Document) {
        let current = Arc::new(Current {
            version_id,
            document,
        });
        self.memory.written(aws_name, &current, self.now());
    }

    /// A document's bytes, and the id of the version that they become.
    pub(crate) fn encode(&self, document: &Document) -> Result<(String, Vec<u8>), StoreError> {
        let bytes = document.encode().unwrap_or_default();
        if bytes.is_empty() || bytes.len() > VALUE_LIMIT {
            let kept = match document.versions.len() {
                1 => "one version".to_owned(),
                count => format!("{count} versions (fewer may be kept)"),
            };
            return Err(StoreError::Unsupported {
                store: self.label.clone(),
                action: format!(
                    "hold {} KiB, which {kept} of this secret would take: AWS's limit is {} KiB",
                    bytes.len().div_ceil(1024),
                    VALUE_LIMIT / 1024
                ),
            });
        }
        let mut digest = Sha256::new();
        digest.update(b"fnox-store-aws-sm version\0");
        digest.update(&bytes);
        Ok((hex::encode(digest.finalize()), bytes))
    }

    pub(crate) fn unavailable(&self, error: &AwsError) -> StoreError {
        unavailable(&self.label, error)
    }

    pub(crate) fn corrupt(&self, problem: String) -> StoreError {
        StoreError::Corrupt {
            store: self.label.clone(),
            problem,
        }
    }
}

/// Copies for people, and for policies of AWS that look at tags.
fn tags(document: &Document) -> Vec<Tag> {
    let version = document.versions.last().map_or(0, |newest| newest.number);
    [
        ("fnox:id", document.id.to_string()),
        ("fnox:kind", kind(&document.kind).to_owned()),
        ("fnox:version", version.to_string()),
        ("fnox:created_at", document.created_at.to_string()),
        ("fnox:updated_at", document.updated_at.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| Tag {
        key: key.to_owned(),
        value,
    })
    .collect()
}

fn kind(kind: &SecretKind) -> &'static str {
    match kind {
        SecretKind::Pat => "pat",
        SecretKind::OAuth2 { .. } => "oauth2",
        SecretKind::ApiKey => "apikey",
        SecretKind::BasicAuth => "basicauth",
        SecretKind::SshKey => "sshkey",
        SecretKind::ClientCert => "clientcert",
        SecretKind::Opaque => "opaque",
    }
}
