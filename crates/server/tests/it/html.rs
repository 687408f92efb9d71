//! The pages' HTML, with requests of people who want to deceive.

use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_api::{Approval, ApprovalStatus, Decision, DecisionView, Problem, ProblemCode};
use fnox_server::page::{
    ApprovalPage, CodeEntry, DecidedPage, FormMessage, GonePage, ListEntry, ListPage, LoginPage,
    ProblemPage, respond, security_headers,
};
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use crate::notices::{
    access, approval, assert_tame, hostile, hostile_access, hostile_question, now, question,
};

fn page(approval: &Approval) -> ApprovalPage<'_> {
    ApprovalPage {
        approval,
        nonce: "nonce-1",
        action_url: "/a/fxa_link",
        entry: CodeEntry::Type,
        message: None,
        person: None,
        now: now(),
    }
}

/// The page without its style sheet.
fn body(html: &str) -> &str {
    html.split_once("</style>").unwrap().1
}

fn decided(status: ApprovalStatus, decision: Decision) -> Approval {
    let mut approval = approval();
    approval.status = status;
    approval.decisions.push(DecisionView {
        by: "link holder".to_owned(),
        decision,
        at: now() - SignedDuration::from_secs(70),
        reason: None,
    });
    approval
}

fn status_word(status: ApprovalStatus) -> &'static str {
    match status {
        ApprovalStatus::Denied => "denied",
        _ => "approved",
    }
}

/// Every page, with the worst that a request can be.
fn all_pages() -> Vec<String> {
    let (hostile, mut over) = (hostile(), hostile());
    over.status = ApprovalStatus::Denied;
    over.decisions.push(DecisionView {
        by: "<i>ann</i>".to_owned(),
        decision: Decision::Deny,
        at: now(),
        reason: Some("<u>\u{202e}why</u>".to_owned()),
    });
    let codes = ["ABC123", "DEF456", "\"><b>"].map(str::to_owned);
    let choose = ApprovalPage {
        entry: CodeEntry::Choose(&codes),
        message: Some(FormMessage::StaleForm),
        person: Some("<em>ann</em>"),
        nonce: "\"><b>",
        action_url: "\"><b>",
        ..page(&hostile)
    };
    let entries = [&hostile, &over].map(|approval| ListEntry {
        approval,
        url: "\"><b>".to_owned(),
    });
    let list = ListPage {
        person: "<em>ann</em>",
        logout_nonce: "\"><b>",
        entries: &entries,
        now: now(),
    };
    let login = LoginPage {
        login_url: "\"><b>",
        message: Some("<b>no</b>"),
    };
    let mut bad = Problem::new(ProblemCode::Internal).with_detail("<b>\u{202e}no</b>");
    bad.title = "<b>no</b>".to_owned();
    let problem = ProblemPage {
        problem: &bad,
        retry_url: Some("\"><b>"),
        logout_nonce: Some("\"><b>"),
    };
    let ended = DecidedPage {
        approval: &over,
        already: true,
        now: now(),
    };
    let asked = hostile_question();
    let mut answered = hostile_question();
    answered.status = ApprovalStatus::Fetched;
    let answered = DecidedPage {
        approval: &answered,
        already: true,
        now: now(),
    };
    let access = hostile_access();
    let mut used = hostile_access();
    used.status = ApprovalStatus::Denied;
    let used = DecidedPage {
        approval: &used,
        already: true,
        now: now(),
    };
    vec![
        page(&asked).render(),
        answered.render(),
        page(&access).render(),
        used.render(),
        page(&hostile).render(),
        choose.render(),
        ended.render(),
        list.render(),
        login.render(),
        problem.render(),
        GonePage.render(),
    ]
}

#[test]
fn a_request_is_shown_whole_with_one_form() {
    let approval = approval();
    let html = page(&approval).render();
    insta::assert_snapshot!(body(&html));
}

#[test]
fn a_hostile_request_stays_text() {
    let hostile = hostile();
    let html = page(&hostile).render();
    insta::assert_snapshot!(body(&html));
}

