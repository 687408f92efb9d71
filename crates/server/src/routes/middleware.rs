//! Around every request: its id, its time limit, the headers that all answers carry, the log line, the counters.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use fnox_api::{Problem, ProblemCode};
use tracing::Instrument as _;
use tracing::field::Empty;
use uuid::Uuid;

use super::App;
use super::answer::{Refused, render};
use super::extract::peer;
use super::openapi::query_parameters;

pub(super) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().to_string();
    let method = request.method().clone();
    // The pattern, not the path: paths of links are secrets.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let address = peer(&app, &request);
    let begun = tokio::time::Instant::now();
    let limit = time_limit(&app, &method, &route);
    let span = tracing::info_span!("request", %id, %method, %route, %address, status = Empty);
    let work = async {
        let limit = app.service.settings().limits.body;
        if announces_more(limit, request.headers()) {
            let detail = format!("a body may have {limit} bytes at most");
            let problem = Problem::new(ProblemCode::TooLarge).with_detail(detail);
            return Refused(problem).into_response();
        }
        if let Err(problem) = must_know_parameters(&request, &route) {
            return Refused(problem).into_response();
        }
        next.run(request).await
    };
    let work = work.instrument(span.clone());
    let mut response = tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Refused::of(ProblemCode::Timeout).into_response());
    if response.status() == StatusCode::UNAUTHORIZED
        && let Err(problem) = app.limits.may_fail(address)
    {
        let problem = problem.with_detail("too many of this address were refused");
        response = Refused(problem).into_response();
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        span.in_scope(|| {
            tracing::info!(
                code = %problem.code, detail = problem.detail.as_deref().unwrap_or_default(), "refused"
            );
        });
        if route.starts_with(super::scim::BASE) {
            super::scim::render(&problem, &mut response);
        } else {
            render(problem, &id, &mut response);
        }
    }
    let elapsed = begun.elapsed();
    finish(&mut response, &id);
    span.in_scope(|| {
        tracing::info!(
            status = response.status().as_u16(),
            milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "answered"
        );
    });
    // After the line of the log, which has it already: for traces.
    span.record("status", response.status().as_u16());
    let labels = [
        ("route", route),
        ("method", counted(&method).to_owned()),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::counter!("fnox_http_requests_total", &labels).increment(1);
    metrics::histogram!("fnox_http_request_seconds", &labels[..2]).record(elapsed.as_secs_f64());
    response
}

/// A method as it is counted. Clients can make methods up, and each would take memory for counters of its own.
fn counted(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

/// What says of itself that it is too large is refused before it comes.
fn announces_more(limit: usize, headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
}

/// Refuses query parameters that an operation of the API does not have, or that are there twice: whoever misspells
/// `profile` must not be answered about another one.
fn must_know_parameters(request: &Request, route: &str) -> Result<(), Problem> {
    if request.uri().query().is_none() || !route.starts_with(API) {
        return Ok(());
    }
    let Some(known) = query_parameters(request.method(), route) else {
        return Ok(());
    };
    // A query that cannot be read is for the operation itself to refuse.
    let uri = request.uri();
    let given = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let names = match given {
        Ok(given) => given.0,
        Err(_) => return Ok(()),
    };
    let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    let refused = |detail: String, name: &str| {
        let problem = Problem::new(ProblemCode::InvalidRequest);
        Err(problem.with_detail(detail).at_field(name))
    };
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        let shown = name.chars().filter(|c| !c.is_control());
        let name: String = shown.take(LONGEST_NAME).collect();
        let has = if known.is_empty() {
            "no query parameters".to_owned()
        } else {
            format!("the query parameters `{}`", known.join("`, `"))
        };
        let method = request.method();
        return refused(
            format!("`{name}` is unknown: {method} {route} has {has}"),
            &name,
        );
    }
    let is_repeated = |(index, name): &(usize, &String)| names[..*index].contains(name);
    match names.iter().enumerate().find(is_repeated) {
        None => Ok(()),
        Some((_, name)) => refused(format!("`{name}` is there more than once"), name),
    }
}

/// Where the API is. SCIM has rules of its own (RFC 7644, section 3.4.2: what is unknown is ignored), pages too.
const API: &str = "/v1/";

/// As much of an unknown name as is said back.
const LONGEST_NAME: usize = 64;

/// A long poll may take its wait on top.
fn time_limit(app: &App, method: &Method, route: &str) -> Duration {
    let limit = app.service.settings().limits.request;
    let may_wait = [super::approvals::ONE, super::questions::ONE];
    if *method == Method::GET && may_wait.contains(&route) {
        limit + Duration::from_mins(1)
    } else {
        limit
    }
}

/// Headers of every answer. Pages set stricter ones themselves.
fn finish(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    for (name, value) in fixed {
        headers
            .entry(name)
            .or_insert_with(|| HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_a_client_made_up_are_counted_as_one() {
        assert_eq!(counted(&Method::PATCH), "PATCH");
        for made_up in ["get", "GETS", "MADE-UP"] {
            let method = Method::from_bytes(made_up.as_bytes()).unwrap();
            assert_eq!(counted(&method), "other");
        }
    }
}
