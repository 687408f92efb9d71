//! Pages for people who log in: the login itself, the list of approvals, and each of them.
//!
//! Who somebody is comes from the cookie alone: a bearer token opens no page, and a cookie nothing of the API. `GET` and
//! `HEAD` decide nothing. Every form has a nonce of the session, so that no other site can send it.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use fnox_api::{ApprovalStatus, Problem, ProblemCode, SessionCreated};
use fnox_core::{SecretString, Token, TokenKind};
use serde::Deserialize;
use uuid::Uuid;

use super::answer::Refused;
use super::cookie::Cookie;
use super::extract::{Path, Peer, known};
use super::pages::{form, gone};
use super::{Access, App, Route};
use crate::page::{
    ApprovalPage, CodeEntry, DecidedPage, FormMessage, ListEntry, ListPage, LoginPage, ProblemPage,
    respond,
};
use crate::service::{CALLBACK_PATH, Caller, LOGIN_LIFETIME, Returned, may_decide};
use crate::store::ApprovalRecord;

/// Where a login begins. The cookie of a login under way is for this and what is below.
pub(super) const LOGIN: &str = "/login";
const LOGOUT: &str = "/logout";
const LIST: &str = "/approvals";
const ONE: &str = "/approvals/{id}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::page("GET", LOGIN, Access::Open, get(begin)),
        Route::page("GET", CALLBACK_PATH, Access::Open, get(finish)),
        Route::page("POST", LOGOUT, Access::Cookie, post(log_out)),
        Route::page("GET", LIST, Access::Cookie, get(list)),
        Route::page("GET", ONE, Access::Cookie, get(show)),
        Route::page("POST", ONE, Access::Cookie, post(submit)),
    ]
}

/// The page of an approval for people who have logged in.
pub(super) fn page_of(approval: Uuid) -> String {
    format!("{LIST}/{approval}")
}

/// Somebody who has logged in on these pages. Everybody else gets the page on which that begins.
struct Visitor(Caller);

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let cookie = Cookie::Session.read(app, &parts.headers);
        let token = cookie.and_then(|text| Token::parse(TokenKind::Session, text).ok());
        let caller = match &token {
            Some(token) => known(parts, app, token)
                .await
                .map_err(|problem| failed(&problem, None))?,
            None => None,
        };
        // Whoever only looks, and shows nothing, has made no mistake yet.
        let is_refused = cookie.is_some() || parts.method == Method::POST;
        caller
            .map(Self)
            .ok_or_else(|| must_log_in(&parts.uri, is_refused))
    }
}

fn must_log_in(uri: &Uri, is_refused: bool) -> Response {
    let next = local(uri.path());
    let page = LoginPage {
        login_url: &next.map_or_else(|| LOGIN.to_owned(), login_url),
        message: is_refused.then_some("You are not logged in, or your session has ended."),
    };
    if !is_refused {
        return respond(StatusCode::OK, page.render());
    }
    let mut response = respond(StatusCode::UNAUTHORIZED, page.render());
    // RFC 9110, section 15.5.2 wants one; browsers pass over schemes that they do not know.
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Cookie"));
    response
}

fn login_url(next: Uuid) -> String {
    format!("{LOGIN}?next={}", page_of(next))
}

/// The approval whose page this path is. There is no other place to go on to but the list.
fn local(path: &str) -> Option<Uuid> {
    let id = path.strip_prefix(LIST)?.strip_prefix('/')?;
    let id = Uuid::try_parse(id).ok().filter(|id| !id.is_nil())?;
    (page_of(id) == path).then_some(id)
}

/// What did not work, as a page.
fn failed(problem: &Problem, retry_url: Option<&str>) -> Response {
    failed_for(None, problem, retry_url)
}