#[test]
fn no_page_has_scripts_foreign_markup_or_hidden_characters() {
    for html in all_pages() {
        let body = body(&html);
        assert_tame(body);
        let lower = body.to_lowercase();
        for part in [
            "<script",
            "<b>",
            "<i>",
            "<u>",
            "<em>",
            "<textarea",
            "<iframe",
            "<img",
            "<!channel",
            "javascript:",
            " style=",
            " onmouseover='",
            "<form action",
            "autofocus>",
        ] {
            assert!(!lower.contains(part), "{part} in {body}");
        }
        for handler in lower.split('<').skip(1) {
            let tag = handler.split('>').next().unwrap();
            assert!(!tag.contains(" on"), "{tag}");
        }
    }
}

#[test]
fn the_form_posts_a_nonce_a_code_and_one_of_two_decisions() {
    let approval = approval();
    let html = page(&approval).render();
    assert_eq!(html.matches("<form").count(), 1);
    for part in [
        "method=\"post\" action=\"/a/fxa_link\"",
        "name=\"nonce\" value=\"nonce-1\"",
        "name=\"code\"",
        "name=\"decision\" value=\"approve\"",
        "name=\"decision\" value=\"deny\"",
    ] {
        assert_eq!(html.matches(part).count(), 1, "{part}");
    }
    // The first button is what the Enter key presses.
    let first = html.split("<button").nth(1).unwrap();
    assert!(first.split('>').next().unwrap().contains(" disabled"));
}

#[test]
fn a_question_is_shown_with_what_a_yes_may_cover() {
    let mut asked = question();
    let html = page(&asked).render();
    for part in [
        "<h1><bdi>coder-1</bdi> wants to send <bdi>POST to api.github.com</bdi></h1>",
        "<code>POST https://api.github.com/repos/acme/app/pulls?draft=1</code>",
        "120 bytes",
        "verified by <bdi>its token</bdi>",
        "<option value=\"0\">this request, once</option>",
        "<option value=\"900\">this very request for 15 minutes</option>",
    ] {
        assert_eq!(html.matches(part).count(), 1, "{part} in {}", body(&html));
    }
    assert_eq!(html.matches("<option").count(), 3);
    assert!(!body(&html).contains("Secrets") && !body(&html).contains("Command"));
    if let Some(question) = &mut asked.question {
        question.longest_seconds = 0;
    }
    let html = page(&asked).render();
    assert!(!html.contains("<select") && html.contains("A yes is for this request, once."));
}

#[test]
fn the_use_of_a_credential_is_shown_as_no_single_request() {
    let mut asked = access();
    let html = page(&asked).render();
    for part in [
        "<h1><bdi>coder-1</bdi> wants to use <bdi>GITHUB_TOKEN at uploads.github.com</bdi></h1>",
        "<code>GITHUB_TOKEN at https://uploads.github.com with GET, HEAD</code>",
        "The use of a credential",
        "in the agent’s own words",
        "This is no single request",
        "<option value=\"300\">all such requests for 5 minutes</option>",
        "<option value=\"900\" selected>all such requests for 15 minutes</option>",
    ] {
        assert_eq!(html.matches(part).count(), 1, "{part} in {}", body(&html));
    }
    assert_eq!(html.matches("<option").count(), 2);
    assert!(!body(&html).contains(", once") && !body(&html).contains("SHA-256"));
    if let Some(question) = &mut asked.question {
        question.longest_seconds = 120;
    }
    let html = page(&asked).render();
    assert!(!html.contains("<select"));
    assert!(html.contains("A yes is for all such requests for 2 minutes."));
}

#[test]
fn choosing_offers_each_code_once() {
    let approval = approval();
    let codes = ["ABC123", "DEF456", "GHJ789"].map(str::to_owned);
    let page = ApprovalPage {
        entry: CodeEntry::Choose(&codes),
        ..page(&approval)
    };
    let html = page.render();
    assert_eq!(html.matches("type=\"radio\" name=\"code\"").count(), 3);
    assert!(!html.contains(" checked"));
}

