//! `capture`: a program signs in at an OAuth server and never holds a token.

use fnox_testkit::Run;

use crate::agent_support::{Project, VALUE};
use crate::support;

/// The client's name at the server; its secret is [`VALUE`].
const CLIENT: &str = "client";

/// A project that may ask the upstream's OAuth server for tokens and use them there.
pub(crate) fn project() -> Project {
    let project = Project::new(&format!(
        "paths = [\"/oauth/*\"]\nusername = \"{CLIENT}\"\ninject = \"set\"\ncapture = [\"access_token\", \"refresh_token\"]"
    ));
    project.upstream.register(CLIENT, VALUE);
    project
}

/// Neither the secret nor any token is in what the program got, or in a file.
#[track_caller]
fn assert_no_token(project: &Project, count: usize, run: &Run) {
    let tokens = project.upstream.issued_tokens();
    assert_eq!(tokens.len(), count, "{run}");
    for token in tokens.iter().map(String::as_str).chain([VALUE]) {
        project.sandbox.assert_no_leak(token, &[run]);
        for file in std::fs::read_dir(project.sandbox.project()).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() && !path.ends_with("fnox.toml") {
                let text = std::fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&text);
                assert!(!text.contains(token), "{}", path.display());
            }
        }
    }
}

#[test]
fn curl_signs_in_renews_and_never_holds_a_token() {
    let project = project();
    let run = project
        .agent(
            "member() { sed -n \"s/.*\\\"$1\\\":\\\"\\([^\\\"]*\\)\\\".*/\\1/p\" $2; }\n\
             curl -fsS -D head -o first $URL/oauth/token -d grant_type=authorization_code -d code=the-code\n\
             curl -fsS -H \"Authorization: Bearer $(member access_token first)\" $URL/oauth/resource; echo\n\
             curl -fsS -o second $URL/oauth/token -d grant_type=refresh_token -d refresh_token=$(member refresh_token first)\n\
             curl -fsS -H \"Authorization: Bearer $(member access_token second)\" $URL/oauth/resource; echo\n\
             curl -sS -o /dev/null -w '%{http_code}\\n' -H \"X-Token: $(member access_token second)\" $URL/oauth/resource\n\
             cat head first second",
        )
        .finish()
        .succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].contains("\"resource\":\"yes\""), "{run}");
    assert!(lines[1].contains("\"resource\":\"yes\""), "{run}");
    assert_eq!(lines[2], "403");
    assert_no_token(&project, 4, &run);
}

#[test]
fn an_answer_that_cannot_be_searched_is_refused_with_what_helps() {
    let project = project();
    let form = "access_token=fresh-secret-0123456789&token_type=bearer";
    let answer = fnox_testkit::stand_in::Prepared::new(200, form);
    project.upstream.prepare("/oauth/form", answer);
    let run = project
        .agent("curl -sS -w '%{http_code}\\n' $URL/oauth/form -d code=1")
        .finish()
        .succeeds();
    assert!(run.stdout.contains("502"), "{run}");
    assert!(run.stdout.contains("it is no JSON"), "{run}");
    assert!(run.stdout.contains("Accept: application/json"), "{run}");
    project
        .sandbox
        .assert_no_leak("fresh-secret-0123456789", &[&run]);
}

#[test]
fn where_a_token_goes_is_shown_and_checked() {
    let project = Project::new("capture = [\"token\"]\ncapture_hosts = [\"api.example.com\"]");
    let text = support::ok(&project.sandbox, &["agent", "rules"]);
    assert!(
        text.contains("capture=token capture_hosts=api.example.com"),
        "{text}"
    );
    for (keys, reason) in [
        ("capture_hosts = [\"api.example.com\"]", "which is missing"),
        ("capture = [\"\"]", "has a name that is empty"),
        (
            "capture = [\"a\"]\ncapture_hosts = [\"*\"]",
            "names no host",
        ),
        (
            "capture = [\"a\"]\ncapture_hosts = [\"*.co.uk\"]",
            "unrelated people",
        ),
    ] {
        let project = Project::new(keys);
        let text = support::fails(&project.sandbox, 3, &["agent", "rules"]);
        assert!(text.contains(reason), "{keys}: {text}");
    }
}
