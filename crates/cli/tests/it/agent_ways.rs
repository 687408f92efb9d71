//! `fnox agent run`: ways to the gateway besides HTTP, and what a rule can ask of a request and present to a server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_testkit::stand_in::Upstream;
use serde_json::{Value, json};

use crate::agent_support::{Project, VALUE};
use crate::support;

/// `$SOCKS` and `$WRONG` are the gateway by SOCKS, with its password and with another one.
const BY_SOCKS: &str = "SOCKS=socks5h://${HTTPS_PROXY#http://}; WRONG=socks5h://fnox:wrong@${HTTPS_PROXY##*@}; \
    unset HTTPS_PROXY https_proxy HTTP_PROXY http_proxy ALL_PROXY all_proxy; ";

/// As Java does: of SOCKS it asks for an address, and names the host in its handshake.
#[test]
fn who_resolves_names_itself_is_led_by_the_name_in_the_handshake() {
    let project = Project::new("paths = [\"/repos/**\"]");
    let script = format!(
        "{BY_SOCKS} SOCKS=socks5://${{SOCKS#socks5h://}}; auth=\"Authorization: Bearer $TOKEN\"; \
         curl -fsS -o /dev/null --proxy $SOCKS -H \"$auth\" $URL/repos/a; \
         curl -sS --proxy $SOCKS -H \"$auth\" $URL/user"
    );
    let printed = project.prints(&script);
    assert!(printed.contains("this path is not allowed"), "{printed}");
    let received = project.upstream.received();
    assert_eq!(received.len(), 1);
    let expected = format!("Bearer {VALUE}");
    assert_eq!(received[0].header("authorization"), Some(expected.as_str()));
}

#[test]
fn socks_leads_to_the_same_rules() {
    let project = Project::new("paths = [\"/repos/**\"]");
    let text = project.prints(&format!(
        "{BY_SOCKS} auth=\"Authorization: Bearer $TOKEN\"; \
         curl -fsS -o /dev/null --proxy $SOCKS -H \"$auth\" $URL/repos/a; \
         curl -sS --proxy $SOCKS -H \"$auth\" $URL/user; \
         curl -sS --proxy $SOCKS https://example.com/; \
         curl -sS --proxy $SOCKS http://example.com/; \
         curl -sS --proxy $WRONG $URL/repos/a || echo \"curl says $?\""
    ));
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.contains("this path is not allowed"), "{text}");
    assert!(text.contains("no rule reaches `example.com:443`"), "{text}");
    // A rule for this port would not help.
    assert!(
        text.contains("`example.com:80` would be reached without TLS"),
        "{text}"
    );
    assert_eq!(lines.last(), Some(&"curl says 97"), "{text}");
    let received = project.upstream.received();
    assert_eq!(received.len(), 1, "{text}");
    let authorization = format!("Bearer {VALUE}");
    assert_eq!(
        received[0].header("authorization"),
        Some(authorization.as_str())
    );
}

#[test]
fn nothing_leaves_the_machine_without_tls() {
    let project = Project::with("allow_domains = [\"plain.example.com:80\"]", "");
    let text = project.prints(&format!(
        "{BY_SOCKS} curl -sS --proxy $SOCKS http://plain.example.com/"
    ));
    assert!(
        text.contains("would be reached without TLS, which is only done on this machine"),
        "{text}"
    );
}

#[test]
fn without_its_password_nobody_is_led_anywhere() {
    let project = Project::new("");
    let text = project.prints(
        "port=${HTTPS_PROXY##*:}; \
         curl -sS --noproxy '*' -o /dev/null --connect-to ::127.0.0.1:$port https://localhost/a 2>/dev/null || echo \"curl says $?\"",
    );
    assert_eq!(text, "curl says 35\n");
}

#[test]
fn a_rule_asks_for_parameters_and_fields() {
    let project = Project::new(
        "when_query = { ref = \"main\" }\nwhen_headers = { x-api-version = \"2022-*\" }",
    );
    let text = project.prints(
        "get() { curl -sS -o /dev/null -w '%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\" \"$@\"; }; \
         get -H 'X-Api-Version: 2022-11' \"$URL/a?ref=main\"; \
         get -H 'X-Api-Version: 2021-11' \"$URL/a?ref=main\"; \
         get \"$URL/a?ref=main\"; \
         get -H 'X-Api-Version: 2022-11' \"$URL/a?ref=other\"; \
         get -H 'X-Api-Version: 2022-11' \"$URL/a?ref=main&ref=other\"",
    );
    assert_eq!(text, "200\n403\n403\n403\n403\n");
    assert_eq!(project.upstream.received().len(), 1);
}

#[test]
fn a_condition_on_what_is_no_field_is_named() {
    let project = Project::new("when_headers = { \"not a field\" = \"x\" }");
    let run = project.agent("true").finish();
    assert!(run.stderr.contains("when_headers"), "{}", run.stderr);
    assert_ne!(run.code, Some(0));
}

