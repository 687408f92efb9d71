//! Strangers who take connections, descriptors, time or memory: the vault lives, with bounded memory, and serves
//! others.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use fnox_testkit::wait::{until, within};
use fnox_vault_wire::{Client, ClientOptions, Connector};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::vault_process::{
    self, Home, LIMIT, Process, access, health, number_from_environment, request,
};

const HELLO: &[u8] = br#"{"protocol":"fnox-vault","version":1}"#;
/// What 500 strangers, or 2 000 idle guests, may cost: generous, and far below what they would like to take.
const MOST_KIB: u64 = 96 * 1024;

fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length, body].concat()
}

/// A connection that has said hello, as a program without this project's client would.
fn greeted(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(&frame(HELLO)).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains(r#""ok":true"#), "{answer}");
    stream
}

/// Everything that the vault still says, up to its end of the connection.
fn rest(mut stream: UnixStream) -> Vec<u8> {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // It closed without having read everything.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the vault keeps the connection: {error}"),
    }
    bytes
}

/// Lets this process have as many descriptors as it may; how many.
fn all_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A new guest comes in and is served.
async fn serves(vault: &Process) -> Client {
    let administrator = vault.administrator().await;
    assert_eq!(health(&administrator).await.status, "ok");
    administrator
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_free_descriptors_the_vault_lives_and_accepts_again_later() {
    let home = Home::new();
    let command = ["prlimit", "--nofile=64:64", "env", "RUST_LOG=warn"];
    let vault = home.serve_through(&command);
    let administrator = vault.administrator().await;
    vault_process::store(&administrator, "value").await;
    let grant = request(&administrator, "agent-1", None).await.unwrap();
    all_descriptors();
    let strangers: Vec<UnixStream> = (0..200)
        .map(|_| UnixStream::connect(home.socket()).unwrap())
        .collect();
    let mut options = ClientOptions::new(Connector::Unix(home.socket()));
    options.connect_timeout = Duration::from_millis(500);
    let refused = Client::connect(options).await;
    assert!(refused.is_err(), "there was a descriptor left");
    // Those who are in are served.
    assert_eq!(
        access(&administrator, grant.lease_id).await.unwrap(),
        "value"
    );
    drop(strangers);
    let newcomer = serves(&vault).await;
    assert_eq!(access(&newcomer, grant.lease_id).await.unwrap(), "value");
    let ended = vault.end();
    assert!(ended.stderr.contains("could not be accepted"), "{ended}");
    assert!(!ended.stderr.contains("panicked"), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_cost_little_and_are_all_answered() {
    let wanted = number_from_environment("FNOX_TEST_CONNECTIONS").unwrap_or(2000);
    let count = wanted.min(all_descriptors().saturating_sub(300));
    if count < wanted {
        eprintln!("only {count} of {wanted} connections: this system allows no more descriptors");
    }
    let home = Home::new();
    let vault = home.serve();
    let administrator = vault.administrator().await;
    let before = vault.status("VmRSS");
    let socket = home.socket();
    let threads: Vec<_> = (0..8)
        .map(|part| {
            let socket = socket.clone();
            let own = (part..count).step_by(8).count();
            std::thread::spawn(move || (0..own).map(|_| greeted(&socket)).collect::<Vec<_>>())
        })
        .collect();
    let mut idle: Vec<UnixStream> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    let open = health(&administrator).await.details.unwrap().connections;
    assert_eq!(open, count + 1);
    let grown = vault.status("VmRSS").saturating_sub(before);
    assert!(grown < MOST_KIB.max(count * 24), "{grown} KiB for {count}");
    // None of them was forgotten.
    let ask =
        frame(br#"{"id":"01890000-0000-7000-8000-000000000001","method":"whoami","params":{}}"#);
    for stream in &mut idle {
        stream.write_all(&ask).unwrap();
    }
    for stream in &mut idle {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("admin"), "{answer}");
    }
    serves(&vault).await;
    drop(idle);
    let left = async || health(&administrator).await.details.unwrap().connections;
    let end = tokio::time::Instant::now() + LIMIT;
    while left().await > 1 {
        assert!(tokio::time::Instant::now() < end, "they are still counted");
    }
    vault.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_announce_much_and_say_little_get_neither_memory_nor_time() {
    const EACH: usize = 100;
    let home = Home::new();
    let vault = home.serve();
    let administrator = vault.administrator().await;
    all_descriptors();
    let before = vault.status("VmRSS");
    let megabyte = (1_u32 << 20).to_be_bytes();
    let hello = frame(HELLO);
    let large = [&megabyte[..], &vec![b'{'; 64 * 1024]].concat();
    let first_bytes: [&[u8]; 5] = [
        // Nothing, a part of a header, a header alone, half a hello, and 1 MiB announced with 64 KiB sent.
        b"",
        &hello[..2],
        &hello[..4],
        &hello[..hello.len() / 2],
        &large,
    ];
    let mut strangers = Vec::new();
    for socket in [home.socket(), home.agents_socket()] {
        for bytes in first_bytes {
            for _ in 0..EACH / 2 {
                let mut stream = UnixStream::connect(&socket).unwrap();
                stream.set_write_timeout(Some(LIMIT)).unwrap();
                // The vault may close before it has read all of it.
                drop(stream.write_all(bytes));
                strangers.push((bytes.len(), stream));
            }
        }
    }
    // While all of them wait, others are served.
    serves(&vault).await;
    let grown = vault.status("VmRSS").saturating_sub(before);
    assert!(
        grown < MOST_KIB,
        "{grown} KiB for {} strangers",
        strangers.len()
    );
    for (sent, stream) in strangers {
        let said = tokio::task::spawn_blocking(move || rest(stream))
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains(r#""ok":true"#), "{said}");
        // A frame that cannot be a hello is told so, before its bytes are read.
        if sent == large.len() && !said.is_empty() {
            assert!(said.contains("invalid_request"), "{said}");
        }
    }
    let open = health(&administrator).await.details.unwrap().connections;
    assert_eq!(open, 1, "strangers are still counted");
    let ended = vault.end();
    assert!(!ended.stderr.contains("panicked"), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_byte_by_byte_ends_at_the_time_limit_however_busy_it_looks() {
    let home = Home::new();
    let vault = home.serve();
    let mut stream = UnixStream::connect(home.agents_socket()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let body = [b' '; 4000];
    let mut bytes = frame(&body).into_iter();
    // One byte each 20 ms is more than a minute for the whole.
    let ended = within(LIMIT, || {
        let sent = stream.write_all(&[bytes.next()?]);
        let mut answer = [0; 512];
        match (sent, stream.read(&mut answer)) {
            (Err(_), _) | (_, Ok(0)) => Some(()),
            (_, Ok(_)) => panic!("the vault took it for a hello"),
            (_, Err(error)) if error.kind() == ErrorKind::ConnectionReset => Some(()),
            (_, Err(_)) => None,
        }
    });
    assert!(ended.is_some(), "the vault listened to all of it");
    assert!(bytes.len() > 0);
    serves(&vault).await;
    vault.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_announced_after_the_hello_take_memory_only_as_they_come() {
    let home = Home::new();
    let vault = home.serve();
    let administrator = vault.administrator().await;
    let before = vault.status("VmRSS");
    let mut guests = Vec::new();
    for _ in 0..200 {
        let mut guest = greeted(&home.socket());
        guest.write_all(&(1_u32 << 20).to_be_bytes()).unwrap();
        guest.write_all(b"{\"id\":").unwrap();
        guests.push(guest);
    }
    serves(&vault).await;
    let grown = vault.status("VmRSS").saturating_sub(before);
    assert!(grown < MOST_KIB, "{grown} KiB for 200 announced MiB");
    // One byte more than a frame may have is told, and ends the connection.
    let mut guest = greeted(&home.socket());
    guest.write_all(&((1_u32 << 20) + 1).to_be_bytes()).unwrap();
    drop(rest(guest));
    drop(guests);
    let sockets = home.socket();
    until("the vault to serve", LIMIT, || {
        UnixStream::connect(&sockets).is_ok()
    });
    assert_eq!(health(&administrator).await.status, "ok");
    vault.end();
}
