//! A browser without scripts: it keeps cookies, follows redirects when told to, and fills in forms.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, header};

use super::provider::Provider;
use crate::support::{Answer, World};

pub(crate) struct Browser<'a> {
    world: &'a World,
    /// By name: value and path.
    pub(crate) cookies: BTreeMap<String, (String, String)>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self {
            world,
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), path, Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&");
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, path, Body::from(body)).await
    }

    pub(crate) async fn send(
        &mut self,
        mut request: axum::http::request::Builder,
        path: &str,
        body: Body,
    ) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|(_, (_, below))| path.starts_with(below.as_str()))
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let answer = self.world.send(request.body(body).unwrap()).await;
        for header in answer.headers.get_all(header::SET_COOKIE) {
            self.keep(header.to_str().unwrap());
        }
        answer
    }

    fn keep(&mut self, header: &str) {
        let (pair, attributes) = header.split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let attribute = |wanted: &str| {
            attributes
                .split("; ")
                .filter_map(|it| it.split_once('='))
                .find(|(name, _)| *name == wanted)
                .unwrap()
                .1
        };
        if attribute("Max-Age") == "0" {
            self.cookies.remove(name);
        } else {
            let path = attribute("Path").to_owned();
            self.cookies
                .insert(name.to_owned(), (value.to_owned(), path));
        }
    }

    /// Goes to the provider and comes back with its answer, which is not sent yet.
    pub(crate) async fn fetch_callback(&mut self, provider: &Provider, next: &str) -> String {
        let begun = self.get(&format!("/login?next={next}")).await.must_be(303);
        let back = provider.visit(&begun.location()).await;
        let url = reqwest::Url::parse(&back).unwrap();
        format!("{}?{}", url.path(), url.query().unwrap())
    }

    /// Logs in as whoever the provider knows at present.
    pub(crate) async fn log_in(&mut self, provider: &Provider, next: &str) -> Answer {
        let callback = self.fetch_callback(provider, next).await;
        self.get(&callback).await
    }

    /// The token of the session, if there is one.
    pub(crate) fn session(&self) -> Option<&str> {
        self.cookies
            .get("__Host-fnox")
            .map(|(value, _)| value.as_str())
    }
}

impl Answer {
    pub(crate) fn location(&self) -> String {
        self.headers[header::LOCATION].to_str().unwrap().to_owned()
    }

    /// The nonce of a page's form.
    pub(crate) fn nonce(&self) -> String {
        let (_, rest) = self
            .text
            .split_once("name=\"nonce\" value=\"")
            .unwrap_or_else(|| panic!("no form: {}", self.text));
        rest.split_once('"').unwrap().0.to_owned()
    }
}
