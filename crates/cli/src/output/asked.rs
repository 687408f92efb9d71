//! What is asked, for the person who decides, at whichever place.
//!
//! Everything of it comes from the program that asks, so nothing of it can control the terminal once it went through
//! [`harmless`](crate::terminal::harmless). The use of a credential looks like no request.

use fnox_core::question::{AgentAccess, Asked};
use schemars::Schema;
use serde_json::Value;

/// What would be sent and where; or what would be used, and where.
pub(crate) fn line(asked: &Asked) -> String {
    match asked {
        Asked::Request(request) => {
            format!("{} {}{}", request.method, request.host, request.target)
        }
        Asked::Access(access) => use_of(access),
    }
}

/// `the use of GITHUB_TOKEN at api.github.com with GET, HEAD, for a while`
fn use_of(access: &AgentAccess) -> String {
    let AgentAccess {
        credential,
        host,
        methods,
        ..
    } = access;
    let methods = methods.join(", ");
    format!("the use of {credential} at {host} with {methods}, for a while")
}

/// How large its body is.
pub(crate) fn body(asked: &Asked) -> String {
    match asked {
        Asked::Request(request) => match request.body_length {
            0 => "none".to_owned(),
            length => format!("{length} bytes"),
        },
        Asked::Access(_) => String::new(),
    }
}

/// The rule that wants to know; of the use of a credential, why the agent wants it.
pub(crate) fn why(asked: &Asked) -> String {
    match asked {
        Asked::Request(request) => request.rule.clone(),
        Asked::Access(access) => format!("it says: \"{}\"", access.reason),
    }
}

/// All that is known of it, a line each.
pub(crate) fn described(asked: &Asked) -> String {
    let lines = match asked {
        Asked::Request(request) => {
            let mut lines = vec![
                ("request", line(asked)),
                ("agent", request.agent.clone()),
                ("rule", request.rule.clone()),
                ("body", body(asked)),
            ];
            if request.body_length > 0 {
                lines.push(("sha256", request.body_sha256.clone()));
            }
            lines
        }
        Asked::Access(access) => vec![
            ("use of", access.credential.clone()),
            ("at", access.host.clone()),
            ("with", access.methods.join(", ")),
            ("agent", access.agent.clone()),
            ("its words", access.reason.clone()),
            (
                "a yes",
                "is for all such requests until its time is over".to_owned(),
            ),
        ],
    };
    let lines: Vec<String> = lines
        .into_iter()
        // A line of its own can be drawn by nobody else.
        .map(|(name, text)| format!("{name:>9}  {}", text.replace('\n', "\u{fffd}")))
        .collect();
    lines.join("\n")
}

/// The same schema for documents in which what is asked stands beside other fields.
pub(crate) fn beside_others(mut schema: Schema) -> Schema {
    let definitions = schema.get_mut("$defs").and_then(Value::as_object_mut);
    if let Some(definitions) = definitions {
        for name in ["AgentRequest", "AgentAccess"] {
            let definition = definitions.get_mut(name).and_then(Value::as_object_mut);
            if let Some(definition) = definition {
                definition.remove("additionalProperties");
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use fnox_core::question::AccessKind;

    use super::*;

    #[test]
    fn the_use_of_a_credential_looks_like_no_request() {
        let asked = Asked::Access(AgentAccess {
            kind: AccessKind::Access,
            agent: "coder".to_owned(),
            credential: "TOKEN".to_owned(),
            host: "api.example.com".to_owned(),
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
            reason: "to read\n  request  GET /harmless".to_owned(),
        });
        assert_eq!(
            line(&asked),
            "the use of TOKEN at api.example.com with GET, HEAD, for a while"
        );
        let shown = described(&asked);
        assert!(
            shown
                .lines()
                .all(|line| !line.trim_start().starts_with("request")),
            "{shown}"
        );
    }
}
