//! What a span says of a request, and what it does not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnox_testkit::Canary;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::proxy_support::{HOST, LEASE, Proxy, Setup, VALUE, real_bearer, within};

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
