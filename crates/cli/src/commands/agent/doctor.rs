//! `fnox agent doctor`: whether the programs that are here use the gateway and believe it, by a request of each.
//!
//! Each is asked to fetch something from a host of its own that does not exist (RFC 6761, section 6.4). The gateway refuses all of
//! them; that it saw one, inside of TLS, is the proof.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::{AgentId, Host, SecretString};
use fnox_gateway::approval::Nobody;
use fnox_gateway::authority::Authority;
use fnox_gateway::destination::{AddressPolicy, Dialer};
use fnox_gateway::placeholder::Placeholders;
use fnox_gateway::policy::Policy;
use fnox_gateway::proxy::{
    Client, ClientPassword, Credentials, Exchange, Gateway, Lent, Observer, OneClient, Options,
    Trust,
};
use fnox_gateway::reflection::ScanPolicy;
use fnox_gateway::rule::Rule;
use fnox_gateway::{Reason, Refusal};
use tokio::net::TcpListener;

use super::session::TrustFiles;
use crate::app::App;
use crate::args::agent::AgentDoctorArgs;
use crate::error::CliError;
use crate::exec::captured::{self, Captured, End, Limits};
use crate::exec::plan::EnvironmentPlan;
use crate::gateway::documents::{ToolReport, Trial};
use crate::gateway::out_of_reach;
use crate::gateway::tools::{TOOLS, Tool};
use crate::output::Table;
use crate::terminal::harmless;

/// How long a tool may take. Some start slowly.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often, and how long apart, it is looked whether a tool that has ended was seen.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Below this, each tool has a host of its own.
const HOSTS: &str = "doctor.fnox.invalid";

/// Clients at a time.
const CONNECTIONS: usize = 64;

pub(super) fn run(app: &App, args: &AgentDoctorArgs) -> Result<(), CliError> {
    let wanted = wanted(app, &args.tools)?;
    if wanted.is_empty() {
        let known: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        app.printer.say(&format!(
            "None of the programs that can be tried is on PATH: {}",
            known.join(", ")
        ));
        return if args.json {
            app.printer.json(&Vec::<ToolReport>::new())
        } else {
            Ok(())
        };
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let reports = runtime.block_on(async {
        let surgery = Surgery::open(app).await?;
        let mut reports = Vec::new();
        for tool in wanted {
            app.printer.say(&format!("trying {}", tool.name));
            reports.push(surgery.examine(tool).await);
        }
        Ok::<_, CliError>(reports)
    });
    // A tool that hangs on to its connection is nothing to wait for.
    runtime.shutdown_background();
    let reports = reports?;
    if args.json {
        app.printer.json(&reports)?;
    } else {
        app.printer.line(&table(&reports))?;
        for report in &reports {
            if let Some(remedy) = report.remedy {
                app.printer.line(&format!("{}: {remedy}", report.tool))?;
            }
        }
    }
    let failed: Vec<&str> = reports
        .iter()
        .filter(|report| report.trial != Trial::Works)
        .map(|report| report.tool)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(format!(
        "these do not work behind the gateway: {}",
        failed.join(", ")
    )))
}

/// Those that are named, or those that are here.
fn wanted(app: &App, names: &[String]) -> Result<Vec<&'static Tool>, CliError> {
    let is_here = |tool: &&Tool| {
        let path = app.env.var_os("PATH").unwrap_or_default();
        std::env::split_paths(path).any(|folder| folder.join(tool.command[0]).is_file())
    };
    if names.is_empty() {
        return Ok(TOOLS.iter().filter(is_here).collect());
    }
    let chosen = names.iter().map(|name| {
        let tool = TOOLS.iter().find(|tool| tool.name == name);
        let tool = tool.ok_or_else(|| {
            let known: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
            CliError::usage(format!(
                "there is no trial for `{name}`, but for {}",
                known.join(", ")
            ))
        })?;
        if is_here(&tool) {
            Ok(tool)
        } else {
            Err(CliError::failed(format!("`{name}` is not on PATH")))
        }
    });
    chosen.collect()
}

/// A gateway that lets nothing out, and the environment of its programs.
struct Surgery {
    witness: Arc<Witness>,
    environment: EnvironmentPlan,
    outside: fnox_core::Env,
    _files: TrustFiles,
}

