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
    match problem.status {
        401 => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        429 => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        }
        503 => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        _ => {}
    }
    *response.body_mut() = serde_json::to_vec(&problem).unwrap_or_default().into();
}

/// What a handler answers.
pub(super) type Answer<T> = Result<T, Refused>;
