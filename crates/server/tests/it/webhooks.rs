//! Webhooks, against a server that takes everything down.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use fnox_core::{Clock, SecretString};
use fnox_server::notify::{Notifier, NotifySetupError};
use fnox_server::settings::NotifySettings;
use fnox_testkit::FakeClock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::notices::{NOW, alarm, asked, assert_tame, hostile, now};

/// What arrived.
#[derive(Debug, Clone)]
struct Call {
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Call {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Calls = Arc<Mutex<Vec<Call>>>;

/// A server on loopback; it ends with the test's runtime.
async fn server() -> (String, Calls) {
    let calls = Calls::default();
    let take = |State(calls): State<Calls>, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let call = Call {
            path: uri.path().to_owned(),
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        calls.lock().unwrap().push(call);
        "ok"
    };
    let router = Router::new().fallback(take).with_state(Arc::clone(&calls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/word", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, calls)
}

/// Tells of a hostile request and an alarm, and returns what arrived.
async fn told(settings: NotifySettings, calls: &Calls) -> (Call, Call) {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::at(NOW));
    let notifier = Notifier::new(&[settings], "https://fnox.example.com/", &clock).unwrap();
    notifier.send(asked(hostile()));
    notifier.send(alarm("A <grant> was replayed & refused"));
    notifier.drain().await;
    assert!(!format!("{:?}{notifier:?}", notifier.describe()).contains("word"));
    let calls = calls.lock().unwrap().clone();
    let [first, second] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(
        (first.path.as_str(), second.path.as_str()),
        ("/hook/word", "/hook/word")
    );
    (first.clone(), second.clone())
}

#[tokio::test]
async fn a_webhook_is_signed_over_time_and_body() {
    let (url, calls) = server().await;
    let secret = "a secret of enough bytes";
    let settings = NotifySettings::Webhook {
        url,
        secret: SecretString::from(secret),
    };
    let (request, alarm) = told(settings, &calls).await;
    for call in [&request, &alarm] {
        let signature = call.headers["fnox-signature"].to_str().unwrap();
        let (time, signature) = signature.split_once(",v1=").unwrap();
        assert_eq!(time, format!("t={}", now().as_second()));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{}.{}", &time[2..], call.body).as_bytes());
        assert_eq!(signature, hex::encode(mac.finalize().into_bytes()));
    }
    assert_ne!(
        request.headers["fnox-delivery"],
        alarm.headers["fnox-delivery"]
    );
    assert_eq!(request.headers["fnox-event"], "approval.asked");
    let document = request.json();
    assert_eq!(document["event"], "approval.asked");
    assert_eq!(
        document["approval"]["command_display"],
        hostile().command_display
    );
    assert!(
        document["page"]
            .as_str()
            .unwrap()
            .starts_with("https://fnox.example.com/a/fxa_")
    );
    assert!(document.get("code").is_none() && document["approval"].get("code").is_none());
    assert_eq!(alarm.json()["title"], "A <grant> was replayed & refused");
    assert_eq!(alarm.json()["approval"], Value::Null);
}

#[tokio::test]
async fn slack_gets_plain_escaped_texts_within_its_limits() {
    let (url, calls) = server().await;
    let settings = NotifySettings::Slack {
        url: SecretString::from(url),
    };
    let (request, alarm) = told(settings, &calls).await;
    let document = request.json();
    insta::assert_snapshot!(
        document["text"]
            .as_str()
            .unwrap()
            .split("/a/fxa_")
            .next()
            .unwrap()
    );
    let mut texts = vec![document["text"].as_str().unwrap().to_owned()];
    for block in document["blocks"].as_array().unwrap() {
        let fields = block["fields"].as_array().into_iter().flatten();
        let elements = block["elements"].as_array().into_iter().flatten();
        let elements = elements.map(|element| &element["text"]);
        let fields: Vec<&Value> = fields.chain(block.get("text")).chain(elements).collect();
        assert!(fields.len() <= 10);
        for field in fields {
            assert_eq!(field["type"], "plain_text");
            let text = field["text"].as_str().unwrap();
            assert!(text.chars().count() <= 2000);
            texts.push(text.to_owned());
        }
    }
    for text in &texts {
        assert_tame(text);
        assert!(!text.contains(['<', '>']), "{text}");
    }
    let header = document["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(header.chars().count() <= 150);
    let buttons = document["blocks"].as_array().unwrap().last().unwrap();
    // The run's address was no web address.
    assert_eq!(buttons["elements"].as_array().unwrap().len(), 1);
    let title = "A &lt;grant&gt; was replayed &amp; refused";
    assert_eq!(alarm.json()["blocks"][0]["text"]["text"], title);
}

#[tokio::test]
async fn a_short_secret_is_refused() {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::at(NOW));
    let settings = NotifySettings::Webhook {
        url: "https://hooks.example.com/".to_owned(),
        secret: SecretString::from("short"),
    };
    let refused = Notifier::new(&[settings], "https://fnox.example.com", &clock).unwrap_err();
    assert!(matches!(
        refused,
        NotifySetupError::Value {
            field: "secret",
            ..
        }
    ));
}