impl Surgery {
    async fn open(app: &App) -> Result<Self, CliError> {
        let failed = |error: String| CliError::failed(error);
        let witness = Arc::new(Witness::default());
        let password = ClientPassword::random(&mut rand::rng());
        let in_url = SecretString::from(password.expose_secret());
        let agent = AgentId::parse("doctor").map_err(|error| CliError::usage(error.to_string()))?;
        let trust = Trust::system();
        let system = trust.to_pem();
        let client = Client::new(agent, Arc::new(NoValues), Vec::new());
        let gateway = Gateway::new(Options {
            policy: Policy::default(),
            clients: Arc::new(OneClient::new(client, Some(password))),
            placeholders: Placeholders::default().into(),
            authority: Authority::new(Arc::new(app.clock))
                .map_err(|error| failed(error.to_string()))?,
            dialer: Dialer::new(AddressPolicy::default()),
            trust,
            scan: ScanPolicy::default(),
            connections: CONNECTIONS,
            observer: witness.clone(),
            approver: Arc::new(Nobody),
        })
        .map_err(|error| failed(error.to_string()))?;
        let mut files = TrustFiles::write(app, &gateway, &system)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|error| failed(format!("the gateway gets no port of 127.0.0.1: {error}")))?;
        let port = listener.local_addr().map_err(CliError::Output)?.port();
        tokio::spawn(async move { gateway.serve(listener).await });
        let set = files.variables(app, (port, false), &in_url)?;
        Ok(Self {
            witness,
            environment: EnvironmentPlan {
                remove: out_of_reach::known()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                set,
                ..EnvironmentPlan::default()
            },
            outside: app.env.clone(),
            _files: files,
        })
    }

    async fn examine(&self, tool: &'static Tool) -> ToolReport {
        let host = format!("{}.{HOSTS}", tool.name);
        let told = |text: &str| text.replace("{host}", &host);
        let command: Vec<OsString> = tool.command.iter().map(|it| told(it).into()).collect();
        let mut plan = self.environment.clone();
        for (name, value) in tool.variables {
            plan.remove.remove(*name);
            plan.set.push(((*name).to_owned(), told(value).into()));
        }
        let environment = plan.apply(&self.outside, &[]);
        let limits = Limits {
            time: PATIENCE,
            bytes: 4096,
        };
        let ran = captured::run(
            &command,
            &environment,
            None,
            &limits,
            std::future::pending(),
        );
        let ran = ran.await;
        self.witness.wait_for(&host).await;
        let (trial, detail, remedy) = match (self.witness.saw(&host), ran) {
            (Some(Saw::Request), _) => (Trial::Works, "its request came through".to_owned(), None),
            (Some(Saw::Broken(problem)), _) => (
                Trial::Distrusts,
                format!("it found the gateway, and {problem}"),
                Some(tool.remedy),
            ),
            (None, Err(error)) => (Trial::Absent, error.to_string(), None),
            (None, Ok(ran)) => (Trial::PassesBy, passed_by(&ran), Some(tool.remedy)),
        };
        ToolReport {
            tool: tool.name,
            trial,
            detail,
            remedy,
        }
    }
}

/// Why nothing came, in the tool's own last words where it has any: it may not have got as far as to ask.
fn passed_by(ran: &Captured) -> String {
    let nothing = match ran.end {
        End::TimedOut => "it took too long, and no request of it came through",
        _ => "no request of it came through",
    };
    let said = ran.stderr.text.trim_end().lines().next_back();
    match said.map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => format!("{nothing}. It said: {}", harmless(line)),
        None => nothing.to_owned(),
    }
}

/// Remembers what came, by host.
#[derive(Debug, Default)]
struct Witness(Mutex<HashMap<String, Saw>>);

#[derive(Debug, Clone)]
enum Saw {
    Request,
    Broken(String),
}

impl Witness {
    fn saw(&self, host: &str) -> Option<Saw> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(host).cloned()
    }

    /// The gateway may notice a broken handshake only after the program is gone.
    async fn wait_for(&self, host: &str) {
        for _ in 0..LOOKS {
            if self.saw(host).is_some() {
                return;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

impl Observer for Witness {
    fn exchanged(&self, exchange: &Exchange<'_>) {
        let is_a_client =
            !matches!(exchange.outcome, Err(refusal) if refusal.reason == Reason::Unauthenticated);
        if is_a_client {
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(exchange.host.name().clone(), Saw::Request);
        }
    }

    fn broken(&self, host: &Host, problem: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(host.name().clone())
            .or_insert_with(|| Saw::Broken(problem.to_owned()));
    }
}

/// There are no values here: no rule asks for one.
#[derive(Debug)]
struct NoValues;

#[async_trait::async_trait]
impl Credentials for NoValues {
    async fn value(&self, rule: &Rule, _: &Host) -> Result<Lent, Refusal> {
        Err(Refusal::new(Reason::Credential, "there are no values here").by_rule(&rule.name))
    }
}

fn table(reports: &[ToolReport]) -> String {
    let mut table = Table::new(&["TOOL", "", "WHAT CAME OF IT"], false);
    for report in reports {
        let mark = match report.trial {
            Trial::Works => "ok",
            _ => "no",
        };
        table.row(vec![
            report.tool.to_owned(),
            mark.to_owned(),
            report.detail.clone(),
        ]);
    }
    table.render()
}
