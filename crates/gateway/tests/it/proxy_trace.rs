//! What a span says of a request, and what it does not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_gateway::proxy::ClientPassword;
use fnox_testkit::Canary;
use fnox_testkit::stand_in::Prepared;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::proxy_reflection::broken_at_its_end;
use crate::proxy_support::{
    AUTHORITY, HOST, LEASE, OTHER, Proxy, Setup, VALUE, Wire, connector, real_bearer, within,
};

/// A text that is in a request wherever a client can put one.
const CANARY: &str = "canary-7Hq2VtLw9s";

type Fields = BTreeMap<&'static str, String>;

/// The spans that have ended, of everything on this thread.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>);

struct Read<'a>(&'a mut Fields);

impl Visit for Read<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.0
            .insert(field.name(), text.trim_matches('"').to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        fields.insert("name", attributes.metadata().name().to_owned());
        attributes.record(&mut Read(&mut fields));
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        values.record(&mut Read(extensions.get_mut().unwrap()));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields: Fields = span.extensions_mut().remove().unwrap();
        self.0.lock().unwrap().push(fields);
    }
}

impl Spans {
    /// Everything that this thread's gateway says from now on.
    fn watch() -> (Self, DefaultGuard) {
        let spans = Self::default();
        // Libraries have spans of their own, which nobody exports.
        let of_ours = filter_fn(|seen| seen.target().starts_with("fnox"));
        let layer = spans.clone().with_filter(of_ours);
        let subscriber = tracing_subscriber::registry().with(layer);
        (spans, tracing::subscriber::set_default(subscriber))
    }

