//! The suite of every store, as far as it is about secrets.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fnox_aws::AwsClient;
use fnox_aws::secrets_manager::Deletion;
use fnox_store_aws_sm::{AwsSmOptions, AwsSmStore};
use fnox_vault::store::conformance::{Subject, secrets};
use fnox_vault::store::{MemoryStore, Stores};

use crate::support::{moto, unique};

struct AwsSm {
    client: Arc<AwsClient>,
    cache: Duration,
    deletion: Deletion,
}

impl AwsSm {
    fn open(&self, prefix: &str) -> Stores {
        let options = AwsSmOptions {
            cache: self.cache,
            deletion: self.deletion,
            ..AwsSmOptions::new(prefix).unwrap()
        };
        let store = AwsSmStore::new(Arc::clone(&self.client), options);
        Stores {
            secrets: Arc::new(store),
            ..Arc::new(MemoryStore::new()).stores()
        }
    }
}

#[async_trait]
impl Subject for AwsSm {
    async fn fresh(&self) -> Stores {
        self.open(&unique())
    }

    async fn reopen(&self, stores: Stores) -> Option<Stores> {
        let label = stores.secrets.describe();
        drop(stores);
        let rest = label.strip_prefix("aws-sm:").unwrap();
        let (prefix, region) = rest.split_once(' ').unwrap();
        assert_eq!(region, "(eu-central-1)");
        Some(self.open(prefix))
    }

    fn judges_keys(&self) -> bool {
        false
    }

    fn largest_value(&self) -> usize {
        60 * 1024
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn keeps_every_promise_about_secrets() {
    let subject = AwsSm {
        client: moto().await,
        cache: Duration::from_secs(30),
        deletion: Deletion::Days(30),
    };
    secrets::run(&subject).await;
}

#[tokio::test]
#[ignore = "needs moto"]
async fn keeps_them_without_memory_and_without_a_way_back() {
    let subject = AwsSm {
        client: moto().await,
        cache: Duration::ZERO,
        deletion: Deletion::Force,
    };
    secrets::run(&subject).await;
}