#[test]
fn tls_presents_a_certificate_that_the_program_never_holds() {
    let sandbox = support::sandbox();
    let (upstream, [identity]) = Upstream::mutual(["client"]);
    let authority = upstream.write_authority(&sandbox.project());
    let port = upstream.port();
    let rules = |secret: &str, inject: &str| {
        format!(
            "[secrets]\nIDENTITY = {{ default = '''{identity}''' }}\nOTHER = {{ default = \"no certificate\" }}\n\
             [proxy]\nallow_private = [\"127.0.0.1:{port}\"]\n\
             [[proxy.rules]]\nsecret = \"{secret}\"\ndomain = \"localhost\"\nport = {port}\nca_file = \"{}\"\n{inject}\n",
            authority.display()
        )
    };
    let call = |file: String| {
        sandbox.write("fnox.toml", file);
        let script =
            "env; curl -sS -w '%{http_code}' $URL/a; curl -fsS -o /dev/null $URL/b || true";
        let run = sandbox.run(["agent", "run", "--", "sh", "-euc", script]);
        let run = run.env("URL", upstream.url("")).finish().succeeds();
        assert!(!run.stdout.contains("PRIVATE KEY"), "{}", run.stdout);
        run.stdout
    };
    let text = call(rules("IDENTITY", "inject = \"client-certificate\""));
    assert!(text.ends_with("200"), "{text}");
    let targets: Vec<String> = upstream
        .received()
        .into_iter()
        .map(|it| it.target)
        .collect();
    assert_eq!(targets, ["/a", "/b"]);
    let text = call(rules("IDENTITY", ""));
    assert!(text.contains("the destination failed"), "{text}");
    let text = call(rules("OTHER", "inject = \"client-certificate\""));
    assert!(text.contains("has no certificate"), "{text}");
    assert_eq!(upstream.received().len(), 2);
}

/// A project whose one rule makes tokens with [`VALUE`] as their key.
fn signing(keys: &str) -> Project {
    Project::new(&format!("methods = [\"GET\"]\n{keys}"))
}

#[test]
fn a_program_without_a_token_gets_through_with_one_that_the_gateway_made() {
    let project = signing(
        "inject = \"jwt\"\n[proxy.rules.jwt]\nalgorithm = \"HS256\"\nissuer = \"me\"\naudience = [\"a\", \"b\"]\n\
         lifetime = \"2m\"\n[proxy.rules.jwt.claims]\nlevel = 3\nadmin = false\nbot = { id = 7, names = [\"x\"] }",
    );
    let text = project.prints("curl -fsS -i $URL/reflect/a; env");
    let received = project.upstream.received();
    let field = received[0].header("authorization").unwrap();
    // The header of a token: `{"typ":"JWT","alg":"HS256"}`.
    let begins = "Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.";
    assert!(field.starts_with(begins), "{field}");
    let (signed, signature) = field.rsplit_once('.').unwrap();
    assert!(!text.contains(signature) && !text.contains(VALUE), "{text}");
    let (_, claims) = signed.rsplit_once('.').unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (&claims["level"], &claims["admin"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(claims["bot"], json!({"id": 7, "names": ["x"]}));
}

#[test]
fn tokens_that_cannot_be_made_as_a_rule_says_are_errors_with_their_place() {
    for (keys, problem) in [
        ("inject = \"jwt\"", "`inject` makes tokens"),
        ("jwt = { algorithm = \"HS256\" }", "`jwt` is for"),
        (
            "inject = \"jwt\"\njwt = { algorithm = \"HS256\", lifetime = \"1h\" }",
            "`lifetime` must be from 1s to 5m",
        ),
        (
            "inject = \"jwt\"\njwt = { algorithm = \"HS256\", claims = { exp = \"never\" } }",
            "`claims` has `exp`",
        ),
        (
            "inject = \"jwt\"\njwt = { algorithm = \"HS256\", claims = { nbf = 0 } }",
            "`claims` has `nbf`",
        ),
        (
            "inject = \"jwt\"\njwt = { algorithm = \"HS256\", claims = { a = [1, 2026-01-01] } }",
            "`claims` has in `a` a date",
        ),
        (
            "inject = \"jwt\"\njwt = { algorithm = \"HS256\", claims = { a = { b = inf } } }",
            "`claims` has in `a` a number that JSON does not have",
        ),
        (
            "inject = \"jwt\"\njwt = { algorithm = \"HS256\", claims = \"a\" }",
            "`claims` must be a table",
        ),
        (
            "inject = \"jwt\"\njwt = { algorithm = \"none\" }",
            "algorithm",
        ),
    ] {
        let run = signing(keys).sandbox.run(["agent", "rules"]).finish();
        let run = run.exits_with(3);
        assert!(run.stderr.contains(problem), "{keys}: {run}");
    }
}

#[test]
fn the_doctor_sees_which_tools_use_the_gateway() {
    let sandbox = support::sandbox();
    let run = sandbox.run(["agent", "doctor", "--json", "curl", "git", "python3"]);
    let run = run.finish().succeeds();
    let reports = support::json(&run.stdout);
    for (report, tool) in reports
        .as_array()
        .unwrap()
        .iter()
        .zip(["curl", "git", "python3"])
    {
        assert_eq!(report["tool"], tool);
        assert_eq!(report["trial"], "works", "{report}");
    }
    // One that does not look at the variables, one that does not believe, and one that is not here.
    sandbox.write_program("wget", "#!/bin/sh\necho 'bad config line 7' >&2; exit 3\n");
    sandbox.write_program("ruby", "#!/bin/sh\nunset SSL_CERT_FILE CURL_CA_BUNDLE; exec curl -sS https://ruby.doctor.fnox.invalid/\n");
    let run = sandbox
        .run(["agent", "doctor", "--json", "wget", "ruby"])
        .finish();
    assert_eq!(run.code, Some(1));
    let reports = support::json(&run.stdout);
    assert_eq!(reports[0]["trial"], "passes_by", "{reports}");
    let detail = reports[0]["detail"].as_str().unwrap();
    assert!(detail.ends_with("It said: bad config line 7"), "{detail}");
    assert_eq!(reports[1]["trial"], "distrusts", "{reports}");
    assert!(run.stderr.contains("wget, ruby"), "{}", run.stderr);
    let run = sandbox.run(["agent", "doctor", "lynx"]).finish();
    assert!(run.stderr.contains("curl, wget, git"), "{}", run.stderr);
    assert_eq!(run.code, Some(2));
}