fn failed_for(person: Option<&str>, problem: &Problem, retry_url: Option<&str>) -> Response {
    tracing::info!(
        code = %problem.code, detail = problem.detail.as_deref().unwrap_or_default(), "refused"
    );
    let status = match StatusCode::from_u16(problem.status) {
        // A page is no place for the challenge that a 401 must have.
        Ok(StatusCode::UNAUTHORIZED) => StatusCode::FORBIDDEN,
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let page = ProblemPage {
        problem,
        retry_url,
        logout_nonce: person,
    };
    respond(status, page.render())
}

/// A redirect after which nothing is posted again (RFC 9110, section 15.4.4).
fn see_other(location: &str, cookies: impl IntoIterator<Item = Option<HeaderValue>>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    match HeaderValue::from_str(location) {
        Ok(location) => headers.insert(header::LOCATION, location),
        Err(_) => return failed(&Problem::new(ProblemCode::Internal), None),
    };
    add_cookies(&mut response, cookies);
    response
}

fn add_cookies(response: &mut Response, cookies: impl IntoIterator<Item = Option<HeaderValue>>) {
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[derive(Default, Deserialize)]
struct Begin {
    next: Option<String>,
}

async fn begin(State(app): State<App>, Peer(address): Peer, uri: Uri) -> Response {
    let query = axum::extract::Query::<Begin>::try_from_uri(&uri).map(|query| query.0);
    // Whatever else stands there leads to the list.
    let next = query.unwrap_or_default().next.and_then(|next| local(&next));
    // Nobody has to be known for this, and the provider may be asked something.
    if let Err(problem) = app.limits.may_fail(address) {
        return failed(&problem, None);
    }
    match app.service.begin_web_login(next).await {
        Ok(begun) => {
            let cookie = Cookie::Login.set(&app, &begun.cookie, LOGIN_LIFETIME);
            see_other(&begun.location, [cookie])
        }
        Err(problem) => failed(&problem, None),
    }
}

/// Others are ignored (RFC 6749, section 4.1.2); one that is there twice is not.
#[derive(Deserialize)]
struct Callback {
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

async fn finish(
    State(app): State<App>,
    Peer(address): Peer,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let query = axum::extract::Query::<Callback>::try_from_uri(&uri).map(|query| query.0);
    let begun = query.ok().and_then(|query| {
        let cookie = Cookie::Login.read(&app, &headers)?;
        let pending = app.service.pending_login(cookie, &query.state)?;
        Some((pending, query))
    });
    let Some((pending, query)) = begun else {
        let problem = Problem::new(ProblemCode::InvalidRequest).with_detail(
            "this login was not begun in this browser, is finished already, or took more than ten minutes",
        );
        return failed(&problem, Some(LOGIN));
    };
    let again = pending.next.map_or_else(|| LOGIN.to_owned(), login_url);
    let returned = Returned {
        code: query.code.map(SecretString::from),
        error: query.error,
        issuer: query.iss,
    };
    let outcome = match app.limits.may_fail(address) {
        Ok(()) => {
            app.service
                .finish_web_login(&pending, returned, address)
                .await
        }
        Err(problem) => Err(problem),
    };
    // Each login comes back once, however it ends.
    let spent = Cookie::Login.clear(&app);
    match outcome {
        Ok(session) => {
            let location = pending.next.map_or_else(|| LIST.to_owned(), page_of);
            see_other(&location, [spent, session_cookie(&app, &session)])
        }
        Err(problem) => {
            let mut response = failed(&problem, Some(&again));
            add_cookies(&mut response, [spent]);
            response
        }
    }
}

fn session_cookie(app: &App, session: &SessionCreated) -> Option<HeaderValue> {
    let life = session.expires_at.duration_since(app.service.now());
    Cookie::Session.set(app, &session.token, life.unsigned_abs())
}

async fn log_out(State(app): State<App>, Visitor(caller): Visitor, request: Request) -> Response {
    let form = match form(request, &app).await {
        Ok(form) => form,
        Err(refused) => return failed(&refused.0, Some(LIST)),
    };
    if !app.service.logout_nonce_is_good(&caller, &form.nonce) {
        return failed(&Problem::new(ProblemCode::NonceInvalid), Some(LIST));
    }
    match app.service.logout(&caller).await {
        Ok(()) => see_other(LIST, [Cookie::Session.clear(&app)]),
        Err(problem) => failed(&problem, Some(LIST)),
    }
}

async fn list(State(app): State<App>, Visitor(caller): Visitor) -> Response {
    let (approvals, nonce) = match (
        app.service.approvals(&caller, false).await,
        app.service.logout_nonce(&caller),
    ) {
        (Ok(list), Ok(nonce)) => (list.approvals, nonce),
        (Err(problem), nonce) => {
            return failed_for(nonce.ok().as_deref(), &problem, None);
        }
        (_, Err(problem)) => return failed(&problem, None),
    };
    let entries: Vec<ListEntry<'_>> = approvals
        .iter()
        .map(|approval| ListEntry {
            approval,
            url: page_of(approval.id),
        })
        .collect();
    let page = ListPage {
        person: &caller.session.subject.name(),
        entries: &entries,
        logout_nonce: &nonce,
        now: app.service.now(),
    };
    respond(StatusCode::OK, page.render())
}

async fn show(
    State(app): State<App>,
    Visitor(caller): Visitor,
    id: Result<Path<Uuid>, Refused>,
) -> Response {
    let Ok(Path(id)) = id else {
        return gone();
    };
    match app.service.approval_for_page(&caller, id).await {
        Ok(record) => {
            let message = may_decide(&caller, &record)
                .is_err()
                .then_some(FormMessage::NotAllowed);
            page(&app, &caller, record, StatusCode::OK, message)
        }
        Err(problem) => refused(&app, &caller, &problem),
    }
}

async fn submit(
    State(app): State<App>,
    Visitor(caller): Visitor,
    id: Result<Path<Uuid>, Refused>,
    request: Request,
) -> Response {
    let Ok(Path(id)) = id else {
        return gone();
    };
    let record = match app.service.approval_for_page(&caller, id).await {
        Ok(record) => record,
        Err(problem) => return refused(&app, &caller, &problem),
    };
    let here = page_of(id);
    let form = match form(request, &app).await {
        Ok(form) => form,
        Err(refused) => return failed(&refused.0, Some(&here)),
    };
    if !app
        .service
        .nonce_is_good(&record, Some(&caller), &form.nonce)
    {
        let message = Some(FormMessage::StaleForm);
        return page(&app, &caller, record, StatusCode::BAD_REQUEST, message);
    }
    let wanted = match form.wanted() {
        Ok(wanted) => wanted,
        Err(problem) => return failed(&problem, Some(&here)),
    };
    let problem = match app.service.decide(&caller, id, wanted).await {
        Ok(approval) => {
            let decided = DecidedPage {
                approval: &approval,
                already: false,
                now: app.service.now(),
            };
            return respond(StatusCode::OK, decided.render());
        }
        Err(problem) => problem,
    };
    let (status, message) = match problem.known_code() {
        Some(ProblemCode::CodeMissing) => (StatusCode::BAD_REQUEST, FormMessage::MissingCode),
        Some(ProblemCode::CodeWrong) => (StatusCode::FORBIDDEN, FormMessage::WrongCode),
        Some(ProblemCode::SelfApproval | ProblemCode::RoleMissing) => {
            (StatusCode::FORBIDDEN, FormMessage::NotAllowed)
        }
        // Somebody else was faster.
        Some(ProblemCode::ApprovalDecided | ProblemCode::ApprovalNotApproved) => {
            (StatusCode::BAD_REQUEST, FormMessage::StaleForm)
        }
        _ => return failed(&problem, Some(&here)),
    };
    match app.service.approval_for_page(&caller, id).await {
        Ok(after) => page(&app, &caller, after, status, Some(message)),
        Err(problem) => refused(&app, &caller, &problem),
    }
}

/// One answer for what is not there; a person without a role may want to be another.
fn refused(app: &App, caller: &Caller, problem: &Problem) -> Response {
    if problem.known_code() == Some(ProblemCode::NotFound) {
        return gone();
    }
    let nonce = app.service.logout_nonce(caller);
    failed_for(nonce.ok().as_deref(), problem, Some(LIST))
}

/// The page of an approval as it stands.
fn page(
    app: &App,
    caller: &Caller,
    record: ApprovalRecord,
    status: StatusCode,
    message: Option<FormMessage>,
) -> Response {
    let now = app.service.now();
    let nonce = app.service.nonce(&record, Some(caller));
    let choices = if app.service.settings().approvals.choose_code {
        app.service.choices(&record)
    } else {
        Ok(Vec::new())
    };
    let approval = record.view(now);
    if approval.status != ApprovalStatus::Pending {
        let is_wrong_code = message == Some(FormMessage::WrongCode);
        let decided = DecidedPage {
            approval: &approval,
            already: !is_wrong_code,
            now,
        };
        // A form that comes late changes nothing, and that is no error: people tap twice.
        let status = if is_wrong_code {
            status
        } else {
            StatusCode::OK
        };
        return respond(status, decided.render());
    }
    let (nonce, choices) = match (nonce, choices) {
        (Ok(nonce), Ok(choices)) => (nonce, choices),
        (Err(problem), _) | (_, Err(problem)) => return failed(&problem, None),
    };
    let html = ApprovalPage {
        approval: &approval,
        nonce: &nonce,
        action_url: &page_of(approval.id),
        entry: if choices.is_empty() {
            CodeEntry::Type
        } else {
            CodeEntry::Choose(&choices)
        },
        message,
        person: Some(&caller.session.subject.name()),
        now,
    }
    .render();
    respond(status, html)
}
