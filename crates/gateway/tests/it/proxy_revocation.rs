//! A right that is withdrawn while something is on its way with it: that ends too, and only that.

use fnox_gateway::injection::Injection;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};

use crate::proxy_support::{
    ACCESS_KEY, HOST, OTHER, Proxy, Sent, Setup, WEBSOCKET, Wire, channel, empty, read_to_end,
    within,
};

/// Most events of a tenth of a second each between the end of a right and the end of what is on its way with it.
const MOMENTS: usize = 20;

/// Reads until an answer breaks off, and says how many bytes came. One that ends as if it were whole is none.
async fn broken_off(mut body: Incoming) -> usize {
    let mut count = 0;
    loop {
        match within(body.frame()).await {
            Some(Ok(frame)) => count += frame.into_data().map_or(0, |data| data.len()),
            Some(Err(_)) => return count,
            None => panic!("after {count} bytes it ends as if it were whole"),
        }
    }
}

/// Waits for the first piece of an answer.
async fn begun(body: &mut Incoming) {
    let frame = within(body.frame()).await.unwrap().unwrap();
    assert!(!frame.into_data().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_download_breaks_off() {
    const LENGTH: usize = 1 << 40;
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let target = format!("/bytes/{LENGTH}");
        let mut http1 = proxy.http1().await;
        let request = proxy.request1("GET", &target).body(empty()).unwrap();
        let mut one = within(http1.send_request(request))
            .await
            .unwrap()
            .into_body();
        let mut http2 = proxy.http2().await;
        let request = proxy.request2("GET", &target).body(empty()).unwrap();
        let mut other = within(http2.send_request(request))
            .await
            .unwrap()
            .into_body();
        begun(&mut one).await;
        begun(&mut other).await;
        proxy.revoke();
        assert!(broken_off(one).await < LENGTH, "{protocol}");
        assert!(broken_off(other).await < LENGTH, "{protocol}");
    }
}

/// How many events still come.
async fn events_left(mut body: Incoming) -> usize {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = within(body.frame()).await {
        text.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    String::from_utf8(text).unwrap().matches("data: ").count()
}

/// The upstream says ten things a second, so what comes afterwards measures the time without a clock.
#[tokio::test]
async fn a_stream_of_events_breaks_off_within_moments() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let mut http1 = proxy.http1().await;
        let request = proxy.request1("GET", "/drip/600").body(empty()).unwrap();
        let one = within(http1.send_request(request)).await.unwrap();
        let mut http2 = proxy.http2().await;
        let request = proxy.request2("GET", "/drip/600").body(empty()).unwrap();
        let other = within(http2.send_request(request)).await.unwrap();
        let mut bodies = [one.into_body(), other.into_body()];
        for body in &mut bodies {
            begun(body).await;
        }
        proxy.revoke();
        for body in bodies {
            let left = events_left(body).await;
            assert!(left <= MOMENTS, "{protocol}: {left} events came afterwards");
        }
    }
}

#[tokio::test]
async fn a_stream_that_says_nothing_breaks_off_too() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let mut http2 = proxy.http2().await;
        let request = proxy.request2("GET", "/hold").body(empty()).unwrap();
        let mut events = within(http2.send_request(request))
            .await
            .unwrap()
            .into_body();
        begun(&mut events).await;
        proxy.revoke();
        broken_off(events).await;
    }
}

#[tokio::test]
async fn an_open_websocket_ends() {
    let proxy = Setup::new().start().await;
    let mut socket = proxy.inside().await;
    let answer = socket.ask(proxy.head("GET /upgrade", &WEBSOCKET)).await;
    assert_eq!(answer.status, 101);
    socket.write("before").await.unwrap();
    assert_eq!(socket.read_until("before").await, "before");
    proxy.revoke();
    assert!(socket.read_to_end().await.is_empty());
}

#[tokio::test]
async fn a_request_that_waits_for_its_answer_is_refused() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let mut inside = proxy.inside().await;
        inside.write(proxy.head("GET /wait", &[])).await.unwrap();
        arrived(&proxy).await;
        proxy.revoke();
        let answer = inside.answer().await;
        assert_eq!(answer.refusal(), Some("gateway::exhausted"), "{protocol}");
    }
}