#[test]
fn what_is_not_shown_is_said() {
    let mut large = approval();
    large.command_display = format!("echo {}; rm -rf /", " ".repeat(20_000));
    large.requester.facts[2].1 = "x".repeat(10_240);
    let html = page(&large).render();
    assert!(html.contains("12015 more characters are not shown. Deny what you cannot read."));
    assert!(html.contains("… 9940 more characters are not shown"));
    assert!(html.len() < 40_000, "{}", html.len());
}

#[test]
fn a_decided_request_says_who_and_when_and_has_no_form() {
    for (status, decision, title) in [
        (
            ApprovalStatus::Approved,
            Decision::Approve,
            "<h1>Approved</h1>",
        ),
        (
            ApprovalStatus::Fetched,
            Decision::Approve,
            "<h1>Approved and used</h1>",
        ),
        (ApprovalStatus::Denied, Decision::Deny, "<h1>Denied</h1>"),
        (
            ApprovalStatus::Expired,
            Decision::Approve,
            "<h1>Expired</h1>",
        ),
        (
            ApprovalStatus::Cancelled,
            Decision::Approve,
            "<h1>Cancelled</h1>",
        ),
    ] {
        let approval = decided(status, decision);
        for already in [false, true] {
            let page = DecidedPage {
                approval: &approval,
                already,
                now: now(),
            };
            let html = page.render();
            let before = html.contains(&format!("Already {} by link holder.", status_word(status)));
            let decided = !matches!(status, ApprovalStatus::Expired | ApprovalStatus::Cancelled);
            assert_eq!(before, already && decided);
            assert!(html.contains(title), "{title}");
            assert!(html.contains("link holder") && html.contains("2027-01-15 07:58:50 UTC"));
            assert!(!html.contains("<form"));
            assert_eq!(html.contains("Nothing has changed now."), already);
        }
    }
    let mut first = decided(ApprovalStatus::Pending, Decision::Approve);
    first.approvals_needed = 2;
    let page = DecidedPage {
        approval: &first,
        already: true,
        now: now(),
    };
    let html = page.render();
    assert!(html.contains("1 of 2 have said yes") && !html.contains("Nothing has changed now."));
}

#[test]
fn the_policy_allows_this_style_sheet_and_forms_to_this_server() {
    let html = GonePage.render();
    let style = html
        .split_once("<style>")
        .unwrap()
        .1
        .split_once("</style>")
        .unwrap()
        .0;
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let answer = respond(StatusCode::NOT_FOUND, html.clone());
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        answer.headers()[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    for (name, value) in security_headers() {
        assert_eq!(answer.headers()[&name], value);
    }
    assert_eq!(
        answer.headers()[header::CONTENT_SECURITY_POLICY],
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
    );
    for (name, value) in [
        ("cache-control", "no-store, no-transform"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow, noarchive"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
}

#[test]
fn colours_of_both_schemes_have_enough_contrast() {
    let html = GonePage.render();
    let style = html.split_once("<style>").unwrap().1;
    let mut schemes = style.split(":root {").skip(1);
    for scheme in [schemes.next().unwrap(), schemes.next().unwrap()] {
        let colour = |name: &str| {
            let at = scheme.split_once(&format!("--{name}: #")).unwrap().1;
            luminance(&at[..6])
        };
        for (front, back) in [
            ("text", "page"),
            ("text", "card"),
            ("quiet", "page"),
            ("quiet", "card"),
            ("yes", "yes-soft"),
            ("no", "no-soft"),
            ("warn", "warn-soft"),
            ("card", "yes"),
            ("no", "card"),
            ("accent", "card"),
            ("on-accent", "accent"),
            ("text", "line"),
        ] {
            let (front_light, back_light) = (colour(front), colour(back));
            let (light, dark) = (front_light.max(back_light), front_light.min(back_light));
            // WCAG 2.2, success criterion 1.4.3.
            let contrast = (light + 0.05) / (dark + 0.05);
            assert!(contrast >= 4.5, "{front} on {back}: {contrast}");
        }
    }
}

/// WCAG 2.2, "relative luminance".
fn luminance(colour: &str) -> f64 {
    let channels = hex::decode(colour).unwrap();
    let linear = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(channels[0]) + 0.7152 * linear(channels[1]) + 0.0722 * linear(channels[2])
}
