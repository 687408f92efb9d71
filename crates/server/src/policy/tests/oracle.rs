//! The policy against another reader of the same files, and the matcher against a plain definition.

use std::io::Write as _;
use std::process::Command;

use fnox_core::Env;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::policy::Pattern;

/// What a pattern means, said again: by trying every way to share the text out.
fn means(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| means(rest, &text[at..])),
        [b'*', rest @ ..] => (0..=text.len())
            .take_while(|at| !text[..*at].contains(&b'/'))
            .any(|at| means(rest, &text[at..])),
        [byte, rest @ ..] => text.first() == Some(byte) && means(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn a_pattern_means_what_the_definition_says(pattern in "[ab/*]{1,8}", text in "[ab/]{0,10}") {
        if let Ok(parsed) = Pattern::parse(&pattern) {
            prop_assert_eq!(parsed.matches(&text), means(pattern.as_bytes(), text.as_bytes()));
        } else {
            prop_assert!(pattern.contains("***"));
        }
    }

    #[test]
    fn a_text_without_stars_means_itself_and_nothing_else(one in "[^*\\p{Cc}]{1,20}", other in "\\PC{0,20}") {
        let pattern = Pattern::parse(&one).unwrap();
        prop_assert!(pattern.matches(&one));
        prop_assert_eq!(pattern.matches(&other), one == other);
    }

    #[test]
    fn one_star_never_stands_for_a_slash(prefix in "[a-z/]{0,6}", middle in "[a-z]{0,3}/[a-z]{0,3}") {
        let pattern = Pattern::parse(&format!("{prefix}*")).unwrap();
        let text = format!("{prefix}{middle}");
        prop_assert!(!pattern.matches(&text));
    }

    #[test]
    fn reading_any_text_ends_without_a_panic(text in "(\\[\\[rule\\]\\]|[a-z_]+ = |\"|\\[|\\]|\\{|\\}|,|\n|[a-z*/]|refs){0,40}") {
        let _ = Policy::parse(&text, &issuers()).map_err(|error| error.to_string());
    }
}

/// A pattern of many stars must not make a decision slow, whatever text a token brings.
#[test]
fn many_stars_take_no_more_than_their_product() {
    let pattern = Pattern::parse(&"*a".repeat(500)).unwrap();
    assert!(!pattern.matches(&"a".repeat(499)));
    assert!(pattern.matches(&"a".repeat(5000)));
    assert!(!pattern.matches(&format!("{}b", "a".repeat(5000))));
}

const REFS: [&str; 12] = [
    "refs/heads/main",
    "refs/heads/main-evil",
    "refs/heads/release-1",
    "refs/heads/release/1",
    "refs/heads/a/b/c",
    "refs/tags/main",
    "refs/tags/v1",
    "refs/pull/1/merge",
    "refs/heads/Main",
    "refs/heads/ma\u{ef}n",
    "main",
    "",
];
const REF_PATTERNS: [&str; 10] = [
    "refs/heads/main",
    "refs/heads/*",
    "refs/heads/**",
    "refs/tags/v*",
    "refs/heads/release-*",
    "refs/*/main",
    "refs/heads/**/c",
    "refs/heads/m*n",
    "refs/**/m*",
    "refs/heads/release/*",
];
const EVENT_NAMES: [&str; 7] = [
    "push",
    "workflow_dispatch",
    "schedule",
    "pull_request",
    "pull_request_target",
    "issue_comment",
    "release",
];
const KEYS: [&str; 6] = [
    "NPM_TOKEN",
    "NPM_",
    "AWS_KEY",
    "npm_token",
    "A",
    "XNPM_TOKEN",
];
const KEY_PATTERNS: [&str; 6] = ["NPM_*", "*", "AWS_KEY", "*_TOKEN", "A*", "N**N"];

/// A list of one to three of some words, in TOML.
fn list(rng: &mut StdRng, words: &[&str]) -> String {
    let count = rng.random_range(1..=3);
    let words: Vec<String> = (0..count)
        .filter_map(|_| words.choose(rng))
        .map(|word| format!("\"{word}\""))
        .collect();
    format!("[{}]", words.join(", "))
}

fn pick<'a>(rng: &mut StdRng, words: &[&'a str]) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}

/// A policy of one to four rules for GitHub.
fn random_policy(rng: &mut StdRng) -> String {
    let mut text = String::new();
    for _ in 0..rng.random_range(1..=4) {
        text.push_str("[[rule]]\nissuer = \"github\"\n");
        let line = format!("repository_id = \"{}\"\n", rng.random_range(1..=3));
        text.push_str(&line);
        let mut line = |chance: f64, key: &str, value: String, rng: &mut StdRng| {
            if rng.random_bool(chance) {
                text.extend([key, " = ", &value, "\n"]);
            }
        };
        let refs = list(rng, &REF_PATTERNS);
        line(1.0, "refs", refs, rng);
        let owner = format!("\"{}\"", rng.random_range(7..=8));
        line(0.3, "repository_owner_id", owner, rng);
        let name = format!("\"{}\"", pick(rng, &["acme/app", "ACME/other"]));
        line(0.5, "repository", name, rng);
        let environments = list(rng, &["prod", "prod-*", "*"]);
        line(0.3, "environments", environments, rng);
        let workflows = list(
            rng,
            &["acme/app/**@refs/heads/main", "acme/*/*.yml@refs/**"],
        );
        line(0.3, "workflows", workflows, rng);
        let events = list(rng, &EVENT_NAMES);
        line(0.4, "events", events, rng);
        let claims = pick(
            rng,
            &[
                "{ actor_id = [\"1*\", \"2\"] }",
                "{ flag = [true] }",
                "{ number = [7], actor_id = [\"2\"] }",
            ],
        );
        line(0.3, "claims", claims.to_owned(), rng);
        line(0.5, "require_approval", "false".to_owned(), rng);
        let projects = list(rng, &["my-app", "my-*", "other"]);
        line(1.0, "projects", projects, rng);
        let profiles = list(rng, &["default", "prod*", "*"]);
        line(0.4, "profiles", profiles, rng);
        let keys = list(rng, &KEY_PATTERNS);
        line(1.0, "keys", keys, rng);
    }
    text
}