    /// The only one, when it has ended.
    async fn only(&self) -> Fields {
        let ended = within(async {
            loop {
                let ended = self.0.lock().unwrap().clone();
                if !ended.is_empty() {
                    return ended;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let mut ended = ended.await;
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended.remove(0)
    }
}

/// Takes out what is a time, which is a number.
fn without_times(mut fields: Fields) -> Fields {
    for field in ["filled_us", "answered_us"] {
        if let Some(time) = fields.remove(field) {
            time.parse::<u64>().expect(field);
        }
    }
    fields
}

fn fields(pairs: &[(&'static str, &str)]) -> Fields {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

fn assert_holds_nothing(proxy: &Proxy, span: &Fields) {
    let text = format!("{span:?}");
    for hidden in [CANARY, VALUE, &proxy.placeholder] {
        Canary::new(hidden).assert_absent(&[("the span", text.as_bytes())], &[]);
    }
}

#[tokio::test]
async fn a_span_says_where_a_request_went_by_what_and_how_it_ended() {
    let (spans, _guard) = Spans::watch();
    let proxy = Setup::new().start().await;
    let mut inside = proxy.inside().await;
    let line = format!("POST /{CANARY}?a={CANARY}");
    let more = format!("x-a: {CANARY}");
    let length = format!("content-length: {}", CANARY.len());
    let answer = inside
        .ask(proxy.head(&line, &[&more, &length]) + CANARY)
        .await;
    assert_eq!(answer.status, 200);
    let span = spans.only().await;
    assert_holds_nothing(&proxy, &span);
    let received = answer.body.len().to_string();
    let expected = fields(&[
        ("name", "exchange"),
        ("agent", "agent"),
        ("host", HOST),
        ("port", "443"),
        ("method", "POST"),
        ("rule", "token"),
        ("lease", LEASE),
        ("outcome", "answered"),
        ("status", "200"),
        ("sent", &CANARY.len().to_string()),
        ("received", &received),
    ]);
    assert_eq!(without_times(span), expected);
}

#[tokio::test]
async fn a_span_of_a_refusal_has_its_code() {
    let (spans, _guard) = Spans::watch();
    let proxy = Setup::with(|rule| rule.methods = vec![http::Method::GET])
        .start()
        .await;
    let mut inside = proxy.inside().await;
    // A method of the client's own making is not repeated either.
    let line = format!("{} /{CANARY}", CANARY.to_uppercase());
    let answer = inside.ask(proxy.head(&line, &[])).await;
    assert_eq!(answer.refusal(), Some("gateway::not_allowed"));
    let span = spans.only().await;
    assert_holds_nothing(&proxy, &span);
    let expected = fields(&[
        ("name", "exchange"),
        ("agent", "agent"),
        ("host", HOST),
        ("port", "443"),
        ("method", "_OTHER"),
        ("rule", "token"),
        ("outcome", "refused"),
        ("code", "gateway::not_allowed"),
        ("status", "403"),
        ("sent", "0"),
        ("received", "0"),
    ]);
    assert_eq!(without_times(span), expected);
}

#[tokio::test]
async fn a_span_of_an_answer_that_broke_off_says_so() {
    let (spans, _guard) = Spans::watch();
    let proxy = Setup::new().speaking(&["http/1.1"]).start().await;
    let answer = Prepared::new(200, broken_at_its_end()).with("content-encoding", "gzip");
    proxy.upstream.prepare("/broken", answer);
    let mut inside = proxy.inside().await;
    inside.write(proxy.head("GET /broken", &[])).await.unwrap();
    let answer = inside.read_to_end().await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    let mut span = without_times(spans.only().await);
    span.remove("received");
    let expected = fields(&[
        ("name", "exchange"),
        ("agent", "agent"),
        ("host", HOST),
        ("port", "443"),
        ("method", "GET"),
        ("rule", "token"),
        ("lease", LEASE),
        ("outcome", "broken_off"),
        ("code", "gateway::unscannable"),
        ("status", "200"),
        ("sent", "0"),
    ]);
    assert_eq!(span, expected);
}

/// The span of a request that nobody got to look at.
fn early(pairs: &[(&'static str, &str)]) -> Fields {
    let mut all = fields(&[("name", "exchange"), ("outcome", "refused")]);
    all.extend(fields(pairs));
    all
}

#[tokio::test]
async fn a_wrong_password_has_a_span_without_an_agent() {
    let (spans, _guard) = Spans::watch();
    let mut setup = Setup::new();
    setup.password = Some(ClientPassword::random(&mut rand::rng()));
    let proxy = setup.start().await;
    let mut wire = proxy.wire().await;
    let password = STANDARD.encode(format!("fnox:{CANARY}"));
    let head = format!(
        "CONNECT {AUTHORITY} HTTP/1.1\r\nhost: {AUTHORITY}\r\nproxy-authorization: Basic {password}\r\n\r\n"
    );
    assert_eq!(wire.ask(head).await.status, 407);
    let span = spans.only().await;
    assert_holds_nothing(&proxy, &span);
    let expected = early(&[
        ("host", HOST),
        ("port", "443"),
        ("method", "CONNECT"),
        ("code", "gateway::unauthenticated"),
        ("status", "407"),
    ]);
    assert_eq!(span, expected);
}

#[tokio::test]
async fn a_wrong_password_for_socks_has_a_span_too() {
    let (spans, _guard) = Spans::watch();
    let mut setup = Setup::new();
    setup.password = Some(ClientPassword::random(&mut rand::rng()));
    let proxy = setup.start().await;
    let mut stream = proxy.connect().await;
    // RFC 1928, section 3, and RFC 1929, section 2.
    stream.write_all(&[5, 1, 2]).await.unwrap();
    let name = [1, 4, b'f', b'n', b'o', b'x'];
    let length = u8::try_from(CANARY.len()).unwrap();
    let login = [&name[..], &[length], CANARY.as_bytes()].concat();
    stream.write_all(&login).await.unwrap();
    let span = spans.only().await;
    assert_holds_nothing(&proxy, &span);
    let expected = early(&[("code", "gateway::unauthenticated"), ("status", "407")]);
    assert_eq!(span, expected);
}

#[tokio::test]
async fn a_head_that_is_none_has_a_span_with_what_is_known() {
    let malformed = format!("GET /{CANARY} HTTP/1.1\r\n{CANARY} no field\r\n\r\n");
    let reason = [("code", "gateway::ambiguous"), ("status", "400")];
    let (spans, _guard) = Spans::watch();
    let proxy = Setup::new().start().await;
    let mut wire = proxy.wire().await;
    assert_eq!(wire.ask(&malformed).await.status, 400);
    let span = spans.only().await;
    assert_holds_nothing(&proxy, &span);
    assert_eq!(span, early(&reason));
    let (spans, _guard) = Spans::watch();
    let mut inside = proxy.inside().await;
    assert_eq!(inside.ask(&malformed).await.status, 400);
    let span = spans.only().await;
    assert_holds_nothing(&proxy, &span);
    let tunnel = [("agent", "agent"), ("host", HOST), ("port", "443")];
    assert_eq!(span, early(&[&reason[..], &tunnel].concat()));
}

#[tokio::test]
async fn a_handshake_that_names_another_host_has_a_span_with_the_tunnels_own() {
    let (spans, _guard) = Spans::watch();
    let proxy = Setup::new().start().await;
    let other = proxy.tls(AUTHORITY, OTHER, &["http/1.1"]).await.unwrap();
    let answer = Wire::new(other).ask(proxy.head("GET /", &[])).await;
    assert_eq!(answer.refusal(), Some("gateway::misdirected"));
    let span = spans.only().await;
    let expected = early(&[
        ("agent", "agent"),
        ("host", HOST),
        ("port", "443"),
        ("method", "GET"),
        ("code", "gateway::misdirected"),
        ("status", "421"),
        ("sent", "0"),
        ("received", "0"),
    ]);
    assert_eq!(without_times(span), expected);
}

#[tokio::test]
async fn a_handshake_that_names_no_host_has_a_span_where_nothing_else_names_one() {
    let (spans, _guard) = Spans::watch();
    let proxy = Setup::new().start().await;
    let stream = proxy.connect().await;
    // An address is not sent as a name (RFC 6066, section 3).
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = connector(&proxy.authority, &["http/1.1"]);
    assert!(within(connector.connect(name, stream)).await.is_err());
    let expected = early(&[
        ("agent", "agent"),
        ("code", "gateway::misdirected"),
        ("status", "421"),
    ]);
    assert_eq!(spans.only().await, expected);
}

#[tokio::test]
async fn requests_get_no_context_of_traces_but_the_clients_own() {
    let (_spans, _guard) = Spans::watch();
    let proxy = Setup::new().start().await;
    let mut inside = proxy.inside().await;
    assert_eq!(inside.ask(proxy.head("GET /", &[])).await.status, 200);
    let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let fields = [format!("traceparent: {own}"), "tracestate: a=b".to_owned()];
    let fields = [fields[0].as_str(), fields[1].as_str()];
    assert_eq!(inside.ask(proxy.head("GET /", &fields)).await.status, 200);
    let received = proxy.received();
    let context = ["traceparent", "tracestate", "baggage"];
    let of = |index: usize| context.map(|name| received[index].header(name));
    assert_eq!(of(0), [None; 3]);
    assert_eq!(of(1), [Some(own), Some("a=b"), None]);
    assert_eq!(
        received[1].header("authorization"),
        Some(real_bearer().as_str())
    );
}
