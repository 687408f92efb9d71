//! The store: opening it, and what its four sides share.

use std::sync::Arc;

use fnox_core::audit::ChainKeys;
use fnox_vault::store::{Foreign, StoreError, Stores};
use tokio::sync::{broadcast, watch};
use tokio_postgres::Transaction;
use uuid::Uuid;

use crate::PostgresOptions;
use crate::connection::Connections;
use crate::ears::{Channel, Owned};
use crate::listener::Listener;
use crate::notice::{CHANNEL, Notices};
use crate::place::Place;
use crate::problem::Trouble;
use crate::schema;
use crate::writer::{Queue, Writer};

/// Changes of other vaults that may wait for this vault's engine.
const FOREIGN: usize = 1024;

/// All four stores of a vault in one PostgreSQL database, which other vaults may use at the same time.
#[derive(Debug)]
pub struct PostgresStore {
    pub(crate) connections: Connections,
    pub(crate) queue: Queue,
    pub(crate) keys: watch::Sender<Option<Arc<ChainKeys>>>,
    pub(crate) foreign: broadcast::Sender<Foreign>,
    origin: watch::Receiver<Uuid>,
    _listener: Owned,
}

impl PostgresStore {
    /// Connects, looks at the schema, and starts writing and listening, on the present tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for a URL that is none or asks for TLS, [`StoreError::Newer`] and
    /// [`StoreError::Foreign`] for what is in the database, [`StoreError::Unavailable`] if the server cannot
    /// be reached. None of them names a password.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let place = Place::parse(url, &options, &schema::VAULT)?;
        let connections = Connections::new(&place, options.readers, &options)?;
        let name = connections.name();
        {
            let mut client = connections
                .client()
                .await
                .map_err(|failure| failure.of(name))?;
            schema::VAULT
                .prepare(&mut client, name, options.migrate)
                .await?;
            warn_of_lost_writes(&client).await;
        }
        let (origin, own_name) = watch::channel(Uuid::now_v7());
        let (foreign, _) = broadcast::channel(FOREIGN);
        let (keys, keys_given) = watch::channel(None);
        let listener = Listener {
            channel: Channel {
                config: place.config.clone(),
                name: CHANNEL,
                limit: options.connect_limit,
            },
            connections: connections.clone(),
            origin: own_name.clone(),
            foreign: foreign.clone(),
        };
        let listener = listener.start().await.map_err(|failure| failure.of(name))?;
        let writer = Writer {
            connections: Connections::new(&place, 1, &options)?,
            keys: keys_given,
            clock: options.clock.clone(),
            origin,
            foreign: foreign.clone(),
            limit: options.call_limit(),
        };
        Ok(Self {
            queue: writer.start(),
            connections,
            keys,
            foreign,
            origin: own_name,
            _listener: listener,
        })
    }

    /// All four sides of this store.
    #[must_use]
    pub fn stores(self: Arc<Self>) -> Stores {
        Stores {
            secrets: self.clone(),
            leases: self.clone(),
            audit: Some(self.clone()),
            ring: self,
        }
    }

    /// Tells the other vaults what a transaction changed, once it is committed.
    pub(crate) async fn tell(
        &self,
        transaction: &Transaction<'_>,
        notices: Notices,
    ) -> Result<(), Trouble> {
        if !notices.is_empty() {
            let payloads = notices.payloads(*self.origin.borrow());
            let sql = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";
            transaction.query(sql, &[&CHANNEL, &payloads]).await?;
        }
        Ok(())
    }
}

/// A server with `fsync = off` forgets what it answered when its machine crashes.
pub(crate) async fn warn_of_lost_writes(client: &tokio_postgres::Client) {
    let setting = client.query_one("SHOW fsync", &[]).await;
    if setting.is_ok_and(|row| row.try_get::<_, &str>(0).is_ok_and(|value| value == "off")) {
        tracing::warn!("PostgreSQL runs with fsync = off: a crash of its machine loses changes");
    }
}