/// A value of the right type most of the time.
fn value(rng: &mut StdRng, words: &[&str]) -> Value {
    let text = if rng.random_bool(0.4) {
        words.first().copied().unwrap_or_default()
    } else {
        pick(rng, words)
    };
    match rng.random_range(0..150) {
        0 => json!([text]),
        1 => json!(7),
        2 => json!(true),
        3 => Value::Null,
        _ => json!(text),
    }
}

fn random_claims(rng: &mut StdRng) -> Value {
    let mut claims = serde_json::Map::new();
    claims.insert("sub".to_owned(), json!("repo:acme/app:ref:refs/heads/main"));
    let words: [(&str, &[&str]); 9] = [
        ("repository_id", &["1", "2", "3", "4"]),
        ("repository_owner_id", &["7", "8"]),
        ("repository", &["acme/app", "acme/OTHER", "x/y"]),
        ("ref", &REFS),
        ("environment", &["prod", "prod-1", "prod/1", "dev"]),
        (
            "job_workflow_ref",
            &[
                "acme/app/.github/workflows/a.yml@refs/heads/main",
                "acme/app/a.yml@refs/heads/dev",
                "acme/x.yml@refs/tags/v1",
            ],
        ),
        ("event_name", &EVENT_NAMES),
        ("actor_id", &["1", "12", "2", "3"]),
        ("flag", &["true"]),
    ];
    for (claim, words) in words {
        if rng.random_bool(0.98) {
            let value = value(rng, words);
            claims.insert(claim.to_owned(), value);
        }
    }
    claims.insert("number".to_owned(), json!(rng.random_range(6..=8)));
    if rng.random_bool(0.5) {
        claims.insert("flag".to_owned(), json!(true));
    }
    Value::Object(claims)
}

/// What this policy says, in the words of the other reader.
fn verdict(policy: &Policy, subject: &Subject, ask: &[&str; 3]) -> Value {
    let [project, profile, key] = ask;
    let permit = policy.permit(subject, project, profile, key).ok();
    let admission = policy.admit(subject);
    json!({
        "rule": permit.as_ref().map(|permit| permit.rule.clone()),
        "require_approval": permit.map(|permit| permit.require_approval),
        "admitted": admission.is_ok(),
        "renamed": admission.as_ref().is_ok_and(|admission| admission.renamed.is_some()),
        "resurrection": admission.is_err_and(|denial| denial.is_resurrection()),
    })
}

#[test]
#[ignore = "needs python3"]
fn another_reader_of_the_same_files_decides_alike() {
    let cases: usize = Env::of_process()
        .var("FNOX_TEST_POLICY_CASES")
        .map_or(10_000, |text| text.parse().expect("a number"));
    let seed = Env::of_process()
        .var("FNOX_TEST_POLICY_SEED")
        .map_or(1, |text| text.parse().expect("a number"));
    let mut rng = StdRng::seed_from_u64(seed);
    let mut written = Vec::new();
    let mut ours = Vec::new();
    while ours.len() < cases {
        let text = random_policy(&mut rng);
        let policy = policy(&text);
        let mut tokens = Vec::new();
        for _ in 0..50 {
            let claims = random_claims(&mut rng);
            let ask = [
                pick(&mut rng, &["my-app", "my-", "other", "none"]),
                pick(&mut rng, &["default", "prod", "dev"]),
                pick(&mut rng, &KEYS),
            ];
            ours.push(verdict(
                &policy,
                &subject("github", Preset::Github, claims.clone()),
                &ask,
            ));
            tokens.push(json!({ "claims": claims, "ask": ask }));
        }
        written.push(json!({ "policy": text, "tokens": tokens }));
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&serde_json::to_vec(&written).unwrap())
        .unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracle/policy.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(file.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let theirs: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let case = &written[number / 50];
        assert_eq!(
            ours,
            theirs,
            "{}\n{}",
            case["policy"].as_str().unwrap(),
            case["tokens"][number % 50]
        );
    }
    // The comparison is worth something only if every outcome occurs.
    for outcome in ["admitted", "renamed", "resurrection", "require_approval"] {
        let count = ours.iter().filter(|it| it[outcome] == true).count();
        assert!(
            count * 200 > ours.len(),
            "{outcome}: {count} of {}",
            ours.len()
        );
    }
}
