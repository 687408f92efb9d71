//! Pages behind links.
//!
//! `GET` and `HEAD` show, and never decide: scanners follow links. A decision is a `POST` of the page's form with its
//! nonce and the match code.

use std::net::IpAddr;

use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use fnox_api::{ApprovalStatus, Decide, Decision, Problem, ProblemCode};
use serde::Deserialize;

use super::answer::{Answer, Refused};
use super::extract::{Json, Path, Peer, body, must_be};
use super::{Access, App, Route};
use crate::link::LinkPurpose;
use crate::notify::{ONE_TAP_PATH, PAGE_PATH};
use crate::page::{
    ApprovalPage, CodeEntry, DecidedPage, FormMessage, GonePage, LoginPage, respond,
};
use crate::service::LinkView;
use crate::settings::NotifySettings;

/// [`PAGE_PATH`] with its parameter.
const LINK: &str = "/a/{link}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::page("GET", LINK, Access::Link, get(show)),
        Route::page("POST", LINK, Access::Link, post(submit)),
        Route::page("POST", ONE_TAP_PATH, Access::Link, post(tap)),
    ]
}

async fn show(State(app): State<App>, Path(link): Path<String>, uri: Uri) -> Answer<Response> {
    // Links have no parameters: whatever is there was added by somebody else.
    let Some(view) = follow(&app, &link, uri.query()).await? else {
        return Ok(gone());
    };
    page(&app, &link, &view, None)
}

/// What the form says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    #[serde(default)]
    pub(super) nonce: String,
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    decision: String,
    /// For how many seconds a yes covers the same request; pages about keys have no such field.
    #[serde(default)]
    lasting: Option<u32>,
}

impl Form {
    /// What the person wants.
    pub(super) fn wanted(self) -> Result<Decide, Problem> {
        Ok(Decide {
            decision: self.decision()?,
            code: Some(self.code),
            lasting_seconds: self.lasting,
            reason: None,
        })
    }

    fn decision(&self) -> Result<Decision, Problem> {
        match self.decision.as_str() {
            "approve" => Ok(Decision::Approve),
            "deny" => Ok(Decision::Deny),
            _ => Err(Problem::new(ProblemCode::InvalidRequest)
                .with_detail("`decision` is `approve` or `deny`")
                .at_field("decision")),
        }
    }
}

async fn submit(
    State(app): State<App>,
    Peer(address): Peer,
    Path(link): Path<String>,
    request: Request,
) -> Answer<Response> {
    let query = request.uri().query().map(str::to_owned);
    let form = form(request, &app).await?;
    let Some(view) = follow(&app, &link, query.as_deref()).await? else {
        return Ok(gone());
    };
    if view.record.status_at(app.service.now()) != ApprovalStatus::Pending || view.needs_login {
        return page(&app, &link, &view, None);
    }
    if !app.service.nonce_is_good(&view.record, None, &form.nonce) {
        return page(&app, &link, &view, Some(FormMessage::StaleForm));
    }
    let wanted = form.wanted()?;
    decide(&app, &link, &view, address, wanted).await
}

async fn decide(
    app: &App,
    link: &str,
    view: &LinkView,
    address: IpAddr,
    wanted: Decide,
) -> Answer<Response> {
    let problem = match app.service.decide_by_link(view, address, wanted).await {
        Ok(approval) => {
            let decided = DecidedPage {
                approval: &approval,
                already: false,
                now: app.service.now(),
            };
            return Ok(respond(StatusCode::OK, decided.render()));
        }
        Err(problem) => problem,
    };
    let message = match problem.known_code() {
        Some(ProblemCode::CodeMissing) => FormMessage::MissingCode,
        Some(ProblemCode::CodeWrong) => FormMessage::WrongCode,
        // Somebody else was faster.
        Some(ProblemCode::ApprovalDecided | ProblemCode::ApprovalNotApproved) => {
            FormMessage::StaleForm
        }
        _ => return Err(problem.into()),
    };
    let Some(after) = follow(app, link, None).await? else {
        return Ok(gone());
    };
    page(app, link, &after, Some(message))
}

