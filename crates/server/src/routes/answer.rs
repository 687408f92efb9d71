//! Problems as responses.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fnox_api::{Problem, ProblemCode};

/// A problem on its way out. The middleware writes the body, since it knows the request's id.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Problem);

impl Refused {
    pub(crate) fn of(code: ProblemCode) -> Self {
        Self(Problem::new(code))
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// Writes a problem's body and the headers that go with it.
pub(super) fn render(mut problem: Problem, request_id: &str, response: &mut Response) {
    problem.request_id = Some(request_id.to_owned());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if problem.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = wait(&problem) {
        headers.insert(header::RETRY_AFTER, wait.into());
    }
    *response.body_mut() = serde_json::to_vec(&problem).unwrap_or_default().into();
}

/// The seconds after which a request makes sense again. A part of one counts as a whole: whoever comes early is refused
/// anew.
fn wait(problem: &Problem) -> Option<u64> {
    let known = problem.retry_after;
    let known = known.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    match problem.status {
        429 => known.or(Some(30)).map(|seconds| seconds.max(1)),
        503 => known.or(Some(5)),
        _ => None,
    }
}

/// What a handler answers.
pub(super) type Answer<T> = Result<T, Refused>;
