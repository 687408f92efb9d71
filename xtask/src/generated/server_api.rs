//! The team server's OpenAPI document and the page of its problems.

use std::fmt::Write as _;

use fnox_api::ProblemCode;

use super::NOTICE;

/// `docs/reference/openapi.json`
pub(super) fn document() -> String {
    fnox_server::routes::document().to_owned()
}

/// `docs/reference/problems.md`
pub(super) fn problems() -> String {
    let mut page = format!(
        "{NOTICE}\n\n# Problems of the team server\n\n\
         What goes wrong is told as `application/problem+json` (RFC 9457): `type`, `title`, `status`, a stable `code`, and, \
         where they help, `detail`, the `field` of the request, the `claim` of the token, the secret's `key`. `request_id` \
         finds the request in the server's log. Under `/scim/` errors have SCIM's own form (RFC 7644, section 3.12), with \
         the same `code`.\n\n| code | status | meaning |\n|---|---|---|\n"
    );
    for code in ProblemCode::ALL {
        // Writing to a text cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            code.as_str(),
            code.status(),
            code.title()
        );
    }
    page
}
