//! People who log in on the pages, with a real provider.

mod browser;
mod deciding;
mod login;
mod provider;

use fnox_api::Role;
use fnox_server::Settings;
use serde_json::json;

use self::browser::Browser;
use self::provider::Provider;
use crate::support::World;

/// A server whose people come from a provider, and a request that waits.
struct Scene {
    provider: Provider,
    world: World,
    job: String,
    id: String,
    code: String,
    page: String,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let provider = Provider::start().await;
        provider.is("bob", &["approvers"]);
        let world = World::with(|settings| {
            provider.configure(settings);
            change(settings);
        })
        .await;
        let admin = world.person("ann", &[Role::Admin]).await;
        world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
        let job = world.job().await;
        let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
        Self {
            id: asked.id(),
            code: asked.json()["code"].as_str().unwrap().to_owned(),
            page: format!("/approvals/{}", asked.id()),
            provider,
            world,
            job,
        }
    }

    /// Somebody in a browser of their own, on the page of the request.
    async fn person(&self, name: &str, groups: &[&str]) -> Browser<'_> {
        self.provider.is(name, groups);
        let mut browser = Browser::new(&self.world);
        let answer = browser.log_in(&self.provider, &self.page).await;
        assert_eq!(answer.must_be(303).location(), self.page);
        browser
    }

    async fn status(&self) -> String {
        let path = format!("/v1/approvals/{}", self.id);
        let seen = self.world.call(&self.job, "GET", &path, None).await;
        seen.json()["status"].as_str().unwrap().to_owned()
    }
}
