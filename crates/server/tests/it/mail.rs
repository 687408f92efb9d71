//! Mail, against a server that takes everything down.

use std::sync::Arc;

use fnox_core::{Clock, SecretString};
use fnox_server::notify::{Notifier, NotifyError};
use fnox_server::settings::{EmailSettings, NotifySettings};
use fnox_testkit::FakeClock;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::notices::{NOW, asked, assert_tame, hostile};

/// What one client said: its commands, and the mail.
#[derive(Debug, Default)]
struct Conversation {
    commands: Vec<String>,
    data: String,
}

/// Takes one connection (RFC 5321); answers RCPT with `answer`.
async fn sink(answer: &'static str) -> (String, JoinHandle<Conversation>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut said = Conversation::default();
        let mut in_data = false;
        stream.write_all(b"220 ready\r\n").await.unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap() > 0 {
            let text = line.trim_end().to_owned();
            if in_data && text != "." {
                said.data.push_str(&line);
                line.clear();
                continue;
            }
            let reply = match text.split([' ', ':']).next().unwrap() {
                "." => "250 taken",
                "EHLO" => "250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN",
                "AUTH" => "235 welcome",
                "RCPT" => answer,
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            in_data = text == "DATA";
            line.clear();
            stream
                .write_all(format!("{reply}\r\n").as_bytes())
                .await
                .unwrap();
            let quit = text == "QUIT";
            said.commands.push(text);
            if quit {
                break;
            }
        }
        said
    });
    (url, task)
}

fn settings(server: String) -> EmailSettings {
    EmailSettings {
        server,
        username: None,
        password: None,
        from: "fnox <fnox@example.com>".to_owned(),
        to: vec![
            "ann@example.com".to_owned(),
            "Bob <bob@example.com>".to_owned(),
        ],
    }
}

fn notifier(settings: EmailSettings) -> Result<Notifier, String> {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::at(NOW));
    let settings = [NotifySettings::Email(settings)];
    Notifier::new(&settings, "https://fnox.example.com", &clock).map_err(|error| error.to_string())
}

/// Quoted-printable (RFC 2045, section 6.7), as far as mails of this test need it.
fn decoded(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|pair| hex::decode(pair).ok());
        if let (b'=', Some(byte)) = (first, hex) {
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn mail_goes_to_everybody_as_text_and_html_and_no_text_becomes_a_header() {
    let (url, sink) = sink("250 ok").await;
    let settings = EmailSettings {
        username: Some("fnox".to_owned()),
        password: Some(SecretString::from("word")),
        ..settings(url)
    };
    let notifier = notifier(settings).unwrap();
    let mut approval = hostile();
    approval.requester.name = "a\r\nBcc: eve@example.com\r\n\r\n<script>".to_owned();
    notifier.send(asked(approval));
    notifier.drain().await;
    // The connection is kept for the next mail until the last copy is dropped.
    drop(notifier);
    let said = sink.await.unwrap();
    for command in [
        "MAIL FROM:<fnox@example.com>",
        "RCPT TO:<ann@example.com>",
        "RCPT TO:<bob@example.com>",
    ] {
        assert!(
            said.commands.iter().any(|it| it.starts_with(command)),
            "{:?}",
            said.commands
        );
    }
    // "\0fnox\0word" in base64 (RFC 4616).
    assert!(
        said.commands
            .contains(&"AUTH PLAIN AGZub3gAd29yZA==".to_owned())
    );
    let (head, body) = said.data.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("Date: Fri, 15 Jan 2027 08:00:00 +0000"),
        "{head}"
    );
    assert!(!head.to_lowercase().contains("\nbcc:"), "{head}");
    assert!(head.contains("multipart/alternative"), "{head}");
    let body = decoded(body);
    assert_tame(&body.replace('\r', ""));
    assert!(body.contains("https://fnox.example.com/a/fxa_"), "{body}");
    assert!(body.contains("a\\u{d}\\u{a}Bcc: eve@example.com"), "{body}");
    let (text, html) = body.split_once("<!doctype html>").unwrap();
    assert!(
        text.contains("text/plain")
            && text.contains("Command (as the requester says): echo \\u{1b}[2J\\u{7}")
    );
    assert!(
        !html.contains("<script>") && !html.contains("javascript:"),
        "{html}"
    );
}

#[tokio::test]
async fn a_refused_recipient_is_an_error_that_says_so() {
    let (url, sink) = sink("550 no such mailbox").await;
    let [(name, result)] = notifier(settings(url))
        .unwrap()
        .test()
        .await
        .try_into()
        .unwrap();
    let Err(NotifyError::Refused { status: 550, .. }) = result else {
        panic!("{name}: {result:?}");
    };
    sink.await.unwrap();
}

#[tokio::test]
async fn settings_that_are_wrong_are_refused() {
    for (change, problem) in [
        (
            (|it| it.server = "http://mail.example.com".to_owned()) as fn(&mut EmailSettings),
            "[notify.email] server is neither",
        ),
        (
            |it| it.server = "smtp://u:p@mail.example.com".to_owned(),
            "[notify.email] server has a user",
        ),
        (|it| it.to = Vec::new(), "[notify.email] to names nobody"),
        (
            |it| it.to = vec!["ann\r\n@example.com".to_owned()],
            "[notify.email] to",
        ),
        (|it| it.from = "nobody".to_owned(), "[notify.email] from"),
        (
            |it| it.username = Some("u".to_owned()),
            "[notify.email] username",
        ),
    ] {
        let mut settings = settings("smtps://mail.example.com".to_owned());
        change(&mut settings);
        let refused = notifier(settings).unwrap_err();
        assert!(refused.starts_with(problem), "{refused}");
    }
    assert!(notifier(settings("smtps://mail.example.com".to_owned())).is_ok());
    assert!(notifier(settings("smtp://mail.example.com:2525".to_owned())).is_ok());
}
