//! What handlers take out of requests, and how that fails.

use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use fnox_api::{Problem, ProblemCode, Role};
use fnox_core::{Token, TokenKind};
use serde::de::DeserializeOwned;

use super::App;
use super::answer::Refused;
use crate::service::Caller;
use crate::store::Condition;

/// The other end of the connection. The listener adds it to every request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Where a request came from, as far as that can be believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

impl FromRequestParts<App> for Peer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let socket = parts.extensions.get::<PeerAddress>().copied();
        Ok(Self(believed(app, socket, &parts.headers)))
    }
}

/// Whether a request was made on this machine. One that a proxy made for somebody whom it does not name was not, wherever
/// the proxy is.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsLocal(pub(super) bool);

impl FromRequestParts<App> for IsLocal {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let socket = parts.extensions.get::<PeerAddress>().copied();
        let client = client(app, address_of(socket), &parts.headers);
        Ok(Self(client.is_some_and(|address| address.is_loopback())))
    }
}

pub(super) fn peer(app: &App, request: &Request) -> IpAddr {
    let socket = request.extensions().get::<PeerAddress>().copied();
    believed(app, socket, request.headers())
}

/// What is known of where a request is from: the client, or the proxy that does not name it.
fn believed(app: &App, socket: Option<PeerAddress>, headers: &HeaderMap) -> IpAddr {
    let socket = address_of(socket);
    client(app, socket, headers).unwrap_or(socket)
}

fn address_of(socket: Option<PeerAddress>) -> IpAddr {
    socket.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |peer| {
        peer.0.ip().to_canonical()
    })
}

/// The connection's address; behind a listed proxy the last address in `X-Forwarded-For` that no listed proxy has, and
/// none if there is no such address.
fn client(app: &App, socket: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    let proxies = &app.service.settings().proxies;
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    if !is_proxy(&socket) {
        return Some(socket);
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for text in forwarded.iter().rev() {
        match text.trim().parse::<IpAddr>() {
            Ok(address) if is_proxy(&address.to_canonical()) => {}
            Ok(address) => return Some(address.to_canonical()),
            // Whatever stands further left was written by somebody whom nobody vouches for.
            Err(_) => break,
        }
    }
    None
}

/// The bearer token of a request: exactly one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (all.next(), all.next()) {
        (Some(value), None) => value,
        (None, _) => {
            return Err(Problem::new(ProblemCode::Unauthenticated)
                .with_detail("send `Authorization: Bearer TOKEN`"));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::new(ProblemCode::Unauthenticated)
                .with_detail("there is more than one `Authorization`"));
        }
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
        .map(|(_, token)| token.trim_start())
        .ok_or_else(|| {
            Problem::new(ProblemCode::Unauthenticated)
                .with_detail("`Authorization` is not `Bearer TOKEN`")
        })
}

/// The kinds of tokens that a session may have on most routes.
const PEOPLE_AND_JOBS: &[TokenKind] = &[TokenKind::Session, TokenKind::Bootstrap];

impl FromRequestParts<App> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        caller(parts, app, PEOPLE_AND_JOBS).await
    }
}

/// An identity provider, or an administrator.
#[derive(Debug)]
pub(super) struct Provisioner(pub(super) Caller);

impl FromRequestParts<App> for Provisioner {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let kinds = [
            TokenKind::Provisioning,
            TokenKind::Session,
            TokenKind::Bootstrap,
        ];
        let caller = caller(parts, app, &kinds).await?;
        crate::service::must_provision(&caller)?;
        Ok(Self(caller))
    }
}

/// Somebody whose agents people are asked about: a gateway, or a person.
#[derive(Debug)]
pub(super) struct Asker(pub(super) Caller);

impl FromRequestParts<App> for Asker {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let kinds = [TokenKind::Gateway, TokenKind::Session];
        let caller = caller(parts, app, &kinds).await?;
        caller.must_have_agents()?;
        Ok(Self(caller))
    }
}

/// A caller whose role is checked before anything else of the request is looked at.
macro_rules! caller_with_role {
    ($(#[$doc:meta])* $name:ident, $roles:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name(pub(super) Caller);

        impl FromRequestParts<App> for $name {
            type Rejection = Refused;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
                let caller = caller(parts, app, PEOPLE_AND_JOBS).await?;
                caller.must_be($roles)?;
                Ok(Self(caller))
            }
        }
    };
}

caller_with_role!(
    /// An administrator.
    Administrator,
    &[Role::Admin]
);
caller_with_role!(
    /// Somebody who decides.
    Approver,
    &[Role::Approver]
);
caller_with_role!(
    /// Somebody who may look at all approvals.
    Onlooker,
    &[Role::Approver, Role::Admin]
);

async fn caller(parts: &Parts, app: &App, kinds: &[TokenKind]) -> Result<Caller, Refused> {
    let text = bearer(&parts.headers)?;
    let unknown = || {
        Problem::new(ProblemCode::TokenInvalid)
            .with_detail("it is not one of this server, or it has ended")
    };
    let token = kinds
        .iter()
        .find_map(|kind| Token::parse(*kind, text).ok())
        .ok_or_else(unknown)?;
    known(parts, app, &token)
        .await?
        .ok_or_else(|| unknown().into())
}

