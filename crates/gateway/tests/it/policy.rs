//! What leaves, by which rule, and what is told about the rest.

use fnox_core::{Host, VaultName};
use fnox_gateway::policy::{Egress, Policy};
use fnox_gateway::request::{Bound, Scheme, Via};
use fnox_gateway::rule::{
    Approve, Condition, ConditionPlace, CredentialRef, Hosts, PathGlob, Rule, Wildcard,
};
use fnox_gateway::{Reason, Refusal};
use http::{HeaderName, Method, Version};

use crate::support::{HOST, get, http1, parse_bound, reason};

fn rule(name: &str, hosts: &str) -> Rule {
    let credential = CredentialRef::Secret(VaultName::parse("TOKEN").unwrap());
    Rule::new(name, Hosts::parse(hosts).unwrap(), credential)
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy {
        rules,
        ..Policy::default()
    }
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn names(
    policy: &Policy,
    outcome: Result<fnox_gateway::request::CanonicalRequest, Refusal>,
) -> Vec<String> {
    let permit = policy.decide(&outcome.unwrap()).unwrap();
    permit
        .rules()
        .iter()
        .map(|rule| rule.name.clone())
        .collect()
}

#[test]
fn an_empty_policy_lets_nothing_out() {
    let policy = Policy::default();
    assert_eq!(
        reason(policy.admits(&host("api.example.com:443"))),
        Reason::NoRule
    );
    let refusal = policy.decide(&get("/")).unwrap_err();
    assert_eq!(refusal.reason, Reason::NoRule);
    assert_eq!(
        refusal.to_string(),
        "no rule reaches `api.example.com:443`\n\
         To reach it, somebody must add a rule with `domain = \"api.example.com:443\"`, or the host to \
         `allow_domains`."
    );
}

#[test]
fn a_rule_reaches_its_host_and_port_and_no_other() {
    let policy = policy(vec![rule("api", HOST)]);
    assert!(policy.admits(&host("api.example.com:443")).is_ok());
    for other in [
        "api.example.com:80",
        "example.com:443",
        "x.api.example.com:443",
    ] {
        assert_eq!(
            reason(policy.admits(&host(other))),
            Reason::NoRule,
            "{other}"
        );
    }
    assert_eq!(names(&policy, http1("DELETE", "/anything", &[])), ["api"]);
}

#[test]
fn the_nearest_rule_is_named_with_what_it_allows() {
    let mut read = rule("read", HOST);
    read.methods = vec![Method::GET, Method::HEAD];
    read.paths = vec![PathGlob::parse("/repos/acme/**").unwrap()];
    let mut write = rule("write", HOST);
    write.methods = vec![Method::POST];
    write.paths = vec![PathGlob::parse("/repos/acme/*/issues").unwrap()];
    let policy = policy(vec![write, read]);

    assert_eq!(names(&policy, http1("GET", "/repos/acme/x", &[])), ["read"]);
    assert_eq!(
        names(&policy, http1("POST", "/repos/acme/x/issues", &[])),
        ["write"]
    );
    let refusal = policy
        .decide(&http1("DELETE", "/repos/acme/x", &[]).unwrap())
        .unwrap_err();
    assert_eq!(refusal.reason, Reason::NotAllowed);
    assert_eq!(
        refusal.to_string(),
        "this method is not allowed on this path at `api.example.com:443` (rule `read`)\n\
         The rule allows GET, HEAD on /repos/acme/**. For more, somebody must change it."
    );
    let refusal = policy.decide(&get("/user/sesame")).unwrap_err();
    assert_eq!(refusal.rule.as_deref(), Some("write"));
    assert!(!refusal.to_json().contains("sesame"));
}

#[test]
fn a_path_is_judged_in_the_form_in_which_it_is_sent() {
    let mut only = rule("public", HOST);
    only.paths = vec![PathGlob::parse("/public/**").unwrap()];
    let policy = policy(vec![only]);
    assert_eq!(names(&policy, http1("GET", "/%70ublic/x", &[])), ["public"]);
    assert_eq!(reason(policy.decide(&get("/Public/x"))), Reason::NotAllowed);
    // The others are refused before they are judged.
    for target in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..;/admin",
    ] {
        assert!(http1("GET", target, &[]).is_err(), "{target}");
    }
}