/// The page of an approval as it stands.
fn page(app: &App, link: &str, view: &LinkView, message: Option<FormMessage>) -> Answer<Response> {
    let now = app.service.now();
    let status = match message {
        None => StatusCode::OK,
        Some(FormMessage::WrongCode) => StatusCode::FORBIDDEN,
        Some(_) => StatusCode::BAD_REQUEST,
    };
    let approval = view.record.clone().view(now);
    if approval.status != ApprovalStatus::Pending {
        let decided = DecidedPage {
            approval: &approval,
            already: message != Some(FormMessage::WrongCode),
            now,
        };
        // A form that comes late changes nothing, and that is no error: people tap twice.
        let status = match message {
            Some(FormMessage::WrongCode) => status,
            _ => StatusCode::OK,
        };
        return Ok(respond(status, decided.render()));
    }
    if view.needs_login {
        let login = LoginPage {
            login_url: &super::web::page_of(approval.id),
            message: Some("Only people who have logged in can decide about this request."),
        };
        return Ok(respond(StatusCode::OK, login.render()));
    }
    let nonce = app.service.nonce(&view.record, None)?;
    let choices = if app.service.settings().approvals.choose_code {
        app.service.choices(&view.record)?
    } else {
        Vec::new()
    };
    let html = ApprovalPage {
        approval: &approval,
        nonce: &nonce,
        action_url: &format!("{PAGE_PATH}/{link}"),
        entry: if choices.is_empty() {
            CodeEntry::Type
        } else {
            CodeEntry::Choose(&choices)
        },
        message,
        person: None,
        now,
    }
    .render();
    Ok(respond(status, html))
}

/// What a link to a page leads to. `None` for all links that lead nowhere.
async fn follow(app: &App, link: &str, query: Option<&str>) -> Answer<Option<LinkView>> {
    if query.is_some() {
        return Ok(None);
    }
    match app.service.follow(link).await {
        Ok(view) if view.link.purpose == LinkPurpose::Page => Ok(Some(view)),
        Ok(_) => Ok(None),
        Err(problem) if problem.known_code() == Some(ProblemCode::NotFound) => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

pub(super) fn gone() -> Response {
    respond(StatusCode::NOT_FOUND, GonePage.render())
}

pub(super) async fn form(request: Request, app: &App) -> Result<Form, Refused> {
    must_be(&request, &["application/x-www-form-urlencoded"])?;
    let (parts, content) = request.into_parts();
    let bytes = body(Request::from_parts(parts.clone(), content), app).await?;
    let request = Request::from_parts(parts, axum::body::Body::from(bytes));
    axum::Form::<Form>::from_request(request, app)
        .await
        .map(|form| form.0)
        .map_err(|rejection| {
            Refused(
                Problem::new(ProblemCode::InvalidRequest)
                    .with_detail(format!("the form is wrong: {}", rejection.body_text())),
            )
        })
}

/// A decision by one tap in a notification.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tap {
    link: String,
}

/// Only where a channel was told to offer it.
async fn tap(
    State(app): State<App>,
    Peer(address): Peer,
    Json(tap): Json<Tap>,
) -> Answer<Response> {
    let not_found = || Refused::of(ProblemCode::NotFound);
    let is_offered = app
        .service
        .settings()
        .notify
        .iter()
        .any(|channel| matches!(channel, NotifySettings::Ntfy(settings) if settings.one_tap));
    if !is_offered {
        return Err(not_found());
    }
    let view = app.service.follow(&tap.link).await?;
    if view.link.purpose == LinkPurpose::Page {
        return Err(not_found());
    }
    let nothing = Decide {
        decision: Decision::Deny,
        code: None,
        lasting_seconds: None,
        reason: None,
    };
    let approval = app.service.decide_by_link(&view, address, nothing).await?;
    Ok(axum::Json(approval).into_response())
}
