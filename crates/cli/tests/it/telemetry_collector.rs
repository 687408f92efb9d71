//! A collector of traces that reads what it gets by the OTLP specification, with a reader of protocol buffers of its
//! own: it shares no code with what sends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use tokio::runtime::Runtime;

/// A collector on 127.0.0.1. It ends with the test.
pub(crate) struct Collector {
    pub url: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Shared {
    status: AtomicU16,
    deliveries: Mutex<Vec<Delivery>>,
}

/// One request to the collector.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub line: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The answer that never comes.
const SILENCE: u16 = 0;

impl Collector {
    /// One that takes everything.
    pub(crate) fn start() -> Self {
        Self::answering(200)
    }

    /// One that never answers.
    pub(crate) fn silent() -> Self {
        Self::answering(SILENCE)
    }

    /// One that answers with a status.
    pub(crate) fn answering(status: u16) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let shared = Arc::new(Shared::default());
        shared.status.store(status, Ordering::SeqCst);
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            shared,
            _runtime: runtime,
        }
    }

    /// Changes the answer.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().unwrap().clone()
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let deliveries = self.deliveries();
        deliveries
            .iter()
            .flat_map(|delivery| spans(&delivery.body))
            .collect()
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    shared.deliveries.lock().unwrap().push(Delivery {
        line: format!("{method} {uri}"),
        headers,
        body,
    });
    match shared.status.load(Ordering::SeqCst) {
        SILENCE => std::future::pending().await,
        status => StatusCode::from_u16(status).unwrap(),
    }
}

/// A span, with what its resource says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub name: String,
    pub kind: u64,
    pub attributes: BTreeMap<String, String>,
    pub resource: BTreeMap<String, String>,
    /// Numbers of all fields that it has.
    pub fields: Vec<u64>,
}

/// `ExportTraceServiceRequest` of opentelemetry/proto/collector/trace/v1.
fn spans(body: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for resource_spans in messages(body, 1) {
        let resource: BTreeMap<String, String> = messages(resource_spans, 1)
            .flat_map(|resource| messages(resource, 1))
            .map(key_value)
            .collect();
        for span in messages(resource_spans, 2).flat_map(|scope| messages(scope, 2)) {
            found.push(Span {
                resource: resource.clone(),
                ..read_span(span)
            });
        }
    }
    found
}

fn read_span(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, value) in fields(bytes) {
        span.fields.push(number);
        match (number, value) {
            (5, Value::Bytes(name)) => span.name = text(name),
            (6, Value::Number(kind)) => span.kind = kind,
            (9, Value::Bytes(attribute)) => {
                let (key, value) = key_value(attribute);
                span.attributes.insert(key, value);
            }
            _ => {}
        }
    }
    span
}

/// A key and its value: a text or a number.
fn key_value(bytes: &[u8]) -> (String, String) {
    let key = messages(bytes, 1).next().map(text).expect("a key");
    let any = messages(bytes, 2).next().expect("a value");
    let value = match fields(any).next().expect("a value's kind") {
        (1, Value::Bytes(it)) => text(it),
        (3, Value::Number(number)) => number.to_string(),
        other => panic!("{key} has {other:?}"),
    };
    (key, value)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a text in UTF-8")
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with one number that are messages or texts.
fn messages(bytes: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).filter_map(move |(number, value)| match value {
        Value::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    })
}

/// The fields of a message (Protocol Buffers, "Encoding").
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let tag = variable_length(&mut rest);
        let value = match tag & 7 {
            0 => Value::Number(variable_length(&mut rest)),
            1 => Value::Number(u64::from_le_bytes(taken(&mut rest, 8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(variable_length(&mut rest)).unwrap();
                Value::Bytes(taken(&mut rest, length))
            }
            5 => Value::Number(u32::from_le_bytes(taken(&mut rest, 4).try_into().unwrap()).into()),
            other => panic!("wire type {other}"),
        };
        Some((tag >> 3, value))
    })
}

fn taken<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at_checked(length).expect("a whole field");
    *rest = left;
    taken
}

fn variable_length(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = taken(rest, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
    }
    panic!("a number of more than 64 bits");
}
