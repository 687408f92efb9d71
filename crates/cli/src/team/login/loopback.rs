//! Where the provider sends the browser back to (RFC 8252, section 7.3): one page on 127.0.0.1 that takes one answer.
//!
//! Anybody on this machine, and any page in any browser, can send something here. Only an answer with the right `state`
//! counts; another one is answered and forgotten, so that nobody can end the login either.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use oauth2::url::form_urlencoded;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::chain;
use crate::team::error::TeamFailure;

/// A place that waits for the provider's answer.
pub(super) struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
}

/// What an answer must carry.
pub(super) struct Expected {
    pub(super) state: String,
    pub(super) issuer: String,
    /// RFC 9207: the answer names the issuer.
    pub(super) names_issuer: bool,
}

/// The provider's answer: a code, or why there is none.
pub(super) type Answer = Result<Zeroizing<String>, String>;

impl Loopback {
    /// Listens on a port of 127.0.0.1; on any free one without `port`.
    pub(super) async fn bind(port: Option<u16>) -> Result<Self, TeamFailure> {
        let failed = |error: std::io::Error| {
            TeamFailure::login(format!(
                "no port of 127.0.0.1 can be opened for the browser to come back to: {}",
                chain(&error)
            ))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// What the provider is told.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://{}/callback", self.address)
    }

    /// Waits for the answer.
    pub(super) async fn answer(self, expected: Expected) -> Result<Answer, TeamFailure> {
        let (sender, receiver) = oneshot::channel();
        let page = Arc::new(Page {
            expected,
            host: self.address.to_string(),
            sender: Mutex::new(Some(sender)),
        });
        let router = Router::new()
            .route("/callback", get(callback))
            .with_state(page);
        let (stop, stopped) = oneshot::channel::<()>();
        // The browser gets its page before the port is closed.
        let server = axum::serve(self.listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let mut server = tokio::spawn(server.into_future());
        let answer = tokio::select! {
            answer = receiver => answer.ok(),
            _ = &mut server => None,
        };
        let _ = stop.send(());
        // A browser that keeps its connection open must not keep fnox from going on.
        let grace = tokio::time::timeout(std::time::Duration::from_millis(500), &mut server);
        if grace.await.is_err() {
            server.abort();
        }
        answer.ok_or_else(|| TeamFailure::login("the port for the browser was closed"))
    }
}

struct Page {
    expected: Expected,
    host: String,
    sender: Mutex<Option<oneshot::Sender<Answer>>>,
}

async fn callback(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    // A name that leads here by DNS is another site's page (DNS rebinding).
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if host != Some(page.host.as_str()) {
        return shown(StatusCode::MISDIRECTED_REQUEST, "This is not the address.");
    }
    let Some(answer) = page.expected.read(query.as_deref().unwrap_or_default()) else {
        return shown(
            StatusCode::BAD_REQUEST,
            "This does not belong to the login that fnox waits for.",
        );
    };
    let text = match &answer {
        Ok(_) => "You can close this page and go back to the terminal.",
        Err(_) => "The provider did not let you in. The terminal says more.",
    };
    let sender = page
        .sender
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(sender) = sender {
        let _ = sender.send(answer);
    }
    shown(StatusCode::OK, text)
}

impl Expected {
    /// The answer in a query, if it is the one that is waited for.
    fn read(&self, query: &str) -> Option<Answer> {
        let (mut code, mut state, mut error, mut issuer) = (None, None, None, None);
        let mut description = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "code" => &mut code,
                "state" => &mut state,
                "error" => &mut error,
                "error_description" => &mut description,
                "iss" => &mut issuer,
                _ => continue,
            };
            // RFC 6749, section 3.1: no parameter twice.
            if place.replace(Zeroizing::new(value.into_owned())).is_some() {
                return None;
            }
        }
        let is_ours =
            state.is_some_and(|state| bool::from(state.as_bytes().ct_eq(self.state.as_bytes())));
        if !is_ours {
            return None;
        }
        // RFC 9207: an answer of another provider (mix-up).
        match &issuer {
            Some(issuer) if **issuer != self.issuer => return None,
            None if self.names_issuer => return None,
            _ => {}
        }
        match (code, error) {
            (Some(code), None) => Some(Ok(code)),
            (None, Some(error)) => {
                let mut text = error.to_string();
                if let Some(description) = description {
                    text.push_str(": ");
                    text.push_str(&description);
                }
                Some(Err(text))
            }
            _ => None,
        }
    }
}

fn shown(status: StatusCode, text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ];
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>fnox</title><p>{text}</p></html>\n"
    );
    (status, headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<Answer> {
        Expected {
            state: "s t".to_owned(),
            issuer: "https://i".to_owned(),
            names_issuer: false,
        }
        .read(query)
    }

    #[test]
    fn only_the_answer_to_this_login_counts() {
        assert_eq!(**read("code=c&state=s+t").unwrap().as_ref().unwrap(), *"c");
        let refused = read("error=access_denied&error_description=no&state=s%20t").unwrap();
        assert_eq!(refused.unwrap_err(), "access_denied: no");
        assert!(read("code=c&state=s+t&iss=https%3A%2F%2Fi&scope=x").is_some());
        for query in [
            "",
            "code=c",
            "code=c&state=",
            "code=c&state=other",
            "state=s+t",
            "code=c&error=e&state=s+t",
            "code=c&code=d&state=s+t",
            "code=c&state=s+t&state=s+t",
            "code=c&state=s+t&iss=https%3A%2F%2Fevil",
        ] {
            assert!(read(query).is_none(), "{query}");
        }
    }

    #[test]
    fn a_provider_that_names_itself_always_does() {
        let expected = Expected {
            state: "s".to_owned(),
            issuer: "https://i".to_owned(),
            names_issuer: true,
        };
        assert!(expected.read("code=c&state=s").is_none());
        assert!(
            expected
                .read("code=c&state=s&iss=https%3A%2F%2Fi")
                .is_some()
        );
    }
}