#[tokio::test]
async fn an_upload_is_not_waited_for() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = Setup::new().speaking(&[protocol]).start().await;
        let (pieces, body) = channel();
        let request = proxy.request2("POST", "/").body(body).unwrap();
        let mut http2 = proxy.http2().await;
        let answer = http2.send_request(request);
        let revoke = async {
            pieces.send(Frame::data("begun".into())).await.unwrap();
            // The second is taken when the first has been.
            pieces.send(Frame::data("on its way".into())).await.unwrap();
            pieces.send(Frame::data("more".into())).await.unwrap();
            while proxy.upstream.connections() == 0 {
                tokio::task::yield_now().await;
            }
            proxy.revoke();
        };
        let (answer, ()) = within(async { tokio::join!(answer, revoke) }).await;
        let answer = read_to_end(answer.unwrap()).await;
        assert_eq!(answer.refusal(), Some("gateway::exhausted"), "{protocol}");
        assert!(proxy.received().iter().all(|it| it.body_length < 20));
        drop(pieces);
    }
}

/// A gateway that signs requests anew.
async fn signing(protocol: &str) -> Proxy {
    let setup = Setup::with(|rule| rule.injection = Injection::parse("aws-sigv4").unwrap());
    setup.speaking(&[protocol]).start().await
}

/// A request of an S3 client, which does not say its body's digest.
fn for_s3(proxy: &Proxy, method: &str, target: &str, body: Sent) -> Request<Sent> {
    Request::builder()
        .method(method)
        .uri(format!("https://{HOST}{target}"))
        .header("authorization", proxy.signed())
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn the_answer_to_a_request_that_was_signed_anew_breaks_off() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = signing(protocol).await;
        let mut http2 = proxy.http2().await;
        let request = for_s3(&proxy, "GET", "/hold", empty());
        let answer = within(http2.send_request(request)).await.unwrap();
        let sent = proxy.only();
        let field = sent.header("authorization").unwrap();
        assert!(field.contains(ACCESS_KEY), "{field}");
        let mut object = answer.into_body();
        begun(&mut object).await;
        proxy.revoke();
        broken_off(object).await;
    }
}

#[tokio::test]
async fn an_upload_that_was_signed_anew_is_not_waited_for() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = signing(protocol).await;
        let (pieces, body) = channel();
        let mut http2 = proxy.http2().await;
        let answer = http2.send_request(for_s3(&proxy, "PUT", "/object", body));
        let revoke = async {
            for piece in ["begun", "on its way", "more"] {
                pieces.send(Frame::data(piece.into())).await.unwrap();
            }
            while proxy.upstream.connections() == 0 {
                tokio::task::yield_now().await;
            }
            proxy.revoke();
        };
        let (answer, ()) = within(async { tokio::join!(answer, revoke) }).await;
        let answer = read_to_end(answer.unwrap()).await;
        assert_eq!(answer.refusal(), Some("gateway::exhausted"), "{protocol}");
        assert!(proxy.received().iter().all(|it| it.body_length < 20));
        drop(pieces);
    }
}

#[tokio::test]
async fn tunnels_stay_and_get_nothing_more() {
    let proxy = Setup::new().start().await;
    let mut inside = proxy.inside().await;
    assert_eq!(inside.ask(proxy.head("GET /", &[])).await.status, 200);
    let other = proxy.tls("other.example.org:443", OTHER, &["http/1.1"]);
    let mut other = Wire::new(other.await.unwrap());
    proxy.revoke();
    let answer = inside.ask(proxy.head("GET /", &[])).await;
    assert_eq!(answer.refusal(), Some("gateway::exhausted"));
    assert_eq!(proxy.received().len(), 1);
    // What needs no credential goes on.
    let head = format!("GET / HTTP/1.1\r\nhost: {OTHER}\r\n\r\n");
    assert_eq!(other.ask(head).await.status, 200);
}

/// Waits until the upstream has a request.
async fn arrived(proxy: &Proxy) {
    within(async {
        while proxy.received().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
