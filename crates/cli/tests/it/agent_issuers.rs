//! `fnox agent run` with leases of several types: what their issuers make goes into requests, and nothing of it, nor of
//! what it is made with, into the program.

use fnox_testkit::stand_in::Upstream;

use crate::lease_issuers::Subject;

/// A program that sends its placeholder gets through with a token that the issuer of this type made.
#[track_caller]
fn goes_in(kind: &str, begins: &str) {
    let subject = Subject::new(kind);
    let upstream = Upstream::start();
    let sandbox = &subject.sandbox;
    let authority = upstream.write_authority(&sandbox.project());
    let (text, port) = (sandbox.read("fnox.toml"), upstream.port());
    sandbox.write(
        "fnox.toml",
        format!(
            "{text}\n[proxy]\nallow_private = [\"127.0.0.1:{port}\"]\n[[proxy.rules]]\nlease = \"x\"\n\
             domain = \"localhost\"\nport = {port}\nca_file = \"{}\"\nenv = \"TOKEN\"\n",
            authority.display()
        ),
    );
    let script = "curl -fsS -i -H \"Authorization: Bearer $TOKEN\" \"$URL/reflect/a\"; echo; env";
    let run = subject.run(&["agent", "run", "--", "sh", "-euc", script]);
    let run = run.env("URL", upstream.url("")).finish().succeeds();
    let received = upstream.received();
    assert_eq!(received.len(), 1, "{run}");
    let sent = received[0].header("authorization").unwrap();
    let token = sent.strip_prefix("Bearer ").unwrap();
    assert!(token.starts_with(begins), "{token}");
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(!all.contains(token), "{all}");
    assert!(run.stdout.contains("TOKEN="), "{run}");
    subject.no_master_in(&run);
}

#[test]
fn the_token_of_a_github_app() {
    goes_in("github-app", "ghs_");
}

#[test]
fn the_token_of_a_google_service_account() {
    goes_in("gcp-iam", "ya29.");
}

#[test]
fn the_token_of_an_oauth_client() {
    goes_in("oauth2-client-credentials", "token-1-of-the-server");
}

#[test]
fn the_token_of_an_azure_application() {
    goes_in("azure-token", "");
}

#[test]
fn the_token_of_a_gitlab_project() {
    goes_in("gitlab", "glpat-");
}
