//! Leases whose issuer is a program, a database, or one that only a person can log in to.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use fnox_core::{Clock, SystemClock};
use fnox_testkit::stand_in::github_login::GitHubLogin;
use fnox_testkit::stand_in::issuer::Misbehaviour;
use fnox_testkit::stand_in::postgres::Postgres;
use jiff::SignedDuration;

use crate::lease_issuers::{Subject, start};
use crate::lease_matrix::{clock_differs, refused, started};
use crate::lease_support::listed;

const MASTER: &str = "command-canary-7be1d24a90";

/// A lease of a program that prints what its file says.
pub(crate) fn command(clock: &dyn Clock) -> Subject {
    let lease = "type = 'command'\ncreate_command = 'sh ./issuer'\nconsumes = ['MASTER']\n\
                 produces = ['TOKEN']\ntimeout = '2s'";
    let subject = Subject::without_issuer(lease).master("MASTER", MASTER);
    issuer(&subject, &good(clock));
    subject
}

/// A lease of a user of PostgreSQL.
pub(crate) fn database(clock: Arc<dyn Clock>) -> Subject {
    let server = Rc::new(Postgres::start(clock));
    let counted = Rc::clone(&server);
    Subject::at(
        Rc::clone(&server) as _,
        &lease_of_a_database("postgres", server.port()),
        Box::new(move || counted.roles()),
    )
    .master("FNOX_DATABASE_PASSWORD", Postgres::PASSWORD)
}

/// A lease of a person's login, and the person.
pub(crate) fn github_oauth(clock: Arc<dyn Clock>) -> Subject {
    let github = start(GitHubLogin::new(), clock);
    Subject::of(&github, &lease_of_a_person(github.url()), |_| 0)
        .secret(GitHubLogin::REFRESH)
        .attended()
}

fn lease_of_a_database(engine: &str, port: u16) -> String {
    format!(
        "type = 'database'\nengine = '{engine}'\nhost = '127.0.0.1'\nport = {port}\nusername = '{}'\n\
         grants = ['GRANT SELECT ON app.orders TO {{{{ user }}}}']",
        Postgres::USER
    )
}

fn lease_of_a_person(url: &str) -> String {
    format!(
        "type = 'github-oauth'\nclient_id = '{}'\nscope = '{}'\nopen_browser = false\nkeyring_cache = false\n\
         auth_base = '{url}/login/oauth'\napi_base = '{url}/api/v3'",
        GitHubLogin::CLIENT,
        GitHubLogin::SCOPE,
    )
}

/// Replaces the program of the lease.
fn issuer(subject: &Subject, script: &str) {
    subject.sandbox.write("issuer", script);
}

fn good(clock: &dyn Clock) -> String {
    answer(clock, SignedDuration::from_mins(5), "TOKEN", "short-lived")
}

fn answer(clock: &dyn Clock, life: SignedDuration, name: &str, value: &str) -> String {
    let end = clock.now() + life;
    let mut script = "echo x >> calls\n".to_owned();
    writeln!(
        script,
        r#"printf '%s' '{{"credentials":{{"{name}":"{value}"}},"expires_at":"{end}"}}'"#
    )
    .unwrap();
    script
}

#[test]
fn a_command_fails_closed() {
    let subject = command(&SystemClock);
    let minutes = SignedDuration::from_mins(5);
    for (why, script) in [
        ("fails", "echo \"no $MASTER\" >&2; exit 1".to_owned()),
        ("tells the person to log in", "exit 4".to_owned()),
        ("is killed", "kill -9 $$".to_owned()),
        ("hangs", "sleep 60".to_owned()),
        ("prints nothing", "exit 0".to_owned()),
        ("prints its master", "echo \"$MASTER\"".to_owned()),
        (
            "prints half an answer",
            "printf '{\"credentials\":{\"TOKEN\":\"short'".to_owned(),
        ),
        ("prints no credential", "echo '{}'".to_owned()),
        (
            "prints too much",
            "head -c 2000000 /dev/zero | tr '\\0' ' '".to_owned(),
        ),
        (
            "prints what has expired",
            answer(&SystemClock, -minutes, "TOKEN", "short-lived"),
        ),
        (
            "prints another variable",
            answer(&SystemClock, minutes, "OTHER", "short-lived"),
        ),
        (
            "prints a value that no program can get",
            answer(&SystemClock, minutes, "TOKEN", "short\\u0000lived"),
        ),
        ("prints and fails", format!("{}exit 1", good(&SystemClock))),
    ] {
        issuer(&subject, &script);
        refused(&subject, &[6], why);
    }
    std::fs::remove_file(subject.sandbox.project().join("issuer")).unwrap();
    refused(&subject, &[6], "is not there");
    issuer(&subject, &good(&SystemClock));
    started(&subject, "prints a credential");
    let calls = subject.sandbox.read("calls");
    issuer(&subject, "echo x >> calls; exit 1");
    started(&subject, "with a cached credential");
    assert_eq!(subject.sandbox.read("calls"), calls);
    for seconds in [-600, 600] {
        clock_differs("command", seconds);
    }
}

#[test]
fn an_answer_of_a_database_that_is_lost_is_on_record() {
    let subject = database(Arc::new(SystemClock));
    for misbehaviour in [Misbehaviour::HangUp, Misbehaviour::Silence] {
        let before = subject.live();
        subject.issuer().misbehave(Some(misbehaviour));
        refused(&subject, &[6], "the commit is not answered");
        // The user is there and nobody has its password; `lease cleanup` looks for it.
        assert_eq!(subject.live(), before + 1);
    }
    let records = listed(&subject.sandbox);
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records.iter().all(|record| record["status"] == "pending"));
}

/// What a server of MySQL does before it has greeted.
#[derive(Debug, Clone, Copy)]
enum Greeting {
    None,
    HangUp,
    Garbage,
    /// An ERR packet without SQLSTATE, as before the handshake: 1040, too many connections.
    Full,
}

impl Greeting {
    /// A server that does only this. It ends with the test.
    fn start(self) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let said: &[u8] = match self {
                    Self::HangUp => continue,
                    Self::None => b"",
                    Self::Garbage => &[b'?'; 4096],
                    Self::Full => b"\x17\0\0\0\xff\x10\x04Too many connections",
                };
                std::thread::spawn(move || {
                    let _ = stream.write_all(said);
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest);
                });
            }
        });
        port
    }
}

#[test]
fn a_mysql_that_does_not_greet_fails_closed() {
    for greeting in [
        Greeting::None,
        Greeting::HangUp,
        Greeting::Garbage,
        Greeting::Full,
    ] {
        let lease = lease_of_a_database("mysql", greeting.start());
        let subject =
            Subject::without_issuer(&lease).master("FNOX_DATABASE_PASSWORD", Postgres::PASSWORD);
        refused(&subject, &[6], &format!("{greeting:?}"));
        let records = listed(&subject.sandbox);
        assert_eq!(records, Vec::<serde_json::Value>::new(), "{greeting:?}");
    }
}

#[test]
fn a_login_that_needs_a_person_fails_closed_where_there_is_none() {
    let github = start(GitHubLogin::new(), Arc::new(SystemClock));
    let subject = Subject::of(&github, &lease_of_a_person(github.url()), |_| 0);
    let run = refused(&subject, &[4], "nobody is at a terminal");
    assert!(run.stderr.contains("fnox lease create x -i"), "{run}");
    assert_eq!(subject.issuer().request_count(), 0);
}
