//! An endpoint whose credentials a test sets, and raw requests to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fnox_core::{Clock, Credential, Env, LeaseName, SecretString};
use fnox_leases::Held;
use fnox_leases::delivery::endpoint::{Endpoint, EndpointEnvironment, Served, Surroundings};
use fnox_leases::delivery::{Current, Unavailable};
use fnox_testkit::FakeClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Project;

pub(crate) const NOW: &str = "2026-01-02T03:04:05Z";

pub(crate) const LEASES: &str = "
[leases.aws]
type = 'command'
create_command = 'x'
[leases.azure]
type = 'azure-token'
scope = 'https://vault.azure.net/.default'
client_id = '0-1'
[leases.google]
type = 'gcp-iam'
service_account_email = 'a@b.iam.gserviceaccount.com'
[leases.'with space']
type = 'command'
create_command = 'x'
";

pub(crate) const SESSION: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "ASIA1"),
    ("AWS_SECRET_ACCESS_KEY", "secret-1"),
    ("AWS_SESSION_TOKEN", "token-1"),
];

/// A credential that a test sets.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) lease: LeaseName,
    pub(crate) kind: String,
    pub(crate) state: Mutex<Result<Held, Unavailable>>,
}

#[async_trait]
impl Current for Fixed {
    fn lease(&self) -> &LeaseName {
        &self.lease
    }

    fn kind(&self) -> &str {
        &self.kind
    }

    async fn current(&self) -> Result<Held, Unavailable> {
        self.state.lock().unwrap().clone()
    }
}

pub(crate) fn held(lease: &str, variables: &[(&str, &str)], expires_at: Option<&str>) -> Held {
    Held {
        lease: lease.parse().unwrap(),
        credential: Credential {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
                .collect(),
            expires_at: expires_at.map(|end| end.parse().unwrap()),
            id: "id-1".to_owned(),
            private: vec![("login".to_owned(), "private-1".into())],
        },
        created_at: NOW.parse().unwrap(),
        withhold: Vec::new(),
    }
}

/// An endpoint for the leases of [`LEASES`].
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) project: Project,
    pub(crate) currents: BTreeMap<String, Arc<Fixed>>,
    pub(crate) endpoint: Endpoint,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with_env(&[])
    }

    pub(crate) fn with_env(variables: &[(&str, &str)]) -> Self {
        Self::at(
            variables,
            Arc::new(FakeClock::at(NOW)),
            "2026-01-02T04:04:05Z",
        )
    }

    /// By another clock, with credentials that end then.
    pub(crate) fn at(variables: &[(&str, &str)], clock: Arc<dyn Clock>, end: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::new(LEASES);
        let end = Some(end);
        let first = [
            held("aws", &SESSION, end),
            held("azure", &[("AZURE_ACCESS_TOKEN", "azure-1")], end),
            held("google", &[("CLOUDSDK_AUTH_ACCESS_TOKEN", "google-1")], end),
            held("with space", &[("B", "\"2"), ("A", "1")], None),
        ];
        let (mut currents, mut served) = (BTreeMap::new(), Vec::new());
        for held in first {
            let lease = &project.config.leases[held.lease.as_str()];
            let current = Arc::new(Fixed {
                lease: held.lease.clone(),
                kind: lease.spec.name.to_owned(),
                state: Mutex::new(Ok(held.clone())),
            });
            currents.insert(held.lease.to_string(), Arc::clone(&current));
            served.push(Served::new(current, lease, &held).unwrap());
        }
        let env: Env = variables.iter().copied().collect();
        let surroundings = Surroundings {
            folder: folder.path(),
            env: &env,
            clock,
        };
        let endpoint = Endpoint::start(served, &surroundings).unwrap();
        Self {
            folder,
            project,
            currents,
            endpoint,
        }
    }

    pub(crate) fn environment(&self, lease: &str) -> EndpointEnvironment {
        self.endpoint.environment(&lease.parse().unwrap())
    }

    pub(crate) fn variable(&self, lease: &str, name: &str) -> String {
        let environment = self.environment(lease);
        let (_, value) = environment
            .set
            .iter()
            .find(|(own, _)| own == name)
            .unwrap_or_else(|| panic!("no {name}"));
        value.expose_secret().to_owned()
    }

    /// A file that a variable names.
    pub(crate) fn file(&self, lease: &str, name: &str) -> String {
        std::fs::read_to_string(self.variable(lease, name)).unwrap()
    }

    /// The path behind a variable with a URL of this endpoint.
    pub(crate) fn path(&self, lease: &str, name: &str) -> String {
        let url = self.variable(lease, name);
        let base = format!("http://127.0.0.1:{}", self.endpoint.port());
        url.strip_prefix(&base).unwrap().to_owned()
    }

    pub(crate) fn change(&self, lease: &str, state: Result<Held, Unavailable>) {
        *self.currents[lease].state.lock().unwrap() = state;
    }

    /// Sends a request; `Host` and `Connection` are added.
    pub(crate) async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = format!("127.0.0.1:{}", self.endpoint.port());
        let mut all = vec![("Host", host.as_str()), ("Connection", "close")];
        all.extend_from_slice(headers);
        self.raw(line, &all, body).await
    }

    pub(crate) async fn raw(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{line} HTTP/1.1\r\n");
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        write!(text, "\r\n{body}").unwrap();
        let address = ("127.0.0.1", self.endpoint.port());
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Answer::parse(&answer)
    }

    /// A question that is answered, as (line, headers).
    pub(crate) fn aws_question(&self) -> (String, String) {
        let path = self.path("aws", "AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let token = self.file("aws", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        (format!("GET {path}"), token)
    }

    pub(crate) async fn aws(&self) -> Answer {
        let (line, token) = self.aws_question();
        self.ask(&line, &[("Authorization", &token)], "").await
    }

    pub(crate) async fn generic(&self, path: &str) -> Answer {
        let token = self.file("aws", "FNOX_CREDENTIALS_TOKEN_FILE");
        let url = self.path("aws", "FNOX_CREDENTIALS_URL");
        let bearer = format!("Bearer {token}");
        self.ask(
            &format!("GET {url}{path}"),
            &[("Authorization", &bearer)],
            "",
        )
        .await
    }

    pub(crate) async fn azure(&self, query: &str) -> Answer {
        let path = self.path("azure", "IDENTITY_ENDPOINT");
        let header = self.variable("azure", "IDENTITY_HEADER");
        self.ask(
            &format!("GET {path}?{query}"),
            &[("X-IDENTITY-HEADER", &header)],
            "",
        )
        .await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect(text);
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        Self {
            status: line.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: headers.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.headers.contains("cache-control: no-store"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "{self:?}");
        for secret in ["secret-1", "token-1", "azure-1", "google-1", "ASIA1"] {
            assert!(!self.body.contains(secret), "{self:?}");
        }
        serde_json::from_str(&self.body).unwrap()
    }
}
