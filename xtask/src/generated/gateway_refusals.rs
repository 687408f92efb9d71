//! `docs/reference/gateway-refusals.md`, from the reasons in `fnox-gateway`.

use std::fmt::Write as _;

use fnox_gateway::Reason;

use super::NOTICE;

/// The page.
pub(super) fn page() -> String {
    let mut page = format!(
        "{NOTICE}\n\n# Refusals of the gateway\n\n\
         A request that the gateway does not let out, or an answer that it does not let in, is answered with one of these \
         statuses, the code in the header `X-Fnox-Refusal`, and a text that names the rule or lease and what to do. Whoever asks \
         for JSON (`Accept: application/json`) gets `error` (the code), `message`, and where they are known `rule`, `lease` and \
         `remedy`. The codes are stable.\n\n\
         What cannot be read as HTTP at all (a control byte, two lengths that differ, a transfer coding that is not `chunked`) \
         gets a bare status and the end of its connection: 400, 414 for a request line that is too long, 431 for too many \
         headers. The metrics count it as `gateway::ambiguous`. Two ways to say how long a body is are read as RFC 9112 has it, \
         and leave as one: equal `Content-Length` fields are one length; beside `Transfer-Encoding: chunked` a `Content-Length` \
         is dropped, and the connection ends after that request.\n"
    );
    for reason in Reason::ALL {
        let (meaning, remedy) = reason.explained();
        let (code, status) = (reason.code(), reason.status().as_u16());
        // Writing to a text cannot fail.
        let _ = write!(
            page,
            "\n## `{code}`\n\n{meaning}\n\n{remedy}\n\nStatus: {status}.\n"
        );
    }
    page
}
