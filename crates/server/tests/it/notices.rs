//! Requests to tell people of, and such as somebody would make who wants to deceive them.

use fnox_api::{
    AccessKind, AgentAccess, AgentRequest, Approval, ApprovalItem, ApprovalStatus, Asked,
    AskedRequest, Requester,
};
use fnox_server::ServerKeys;
use fnox_server::notify::{Links, Notice};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// When all of it happens.
pub(crate) const NOW: &str = "2027-01-15T08:00:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn approval() -> Approval {
    let fact = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    Approval {
        id: Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001),
        status: ApprovalStatus::Pending,
        question: None,
        project: "my-app".to_owned(),
        profile: "default".to_owned(),
        items: vec![item("NPM_TOKEN", 7, true), item("SENTRY_DSN", 2, false)],
        command_display: "npm publish --access public".to_owned(),
        command_hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        reason: Some("Release 2.4.0".to_owned()),
        requester: Requester {
            issuer: "github".to_owned(),
            principal: "github:1296269".to_owned(),
            name: "octo-org/hello".to_owned(),
            facts: vec![
                fact("Repository", "octo-org/hello"),
                fact("Repository id", "1296269"),
                fact("Ref", "refs/heads/main"),
                fact("Commit", "4f2c1d9a7b3e5f60718293a4b5c6d7e8f9012345"),
                fact(
                    "Workflow",
                    "octo-org/hello/.github/workflows/release.yml@refs/heads/main",
                ),
                fact("Event", "push"),
                fact("Environment", "production"),
                fact("Actor", "ann"),
            ],
            run_url: Some("https://github.com/octo-org/hello/actions/runs/42".to_owned()),
        },
        address: Some("203.0.113.7".to_owned()),
        created_at: now() - SignedDuration::from_secs(25),
        expires_at: now() + SignedDuration::from_secs(575),
        approvals_needed: 1,
        decisions: Vec::new(),
    }
}

fn request() -> AgentRequest {
    AgentRequest {
        agent: "coder-1".to_owned(),
        rule: "2: GITHUB_TOKEN -> api.github.com".to_owned(),
        method: "POST".to_owned(),
        host: "api.github.com".to_owned(),
        target: "/repos/acme/app/pulls?draft=1".to_owned(),
        body_length: 120,
        body_sha256: "85a164a22c6e2ecd73ec0a7397aa33f23ea057da56aa94b6a5cac86023cef8af".to_owned(),
    }
}

/// The use of a credential that a gateway asks for.
pub(crate) fn access() -> Approval {
    about(AgentAccess {
        kind: AccessKind::Access,
        agent: "coder-1".to_owned(),
        credential: "GITHUB_TOKEN".to_owned(),
        host: "uploads.github.com".to_owned(),
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        reason: "to read the release's files".to_owned(),
    })
}

/// The same of an agent that deceives, or is deceived.
pub(crate) fn hostile_access() -> Approval {
    about(AgentAccess {
        kind: AccessKind::Access,
        agent: "<img src=x onerror=alert(1)>\u{202e}".to_owned(),
        credential: "\"><script>alert(1)</script>".to_owned(),
        host: "evil\u{202e}moc.<i>".to_owned(),
        methods: vec!["<b>GET</b>".to_owned()],
        reason: format!("</dd><form action=//evil>\n{}", "x".repeat(9000)),
    })
}

/// A question about this.
fn about(asked: impl Into<Asked>) -> Approval {
    let mut approval = question();
    if let Some(question) = &mut approval.question {
        question.request = asked.into();
    }
    approval
}

/// What a gateway asks.
pub(crate) fn question() -> Approval {
    let mut asked = approval();
    asked.question = Some(AskedRequest {
        request: request().into(),
        longest_seconds: 900,
        lasting_seconds: None,
    });
    asked.project.clear();
    asked.profile.clear();
    asked.items.clear();
    asked.command_display.clear();
    asked.command_hash.clear();
    asked.reason = None;
    asked.requester = Requester {
        issuer: "gateway".to_owned(),
        principal: "gateway:builders".to_owned(),
        name: "builders".to_owned(),
        facts: Vec::new(),
        run_url: None,
    };
    asked
}

/// A gateway that deceives, or is deceived.
pub(crate) fn hostile_question() -> Approval {
    about(AgentRequest {
        agent: "<img src=x onerror=alert(1)>\u{202e}".to_owned(),
        rule: "\"><script>alert(1)</script>\u{200b}".to_owned(),
        method: "<b>GET</b>".to_owned(),
        host: "evil\u{202e}moc.<i>".to_owned(),
        target: format!("/</code></pre><form action=//evil>\n?{}", "x".repeat(9000)),
        ..request()
    })
}

pub(crate) fn item(key: &str, version: u64, is_new: bool) -> ApprovalItem {
    ApprovalItem {
        key: key.to_owned(),
        version,
        ciphertext_sha256: "0123456789abcdef".repeat(4),
        needs_approval: true,
        is_new,
    }
}

/// Markup, terminal codes, text that runs backwards, line ends, and a branch of 10 kB.
pub(crate) fn hostile() -> Approval {
    let mut approval = approval();
    approval.requester.name = "octo/<script>alert(1)</script>".to_owned();
    approval.requester.run_url = Some("javascript:alert(1)".to_owned());
    approval.requester.facts = vec![
        (
            "Ref".to_owned(),
            format!("refs/heads/{}", "<b>x</b>".repeat(1280)),
        ),
        (
            "Actor".to_owned(),
            "\u{202e}nna\u{2066} \u{200b}\"onmouseover='x'".to_owned(),
        ),
        ("Event".to_owned(), "push\n\nVerified: yes".to_owned()),
    ];
    approval.command_display =
        "echo \u{1b}[2J\u{7}*bold* `code` <!channel> && curl evil\u{9b}1m\r\nrm -rf /".to_owned();
    approval.reason = Some("</textarea><form action=//evil> \u{2028} \0".to_owned());
    approval.items[0].key = "A&amp;B\" autofocus".to_owned();
    approval.address = Some("<203.0.113.7>".to_owned());
    approval
}

/// What may be in no message and on no page, whatever the request says.
pub(crate) fn assert_tame(text: &str) {
    for character in text.chars() {
        let fine = character == '\n' || !character.is_control();
        assert!(fine, "{character:?} in {text}");
        assert!(
            !('\u{2028}'..='\u{202e}').contains(&character)
                && !('\u{2060}'..='\u{206f}').contains(&character)
                && !('\u{200b}'..='\u{200f}').contains(&character),
            "{character:?} in {text}"
        );
    }
}

pub(crate) fn asked(approval: Approval) -> Notice {
    let links = Links {
        base: "https://fnox.example.com".to_owned(),
        keys: ServerKeys::parse(&ServerKeys::generate_line().unwrap()).unwrap(),
        approval: approval.id,
        expires_at: approval.expires_at,
    };
    Notice::Asked {
        approval: Box::new(approval),
        links,
    }
}

pub(crate) fn alarm(title: &str) -> Notice {
    Notice::Alarm {
        title: title.to_owned(),
        text: "A grant was used a second time.".to_owned(),
        approval: None,
    }
}
