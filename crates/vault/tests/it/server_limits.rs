//! The server and clients that mean no good.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fnox_vault::server::Limits;
use fnox_vault_wire::methods::Whoami;
use fnox_vault_wire::transport::Connector;
use fnox_vault_wire::{Client, ClientOptions};

use crate::served::Served;
use crate::support::POLICY;

const HELLO: &str = "{\"protocol\":\"zerolease\",\"version\":1}";

fn frame(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A plain connection, on a thread that may block.
async fn raw<T: Send + 'static>(
    served: &Served,
    work: impl FnOnce(UnixStream) -> T + Send + 'static,
) -> T {
    let path = served.admin_socket.clone();
    tokio::task::spawn_blocking(move || {
        let stream = UnixStream::connect(path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        work(stream)
    })
    .await
    .unwrap()
}

fn answer(stream: &mut UnixStream) -> Option<serde_json::Value> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ) =>
        {
            return None;
        }
        outcome => outcome.unwrap(),
    }
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut payload).unwrap();
    Some(serde_json::from_slice(&payload).unwrap())
}

#[tokio::test]
async fn a_wrong_hello_is_told_what_is_wrong_and_then_closed() {
    let served = Served::new(POLICY).await;
    for (hello, code) in [
        ("{\"protocol\":\"http\",\"version\":1}", "invalid_request"),
        (
            "{\"protocol\":\"zerolease\",\"version\":0}",
            "invalid_request",
        ),
        (
            "{\"protocol\":\"zerolease\",\"version\":2}",
            "invalid_request",
        ),
        ("not json", "invalid_request"),
        (
            "{\"protocol\":\"zerolease\",\"version\":1,\"token\":\"fxv_wrong\"}",
            "authentication_failed",
        ),
    ] {
        let (first, second) = raw(&served, move |mut stream| {
            stream.write_all(&frame(hello)).unwrap();
            (answer(&mut stream).unwrap(), answer(&mut stream))
        })
        .await;
        assert_eq!(first["ok"], false, "{hello}");
        assert_eq!(first["code"], code, "{hello}: {first}");
        assert!(!first["error"].as_str().unwrap().contains("fxv_wrong"));
        assert_eq!(second, None, "{hello}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_stranger_may_send_four_kibibytes_and_no_more() {
    let served = Served::new(POLICY).await;
    let refused = raw(&served, |mut stream| {
        stream.write_all(&(1024 * 1024u32).to_be_bytes()).unwrap();
        answer(&mut stream)
    })
    .await;
    assert_eq!(
        refused.unwrap()["ok"],
        false,
        "refused at the header, before the body came"
    );
    served.stop().await;
}

#[tokio::test]
async fn who_says_hello_slowly_is_let_go() {
    let limits = Limits {
        hello: Duration::from_millis(100),
        ..Limits::default()
    };
    let served = Served::with_limits(POLICY, limits).await;
    let ended = raw(&served, |mut stream| {
        stream.write_all(&[0, 0]).unwrap();
        answer(&mut stream)
    })
    .await;
    assert_eq!(ended, None);
    served.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_the_connection_lives() {
    let served = Served::new(POLICY).await;
    let answers = raw(&served, |mut stream| {
        stream.write_all(&frame(HELLO)).unwrap();
        assert_eq!(answer(&mut stream).unwrap()["protocol"], "zerolease");
        let mut answers = Vec::new();
        for text in [
            "",
            "[]",
            "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"method\":\"launch\",\"params\":{}}",
            "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"method\":\"whoami\",\"params\":{\"max_use\":1}}",
            "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"method\":\"store_secret\",\"params\":{\"name\":\"x\",\"kind\":\"Pat\",\"plaintext\":\"hunter2!\"}}",
            "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"method\":\"whoami\",\"params\":{}}",
        ] {
            // Byte by byte, as a slow network would.
            for byte in frame(text) {
                stream.write_all(&[byte]).unwrap();
            }
            answers.push(answer(&mut stream).unwrap());
        }
        answers
    })
    .await;
    let nil = "00000000-0000-0000-0000-000000000000";
    for (place, id) in [
        (0, nil),
        (1, nil),
        (2, "019b0000-0000-7000-8000-000000000001"),
    ] {
        assert_eq!(
            (
                answers[place]["ok"].as_bool(),
                answers[place]["id"].as_str()
            ),
            (Some(false), Some(id))
        );
        assert_eq!(answers[place]["error"]["code"], "invalid_request");
    }
    let named = answers[3]["error"]["message"].as_str().unwrap();
    assert!(named.contains("max_use"), "{named}");
    let base64 = answers[4]["error"]["message"].as_str().unwrap();
    assert!(
        base64.contains("base64") && !base64.contains("hunter2"),
        "{base64}"
    );
    assert_eq!(answers[5]["result"]["role"], "admin");
    served.stop().await;
}

#[tokio::test]
async fn an_oversize_frame_is_answered_and_ends_the_connection() {
    let served = Served::new(POLICY).await;
    let (refused, after) = raw(&served, |mut stream| {
        stream.write_all(&frame(HELLO)).unwrap();
        answer(&mut stream).unwrap();
        stream
            .write_all(&(1024 * 1024 + 1u32).to_be_bytes())
            .unwrap();
        (answer(&mut stream).unwrap(), answer(&mut stream))
    })
    .await;
    assert_eq!(refused["error"]["code"], "invalid_request");
    assert_eq!(after, None);
    served.stop().await;
}

#[tokio::test]
async fn more_connections_than_there_are_places_for_are_closed() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let served = Served::with_limits(POLICY, limits).await;
    let options = || ClientOptions::new(Connector::Unix(served.admin_socket.clone()));
    let first = Client::connect(options()).await.unwrap();
    let second = Client::connect(options()).await.unwrap();
    assert!(Client::connect(options()).await.is_err());
    assert!(first.call(&Whoami {}).await.is_ok() && second.call(&Whoami {}).await.is_ok());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_stand_in_nobodys_way() {
    // ./scripts/test --long asks for ten thousand; each needs a descriptor on both sides.
    let wanted: usize = fnox_core::Env::of_process()
        .var("FNOX_TEST_CONNECTIONS")
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    let own_limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX);
    let count = wanted.min(
        usize::try_from(own_limit / 2)
            .unwrap_or(usize::MAX)
            .saturating_sub(100),
    );
    if count < wanted {
        println!(
            "left out: {} of {wanted} connections, the limit on open files is {own_limit}",
            wanted - count
        );
    }
    let served = Served::new(POLICY).await;
    let path = served.admin_socket.clone();
    let idle = tokio::task::spawn_blocking(move || {
        (0..count)
            .map(|_| {
                let mut stream = UnixStream::connect(&path).unwrap();
                stream.write_all(&frame(HELLO)).unwrap();
                stream
            })
            .collect::<Vec<_>>()
    })
    .await
    .unwrap();
    assert!(served.administrator().await.call(&Whoami {}).await.is_ok());
    drop(idle);
    served.stop().await;
}