/// Whose token it is, if it is anybody's.
pub(super) async fn known(
    parts: &Parts,
    app: &App,
    token: &Token,
) -> Result<Option<Caller>, Problem> {
    let now = app.service.now();
    let found = app.service.store().session(token.hash(), now).await;
    let Some(session) = app.service.stored(found)? else {
        return Ok(None);
    };
    app.limits.may_ask(&session.subject.principal())?;
    let socket = parts.extensions.get::<PeerAddress>().copied();
    Ok(Some(Caller {
        session,
        address: believed(app, socket, &parts.headers),
    }))
}

/// A JSON body. Says which field is wrong.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refused> {
        must_be(&request, &["application/json"])?;
        let bytes = body(request, app).await?;
        must_be_no_list(&bytes)?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            wrong_json(&path, error.inner())
        })?;
        reader.end().map_err(|error| wrong_json(".", &error))?;
        Ok(Self(value))
    }
}

/// Every body is an object. Serde would take a list of its values for one, in an order that no page tells and that changes
/// with the program.
pub(super) fn must_be_no_list(body: &[u8]) -> Result<(), Refused> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refused(
            Problem::new(ProblemCode::InvalidRequest)
                .with_detail("the body is a list, and must be a JSON object"),
        ));
    }
    Ok(())
}

fn wrong_json(path: &str, error: &serde_json::Error) -> Refused {
    let problem = Problem::new(ProblemCode::InvalidRequest);
    let message = error.to_string();
    // Where in the text it is says little once the field is named.
    let message = message.split(" at line ").next().unwrap_or_default();
    if !error.is_data() {
        return Refused(problem.with_detail(format!("the body is not JSON: {message}")));
    }
    let field = match message.split('`').nth(1) {
        Some(name) if path == "." => name,
        _ => path,
    };
    Refused(
        problem
            .with_detail(format!("`{field}`: {message}"))
            .at_field(field),
    )
}

pub(super) fn must_be(request: &Request, types: &[&str]) -> Result<(), Refused> {
    let given = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if given.is_some_and(|given| {
        types
            .iter()
            .any(|wanted| given.eq_ignore_ascii_case(wanted))
    }) {
        return Ok(());
    }
    Err(Refused(
        Problem::new(ProblemCode::UnsupportedMediaType)
            .with_detail(format!("`Content-Type` must be `{}`", types.join("` or `"))),
    ))
}

pub(super) async fn body(request: Request, app: &App) -> Result<Bytes, Refused> {
    Bytes::from_request(request, app)
        .await
        .map_err(|rejection| {
            Refused(match rejection {
                BytesRejection::FailedToBufferBody(failure)
                    if failure.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE =>
                {
                    Problem::new(ProblemCode::TooLarge).with_detail(format!(
                        "a body may have {} bytes at most",
                        app.service.settings().limits.body
                    ))
                }
                _ => Problem::new(ProblemCode::InvalidRequest)
                    .with_detail("the body ended before its length"),
            })
        })
}

/// Query parameters: unknown and repeated ones are refused.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Refused> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|rejection| {
                Refused(
                    Problem::new(ProblemCode::InvalidRequest).with_detail(format!(
                        "a query parameter is wrong: {}",
                        rejection.body_text()
                    )),
                )
            })
    }
}

/// Parts of the path.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        axum::extract::Path::<T>::from_request_parts(parts, app)
            .await
            .map(|path| Self(path.0))
            // An id that is no id names nothing.
            .map_err(|_| Refused::of(ProblemCode::NotFound))
    }
}

/// What `If-Match` and `If-None-Match` want (RFC 9110, section 13.1).
#[derive(Debug)]
pub(super) struct Wanted(pub(super) Condition);

impl FromRequestParts<App> for Wanted {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Refused> {
        let one = |name: header::HeaderName| -> Result<Option<String>, Refused> {
            let wrong = |detail: &str| {
                Refused(
                    Problem::new(ProblemCode::InvalidRequest)
                        .with_detail(format!("`{name}`: {detail}"))
                        .at_field(name.as_str()),
                )
            };
            let mut values = parts.headers.get_all(&name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => value
                    .to_str()
                    .map(|text| Some(text.trim().to_owned()))
                    .map_err(|_| wrong("it is not text")),
                _ => Err(wrong("it is there twice")),
            }
        };
        let wrong = |detail: &str| {
            Refused(Problem::new(ProblemCode::InvalidRequest).with_detail(detail.to_owned()))
        };
        let condition = match (one(header::IF_MATCH)?, one(header::IF_NONE_MATCH)?) {
            (None, None) => Condition::Any,
            (None, Some(text)) if text == "*" => Condition::Absent,
            (Some(text), None) => text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'))
                .and_then(|text| text.parse().ok())
                .map(Condition::Version)
                .ok_or_else(|| {
                    wrong("`If-Match` must be one `ETag` of this server, such as `\"3\"`")
                })?,
            _ => {
                return Err(wrong(
                    "use either `If-Match` with an `ETag`, or `If-None-Match: *`",
                ));
            }
        };
        Ok(Self(condition))
    }
}
