//! The notifier, and ntfy, against the strict stand-in.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::{Clock, SecretString};
use fnox_server::ServerKeys;
use fnox_server::link::{Link, LinkPurpose, match_code};
use fnox_server::notify::{
    Notice, Notifier, NotifyError, NotifySetupError, ONE_TAP_PATH, random_topic,
};
use fnox_server::settings::{NotifySettings, NtfySettings};
use fnox_testkit::FakeClock;
use fnox_testkit::stand_in::ntfy::{Access, Behaviour, Ntfy};
use jiff::SignedDuration;
use serde_json::Value;

use crate::notices::{
    NOW, access, alarm, approval, asked, assert_tame, hostile, hostile_access, hostile_question,
    now, question,
};

const PUBLIC: &str = "https://fnox.example.com";

fn settings(ntfy: &Ntfy) -> NtfySettings {
    NtfySettings {
        url: ntfy.url().to_owned(),
        topic: "team".to_owned(),
        token: None,
        priority: 4,
        one_tap: false,
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(FakeClock::at(NOW))
}

fn notifier(settings: &[NtfySettings]) -> Notifier {
    let settings: Vec<_> = settings.iter().cloned().map(NotifySettings::Ntfy).collect();
    Notifier::new(&settings, PUBLIC, &clock()).unwrap()
}

/// The notice, and the keys that made its links.
fn asked_with_keys() -> (Notice, ServerKeys) {
    let notice = asked(approval());
    let Notice::Asked { links, .. } = &notice else {
        unreachable!("it was asked");
    };
    let keys = links.keys.clone();
    (notice, keys)
}

#[tokio::test]
async fn a_request_arrives_with_one_button_and_without_the_match_code() {
    let ntfy = Ntfy::start();
    let (notice, keys) = asked_with_keys();
    notifier(&[settings(&ntfy)]).send(notice);
    let message = ntfy.next_message().await;
    assert_eq!(
        message.title.as_deref(),
        Some("octo-org/hello asks for 2 secrets")
    );
    insta::assert_snapshot!(message.message);
    assert_eq!((message.topic.as_str(), message.priority), ("team", 4));
    assert_eq!((message.cache, message.firebase), (true, true));
    let [view] = message.actions.as_slice() else {
        panic!("{:?}", message.actions);
    };
    assert_eq!(view.action, "view");
    assert_eq!(message.click.as_ref(), Some(&view.url));
    let link = view
        .url
        .strip_prefix("https://fnox.example.com/a/")
        .unwrap();
    let link = Link::verify(&keys, link, now()).unwrap();
    assert_eq!((link.purpose, link.channel), (LinkPurpose::Page, 0));
    assert_eq!(
        (link.approval, link.expires_at),
        (approval().id, approval().expires_at)
    );
    let code = match_code(&keys, keys.current(), approval().id).unwrap();
    assert!(!format!("{message:?}").contains(&code));
}

#[tokio::test]
async fn a_question_arrives_with_its_path_and_without_its_query() {
    let ntfy = Ntfy::start();
    let notifier = notifier(&[settings(&ntfy)]);
    notifier.send(asked(question()));
    let message = ntfy.next_message().await;
    assert_eq!(
        message.title.as_deref(),
        Some("coder-1 wants to send POST to api.github.com")
    );
    for part in [
        "Asked by: builders (gateway:builders)",
        "Request (as the requester says): POST api.github.com",
        "Path (as the requester says): /repos/acme/app/pulls",
        "Query (as the requester says): 7 characters, on the page",
        "Body (as the requester says): 120 bytes",
        "Rule (as the requester says): 2: GITHUB_TOKEN -> api.github.com",
    ] {
        assert!(
            message.message.contains(part),
            "{part} in {}",
            message.message
        );
    }
    assert!(!message.message.contains("draft"), "{}", message.message);
    notifier.send(asked(hostile_question()));
    let message = ntfy.next_message().await;
    assert_tame(&message.message);
    assert_tame(message.title.as_deref().unwrap());
    assert_eq!(ntfy.refusals(), []);
}

#[tokio::test]
async fn the_use_of_a_credential_arrives_as_what_it_is() {
    let ntfy = Ntfy::start();
    let notifier = notifier(&[settings(&ntfy)]);
    notifier.send(asked(access()));
    let message = ntfy.next_message().await;
    assert_eq!(
        message.title.as_deref(),
        Some("coder-1 wants to use GITHUB_TOKEN at uploads.github.com")
    );
    for part in [
        "Asked by: builders (gateway:builders)",
        "Use of (as the requester says): GITHUB_TOKEN",
        "With (as the requester says): GET, HEAD",
        "The agent's reason (as the requester says): to read the release's files",
    ] {
        assert!(
            message.message.contains(part),
            "{part} in {}",
            message.message
        );
    }
    notifier.send(asked(hostile_access()));
    let message = ntfy.next_message().await;
    assert_tame(&message.message);
    assert_tame(message.title.as_deref().unwrap());
    assert_eq!(ntfy.refusals(), []);
}

#[tokio::test]
async fn a_channel_that_does_not_get_through_reaches_nobody() {
    let (ntfy, gone) = (Ntfy::start(), Ntfy::start());
    let closed = NtfySettings {
        url: "http://127.0.0.1:1".to_owned(),
        ..settings(&gone)
    };
    let notifier = notifier(&[closed, settings(&ntfy)]);
    assert_eq!(
        notifier.reached().await,
        ["ntfy", "ntfy 2"],
        "nothing was sent yet"
    );
    notifier.send(asked(access()));
    assert_eq!(notifier.reached().await, ["ntfy 2"]);
}

#[tokio::test]
async fn one_tap_puts_both_links_into_bodies_and_nothing_into_caches() {
    let ntfy = Ntfy::start();
    let (notice, keys) = asked_with_keys();
    let one_tap = NtfySettings {
        one_tap: true,
        ..settings(&ntfy)
    };
    let notifier = notifier(&[settings(&ntfy), one_tap]);
    notifier.send(notice);
    assert_eq!(notifier.reached().await, ["ntfy", "ntfy 2"]);
    let messages = [ntfy.next_message().await, ntfy.next_message().await];
    let message = messages.iter().find(|it| it.actions.len() == 3).unwrap();
    assert_eq!((message.cache, message.firebase), (false, false));
    let wanted = [LinkPurpose::Approve, LinkPurpose::Deny];
    for (action, purpose) in message.actions[1..].iter().zip(wanted) {
        assert_eq!(
            (action.action.as_str(), action.method.as_str()),
            ("http", "POST")
        );
        assert_eq!(action.url, format!("{PUBLIC}{ONE_TAP_PATH}"));
        let body: Value = serde_json::from_str(&action.body).unwrap();
        let link = Link::verify(&keys, body["link"].as_str().unwrap(), now()).unwrap();
        assert_eq!((link.purpose, link.channel), (purpose, 1));
    }
}

#[tokio::test]
async fn texts_of_others_stay_texts_and_fit() {
    let ntfy = Ntfy::start();
    let notifier = notifier(&[settings(&ntfy)]);
    notifier.send(asked(hostile()));
    let message = ntfy.next_message().await;
    assert_tame(&message.message);
    assert_tame(message.title.as_deref().unwrap());
    insta::assert_snapshot!(format!(
        "{}\n---\n{}",
        message.title.unwrap(),
        message.message
    ));

    let mut large = approval();
    large.items = (0..500)
        .map(|n| crate::notices::item(&format!("KEY_{n}"), n, true))
        .collect();
    large.command_display = "\u{1b}🚀".repeat(50_000);
    large.requester.facts = vec![("L".repeat(9000), "\u{202e}".repeat(9000)); 200];
    large.requester.name = "ü".repeat(9000);
    notifier.send(asked(large));
    let message = ntfy.next_message().await;
    assert!(
        message.message.contains("and 488 more"),
        "{}",
        message.message
    );
    assert_eq!(ntfy.refusals(), []);
}

#[tokio::test]
async fn a_token_is_sent_and_a_refusal_is_not_repeated() {
    let ntfy = Ntfy::start();
    ntfy.deny_anonymous();
    ntfy.allow("tk_good", "team", Access::Write);
    let with = |token: Option<&str>| NtfySettings {
        token: token.map(SecretString::from),
        ..settings(&ntfy)
    };
    let notifier = notifier(&[with(Some("tk_bad")), with(None), with(Some("tk_good"))]);
    notifier.send(asked(approval()));
    ntfy.next_message().await;
    notifier.drain().await;
    let mut codes: Vec<u32> = ntfy.refusals().iter().map(|it| it.code).collect();
    codes.sort_unstable();
    assert_eq!((codes, ntfy.requests()), (vec![40101, 40301], 3));
    assert!(!format!("{notifier:?}").contains("tk_"));
}

#[tokio::test]
async fn a_busy_or_broken_server_is_tried_again() {
    let ntfy = Ntfy::start();
    let notifier = notifier(&[settings(&ntfy)]);
    for (count, behaviour) in [
        Behaviour::Limited(0),
        Behaviour::InternalError,
        Behaviour::HangUp,
    ]
    .into_iter()
    .enumerate()
    {
        let before = ntfy.requests();
        ntfy.behave(behaviour);
        notifier.send(asked(approval()));
        ntfy.wait_for_requests(before + 1).await;
        ntfy.behave(Behaviour::Answer);
        ntfy.next_message().await;
        assert_eq!(ntfy.messages().len(), count + 1, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_silent_channel_holds_up_no_other() {
    let (silent, good) = (Ntfy::start(), Ntfy::start());
    silent.behave(Behaviour::Silence);
    let notifier = notifier(&[settings(&silent), settings(&good)]);
    notifier.send(asked(approval()));
    silent.wait_for_requests(1).await;
    for _ in 0..3 {
        notifier.send(asked(approval()));
        good.next_message().await;
    }
    assert_eq!(silent.requests(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed_and_answers_without_end_are_cut() {
    let ntfy = Ntfy::start();
    let notifier = notifier(&[settings(&ntfy)]);
    ntfy.behave(Behaviour::Redirect);
    let [(name, result)] = notifier.test().await.try_into().unwrap();
    let Err(NotifyError::Refused { status: 302, .. }) = result else {
        panic!("{name}: {result:?}");
    };
    ntfy.behave(Behaviour::Endless);
    let [(_, result)] = notifier.test().await.try_into().unwrap();
    assert_eq!(result, Ok(()));
}

#[tokio::test]
async fn a_request_that_has_ended_is_not_sent() {
    let ntfy = Ntfy::start();
    let mut over = approval();
    over.expires_at = now() - SignedDuration::from_secs(1);
    let notifier = notifier(&[settings(&ntfy)]);
    notifier.send(asked(over));
    notifier.drain().await;
    assert_eq!(ntfy.requests(), 0);
}

#[tokio::test]
async fn draining_sends_what_waits_and_alarms_alike_are_one() {
    let ntfy = Ntfy::start();
    let notifier = notifier(&[settings(&ntfy)]);
    for _ in 0..50 {
        notifier.send(alarm("A grant was replayed"));
        notifier.send(alarm("A wrong code"));
    }
    notifier.send(asked(approval()));
    notifier.drain().await;
    let messages = ntfy.messages();
    let of = |title: &str| {
        let title = Some(title.to_owned());
        messages.iter().filter(|it| it.title == title).count()
    };
    assert!((1..=2).contains(&of("A grant was replayed")));
    assert!((1..=2).contains(&of("A wrong code")));
    assert_eq!(of("octo-org/hello asks for 2 secrets"), 1);
    let told = messages.iter().find(|it| it.actions.is_empty()).unwrap();
    assert_eq!(
        told.click.as_deref(),
        Some("https://fnox.example.com/approvals")
    );
    assert!(
        messages
            .iter()
            .any(|it| it.message.contains("more of this kind"))
    );
    notifier.send(alarm("Too late"));
    notifier.drain().await;
    assert_eq!(ntfy.messages().len(), messages.len());
}

#[tokio::test]
async fn draining_does_not_wait_for_a_server_that_fails() {
    let ntfy = Ntfy::start();
    ntfy.behave(Behaviour::Limited(300));
    let notifier = notifier(&[settings(&ntfy)]);
    notifier.send(asked(approval()));
    ntfy.wait_for_requests(1).await;
    let drained = tokio::time::timeout(Duration::from_mins(1), notifier.drain()).await;
    assert!(drained.is_ok());
    assert!((1..=2).contains(&ntfy.requests()));
}

#[tokio::test]
async fn dropping_the_last_copy_ends_the_tasks() {
    let ntfy = Ntfy::start();
    let notifier = notifier(&[settings(&ntfy)]);
    let copy = notifier.clone();
    drop(notifier);
    copy.send(asked(approval()));
    drop(copy);
    let message = ntfy.next_message().await;
    assert!(message.click.unwrap().contains("/a/fxa_"));
}

#[tokio::test]
async fn channels_that_would_give_requests_away_are_refused() {
    let public = |change: fn(&mut NtfySettings)| {
        let mut settings = NtfySettings {
            url: "https://ntfy.sh".to_owned(),
            topic: random_topic().unwrap(),
            token: None,
            priority: 4,
            one_tap: false,
        };
        change(&mut settings);
        Notifier::new(&[NotifySettings::Ntfy(settings)], PUBLIC, &clock())
            .map(|notifier| notifier.describe().concat())
            .map_err(|error| error.to_string())
    };
    let described = public(|_| {}).unwrap();
    assert!(described.starts_with("ntfy: topic fnox..."), "{described}");
    for (change, problem) in [
        (
            (|it| it.topic = "team".to_owned()) as fn(&mut NtfySettings),
            "[notify.ntfy] topic can be guessed: ntfy.sh is public",
        ),
        (
            |it| it.topic = "a b".to_owned(),
            "[notify.ntfy] topic is not 1 to 64",
        ),
        (
            |it| it.url = "http://ntfy.sh".to_owned(),
            "[notify.ntfy] the address is http://",
        ),
        (|it| it.priority = 0, "[notify.ntfy] priority"),
        (
            |it| it.one_tap = true,
            "[notify.ntfy] one_tap needs a token",
        ),
        (
            |it| it.token = Some(SecretString::from("tk_\nx: y")),
            "[notify.ntfy] token",
        ),
        (
            |it| it.token = Some(SecretString::from("")),
            "[notify.ntfy] token",
        ),
    ] {
        let refused = public(change).unwrap_err();
        assert!(refused.starts_with(problem), "{refused}");
    }
    for change in [
        (|it| {
            it.topic = "team".to_owned();
            it.token = Some(SecretString::from("tk_x"));
        }) as fn(&mut NtfySettings),
        |it| {
            it.topic = "team".to_owned();
            it.url = "https://ntfy.internal:2586/".to_owned();
        },
    ] {
        assert!(public(change).is_ok());
    }
    let guessable = NotifySetupError::GuessableTopic {
        server: "ntfy.sh".to_owned(),
    };
    assert!(guessable.help().unwrap().contains("fnox serve init"));
}