#[test]
fn conditions_are_met_by_exactly_one_value() {
    let mut limited = rule("limited", HOST);
    limited.conditions = vec![
        Condition {
            place: ConditionPlace::Query("ref".to_owned()),
            value: Wildcard::new("feature/*"),
        },
        Condition {
            place: ConditionPlace::Header(HeaderName::from_static("x-scope")),
            value: Wildcard::new("read"),
        },
    ];
    let policy = policy(vec![limited]);
    let read = ("x-scope", "read");
    let decide = |target: &str, fields: &[(&str, &str)]| {
        policy
            .decide(&http1("GET", target, fields).unwrap())
            .map(|_| ())
    };
    assert!(decide("/?ref=feature/x&page=2", &[read]).is_ok());
    assert!(decide("/?%72ef=feature%2Fx", &[read]).is_ok());
    for (target, fields) in [
        ("/", &[read][..]),
        ("/?ref=main", &[read]),
        ("/?ref", &[read]),
        ("/?ref=feature/x&ref=main", &[read]),
        ("/?ref=main&%72ef=feature/x", &[read]),
        ("/?REF=feature/x", &[read]),
        ("/?ref=feature/x", &[]),
        ("/?ref=feature/x", &[("x-scope", "write")]),
        ("/?ref=feature/x", &[read, read]),
    ] {
        let outcome = decide(target, fields);
        assert_eq!(reason(outcome), Reason::NotAllowed, "{target} {fields:?}");
    }
}

#[test]
fn a_condition_reads_a_plus_sign_in_both_ways() {
    let mut limited = rule("limited", HOST);
    limited.conditions = vec![Condition {
        place: ConditionPlace::Query("q".to_owned()),
        value: Wildcard::new("a b"),
    }];
    let policy = policy(vec![limited]);
    assert!(policy.decide(&get("/?q=a%20b")).is_ok());
    assert!(policy.decide(&get("/?q=a+b")).is_err());
    // A name that may be `q q`, or another.
    assert!(policy.decide(&get("/?q=a%20b&q+q=x")).is_ok());
}

#[test]
fn a_body_may_be_as_long_as_the_rule_says() {
    let mut small = rule("small", HOST);
    small.body_limit = Some(10);
    let policy = policy(vec![small]);
    let post = |length| http1("POST", "/", &[("content-length", length)]).unwrap();
    assert_eq!(policy.decide(&post("10")).unwrap().body_limit(), Some(10));
    let refusal = policy.decide(&post("11")).unwrap_err();
    assert_eq!(refusal.reason, Reason::TooLarge);
    assert!(
        refusal.to_string().contains("at most 10 bytes"),
        "{refusal}"
    );
    // What does not say its length is counted as it comes.
    let chunked = http1("POST", "/", &[("transfer-encoding", "chunked")]).unwrap();
    assert_eq!(policy.decide(&chunked).unwrap().body_limit(), Some(10));
}

#[test]
fn hosts_without_a_rule_are_reached_without_a_credential_if_policy_says_so() {
    let open = Policy {
        allow_domains: vec![Hosts::parse("*.example.com").unwrap()],
        ..policy(vec![])
    };
    assert!(names(&open, http1("GET", "/", &[])).is_empty());
    assert_eq!(
        reason(open.admits(&host("example.net:443"))),
        Reason::NoRule
    );
    assert_eq!(
        reason(open.admits(&host("a.b.example.com:443"))),
        Reason::NoRule
    );

    let permissive = Policy {
        egress: Egress::Permissive,
        ..policy(vec![])
    };
    assert!(names(&permissive, http1("GET", "/", &[])).is_empty());
    assert!(permissive.admits(&host("example.net:8443")).is_ok());
}

#[test]
fn a_rule_limits_its_host_under_permissive_egress_too() {
    let mut read = rule("read", HOST);
    read.methods = vec![Method::GET];
    let permissive = Policy {
        egress: Egress::Permissive,
        ..policy(vec![read])
    };
    let post = http1("POST", "/", &[]).unwrap();
    assert_eq!(reason(permissive.decide(&post)), Reason::NotAllowed);
    let named = Policy {
        allow_domains: vec![Hosts::parse(HOST).unwrap()],
        ..permissive
    };
    assert!(named.decide(&post).unwrap().rules().is_empty());
}

#[test]
fn plain_http_does_not_leave_the_machine() {
    let all = Policy {
        egress: Egress::Permissive,
        ..policy(vec![rule("local", "localhost:8080")])
    };
    let decide = |name: &str| {
        let bound = Bound::new(Scheme::Http, host(name), Via::Absolute);
        let target = format!("http://{name}/");
        let request = parse_bound(&bound, Version::HTTP_11, "GET", &target, &[("host", name)]);
        all.decide(&request.unwrap())
            .map(|permit| permit.rules().len())
    };
    assert_eq!(decide("localhost:8080").unwrap(), 1);
    assert_eq!(decide("127.0.0.1:8080").unwrap(), 0);
    assert_eq!(decide("[::1]:8080").unwrap(), 0);
    for name in [
        "api.example.com",
        "10.0.0.1",
        "notlocalhost",
        "localhost.example.com",
    ] {
        assert_eq!(reason(decide(name)), Reason::NotAllowed, "{name}");
    }
}

#[test]
fn a_permit_says_who_must_be_asked() {
    let mut asked = rule("asked", HOST);
    asked.approve = Approve::Ask;
    let policy = policy(vec![rule("free", HOST), asked]);
    let request = get("/");
    let permit = policy.decide(&request).unwrap();
    assert_eq!(permit.rules().len(), 2);
    assert_eq!(permit.approval().unwrap().name, "asked");
}
