//! A client that costs as little as possible.

use std::time::{Duration, Instant};

use fnox_vault_wire::frame::{self, FrameReader};
use fnox_vault_wire::transport::{Connector, ReadHalf, WriteHalf};
use tokio::io::AsyncWriteExt as _;

/// One connection past its hello.
pub(crate) struct Connection {
    frames: FrameReader<ReadHalf>,
    writer: WriteHalf,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(connector: &Connector, token: Option<&str>) -> Self {
        let (reader, writer) = connector.connect().await.unwrap().into_split();
        let mut this = Self {
            frames: FrameReader::new(reader, frame::MAX_FRAME),
            writer,
            buffer: Vec::new(),
        };
        let token = token
            .map(|token| format!(",\"token\":\"{token}\""))
            .unwrap_or_default();
        let answer = this
            .send(&format!(
                "{{\"protocol\":\"fnox-vault\",\"version\":1{token}}}"
            ))
            .await;
        assert!(answer.contains("\"ok\":true"), "{answer}");
        this
    }

    /// One request and its answer.
    pub(crate) async fn send(&mut self, json: &str) -> &str {
        self.buffer.clear();
        self.buffer
            .extend_from_slice(&u32::try_from(json.len()).unwrap().to_be_bytes());
        self.buffer.extend_from_slice(json.as_bytes());
        self.writer.write_all(&self.buffer).await.unwrap();
        std::str::from_utf8(self.frames.next().await.unwrap().unwrap()).unwrap()
    }

    /// Asks for a lease, and answers with its id.
    pub(crate) async fn request(&mut self) -> String {
        let answer = self.send(REQUEST).await;
        let place = answer
            .find("\"lease_id\":\"")
            .unwrap_or_else(|| panic!("{answer}"))
            + 12;
        answer[place..place + 36].to_owned()
    }

    /// Asks for a lease for one of many agents.
    pub(crate) async fn request_for(&mut self, number: usize) {
        let request = REQUEST.replace("\"bench\"", &format!("\"bench-{}\"", number % AGENTS));
        let answer = self.send(&request).await;
        assert!(answer.contains("\"ok\":true"), "{answer}");
    }

    /// Asks for a lease and for its value.
    pub(crate) async fn pair(&mut self) -> String {
        let lease = self.request().await;
        let answer = self
            .send(&format!(
                "{{\"id\":\"{ID}\",\"method\":\"access_secret\",\"params\":{{\"lease_id\":\"{lease}\",\"target_domain\":\"api.example.com\"}}}}"
            ))
            .await;
        assert!(answer.contains("\"secret\":"), "{answer}");
        lease
    }

    /// A pair, and gives the lease back.
    pub(crate) async fn cycle(&mut self) {
        let lease = self.pair().await;
        let answer = self
            .send(&format!(
                "{{\"id\":\"{ID}\",\"method\":\"revoke_lease\",\"params\":{{\"lease_id\":\"{lease}\",\"reason\":\"AdminRevoked\"}}}}"
            ))
            .await;
        assert!(answer.contains("\"ok\":true"), "{answer}");
    }
}

/// Among how many agents many leases are spread.
const AGENTS: usize = 2000;
const ID: &str = "019b0000-0000-7000-8000-000000000001";
const REQUEST: &str = "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"method\":\"request_lease\",\"params\":{\"agent\":\"bench\",\"secret_name\":\"token\",\"domain\":\"api.example.com\"}}";

/// How often something could be done, and how long it took.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub per_second: f64,
    pub median: Duration,
    pub slowest_hundredth: Duration,
}

/// What the clients do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Request,
    RequestForMany,
    Pair,
    Cycle,
}

/// Lets so many clients work for so long.
pub(crate) async fn measure(
    connector: &Connector,
    token: Option<&str>,
    clients: usize,
    work: Work,
    length: Duration,
) -> Measured {
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let mut connection = Connection::open(connector, token).await;
        tasks.spawn(async move {
            let (begin, mut times) = (Instant::now(), Vec::new());
            while begin.elapsed() < length {
                let before = Instant::now();
                match work {
                    Work::Request => drop(connection.request().await),
                    Work::RequestForMany => connection.request_for(client * 31 + times.len()).await,
                    Work::Pair => drop(connection.pair().await),
                    Work::Cycle => connection.cycle().await,
                }
                times.push(before.elapsed());
            }
            (times, begin.elapsed())
        });
    }
    let (mut times, mut per_second) = (Vec::new(), 0.0);
    for (own, length) in tasks.join_all().await {
        per_second += f64::from(u32::try_from(own.len()).unwrap()) / length.as_secs_f64();
        times.extend(own);
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    Measured {
        per_second,
        median: at(50),
        slowest_hundredth: at(99),
    }
}
