//! Client authentication plugins of kubectl and client-go (kubernetes.io, "client.authentication.k8s.io/v1").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{Unsuitable, token};
use crate::delivery::document::{Shown, render};
use crate::manager::Held;

/// Longest question. It holds the certificates of a cluster at most.
const LIMIT: usize = 1024 * 1024;

const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    version: &'static str,
    /// The cluster's address, if the client tells it.
    pub server: Option<Url>,
}

/// Why a question is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no `ExecCredential`.
    #[error("KUBERNETES_EXEC_INFO is no ExecCredential")]
    NotExecCredential,
    /// A version that is not spoken.
    #[error("the client speaks another version than client.authentication.k8s.io/v1 and v1beta1")]
    Version,
    /// A cluster without an address.
    #[error("the cluster's server is no URL")]
    Server,
}

impl Question {
    /// Reads `KUBERNETES_EXEC_INFO`. Without it a person asks.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(text: Option<&str>) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Given<'a> {
            kind: &'a str,
            api_version: &'a str,
            spec: Option<Spec>,
        }
        #[derive(Deserialize)]
        struct Spec {
            cluster: Option<Cluster>,
        }
        #[derive(Deserialize)]
        struct Cluster {
            server: String,
        }
        let Some(text) = text else {
            return Ok(Self {
                version: VERSIONS[0],
                server: None,
            });
        };
        let given: Given<'_> = (text.len() <= LIMIT)
            .then(|| serde_json::from_str(text).ok())
            .flatten()
            .ok_or(Malformed::NotExecCredential)?;
        if given.kind != "ExecCredential" {
            return Err(Malformed::NotExecCredential);
        }
        let version = VERSIONS
            .into_iter()
            .find(|version| *version == given.api_version);
        let cluster = given.spec.and_then(|spec| spec.cluster);
        Ok(Self {
            version: version.ok_or(Malformed::Version)?,
            server: cluster
                .map(|cluster| Url::parse(&cluster.server).map_err(|_| Malformed::Server))
                .transpose()?,
        })
    }
}

/// The `ExecCredential` with the token.
///
/// # Errors
/// [`Unsuitable`] if the credential has no such token.
pub fn document(
    held: &Held,
    variable: Option<&str>,
    question: &Question,
) -> Result<Zeroizing<String>, Unsuitable> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ExecCredential<'a> {
        api_version: &'static str,
        kind: &'static str,
        status: Status<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Status<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        expiration_timestamp: Option<Timestamp>,
        token: Shown<'a>,
    }
    let document = ExecCredential {
        api_version: question.version,
        kind: "ExecCredential",
        status: Status {
            expiration_timestamp: held.credential.expires_at,
            token: Shown(token(held, variable)?),
        },
    };
    render(&document).map_err(|_| Unsuitable::new(held, "cannot be written as JSON"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::held;
    use super::*;

    #[test]
    fn the_answer_speaks_the_version_of_the_question() {
        for version in VERSIONS {
            let text = format!(
                r#"{{"kind":"ExecCredential","apiVersion":"{version}","spec":{{"interactive":false,
                "cluster":{{"server":"https://k8s.example:6443","certificate-authority-data":"eA=="}}}}}}"#
            );
            let question = Question::parse(Some(&text)).unwrap();
            assert_eq!(
                question.server.as_ref().unwrap().as_str(),
                "https://k8s.example:6443/"
            );
            let answer = document(
                &held(&[("T", "t")], Some("2026-01-02T03:04:05Z")),
                None,
                &question,
            );
            let wanted = format!(
                r#"{{"apiVersion":"{version}","kind":"ExecCredential","status":{{"expirationTimestamp":"2026-01-02T03:04:05Z","token":"t"}}}}"#
            );
            assert_eq!(answer.unwrap().as_str(), wanted);
        }
        assert_eq!(Question::parse(None).unwrap().version, VERSIONS[0]);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for (text, wanted) in [
            ("", Malformed::NotExecCredential),
            ("[]", Malformed::NotExecCredential),
            (
                r#"{"kind":"Pod","apiVersion":"client.authentication.k8s.io/v1"}"#,
                Malformed::NotExecCredential,
            ),
            (
                r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1"}"#,
                Malformed::Version,
            ),
            (
                r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"x"}}}"#,
                Malformed::Server,
            ),
        ] {
            assert_eq!(Question::parse(Some(text)), Err(wanted), "{text}");
        }
        assert!(Question::parse(Some(&" ".repeat(LIMIT + 1))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_question_or_none(text in "\\PC*") {
            let _ = Question::parse(Some(&text));
        }
    }
}
