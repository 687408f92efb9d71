//! The daemon and systemd-logind: a stand-in on a bus of its own that behaves as org.freedesktop.login1(5) says.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use fnox_testkit::services::Session;
use fnox_testkit::wait;
use zbus::zvariant::{OwnedFd, Value};
use zbus::{Connection, connection, interface};

use crate::daemon_support::World;

const LIMIT: Duration = Duration::from_secs(30);
const MANAGER: &str = "/org/freedesktop/login1";
const SESSION: &str = "/org/freedesktop/login1/session/_31";

/// The manager object. It gives what it keeps of each lock to the test.
struct Manager(Sender<std::io::PipeReader>);

#[interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    /// "`Inhibit()` creates an inhibition lock. It takes four parameters: what, who, why, and mode … The lock is
    /// released the moment this file descriptor (and all its duplicates) are closed."
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::fdo::Result<OwnedFd> {
        if (what, mode) != ("sleep", "delay") || who.is_empty() || why.is_empty() {
            return Err(zbus::fdo::Error::InvalidArgs("another lock".to_owned()));
        }
        let (reader, writer) =
            std::io::pipe().map_err(|error| zbus::fdo::Error::Failed(error.to_string()))?;
        self.0
            .send(reader)
            .map_err(|error| zbus::fdo::Error::Failed(error.to_string()))?;
        Ok(std::os::fd::OwnedFd::from(writer).into())
    }
}

/// logind, as far as the daemon sees it.
struct Logind {
    connection: Connection,
    locks: Receiver<std::io::PipeReader>,
}

impl Logind {
    async fn on(bus: &Session) -> Self {
        let [(_, address)] = bus.variables();
        let (given, locks) = channel();
        let connection = connection::Builder::address(address.as_str())
            .unwrap()
            .name("org.freedesktop.login1")
            .unwrap()
            .serve_at(MANAGER, Manager(given))
            .unwrap()
            .build()
            .await
            .unwrap();
        Self { connection, locks }
    }

    async fn prepare_for_sleep(&self, start: bool) {
        let interface = "org.freedesktop.login1.Manager";
        let signal = self.connection.emit_signal(
            None::<&str>,
            MANAGER,
            interface,
            "PrepareForSleep",
            &start,
        );
        signal.await.unwrap();
    }

    async fn lock(&self) {
        let interface = "org.freedesktop.login1.Session";
        let signal = self
            .connection
            .emit_signal(None::<&str>, SESSION, interface, "Lock", &());
        signal.await.unwrap();
    }

    async fn hint(&self, is_locked: bool) {
        let changed = HashMap::from([("LockedHint", Value::from(is_locked))]);
        let body = (
            "org.freedesktop.login1.Session",
            changed,
            Vec::<String>::new(),
        );
        let interface = "org.freedesktop.DBus.Properties";
        let signal = self.connection.emit_signal(
            None::<&str>,
            SESSION,
            interface,
            "PropertiesChanged",
            &body,
        );
        signal.await.unwrap();
    }
}

fn world_on(bus: &Session) -> World {
    let [(_, address)] = bus.variables();
    World::within(crate::support::sandbox().with_env("DBUS_SYSTEM_BUS_ADDRESS", address))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon"]
async fn it_forgets_before_the_machine_sleeps_and_when_the_screen_is_locked() {
    let bus = Session::bare();
    let logind = Logind::on(&bus).await;
    let world = world_on(&bus);
    world.get("A");
    wait::until("it listens to logind", LIMIT, || {
        world.status()["watches_session"] == true
    });
    let mut lock = logind.locks.recv_timeout(LIMIT).unwrap();

    logind.prepare_for_sleep(true).await;
    // The machine sleeps when the lock is given back, and then nothing may be left.
    assert_eq!(lock.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(world.kept(), 0);
    logind.prepare_for_sleep(false).await;
    let _next = logind.locks.recv_timeout(LIMIT).unwrap();

    world.get("A");
    assert_eq!(world.kept(), 1);
    logind.lock().await;
    wait::until("the lock is noticed", LIMIT, || world.kept() == 0);

    world.get("A");
    logind.hint(false).await;
    logind.hint(true).await;
    wait::until("the hint is noticed", LIMIT, || world.kept() == 0);
    assert_eq!(world.asked("a"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon"]
async fn only_logind_is_believed() {
    let bus = Session::bare();
    let logind = Logind::on(&bus).await;
    let world = world_on(&bus);
    world.get("A");
    wait::until("it listens to logind", LIMIT, || {
        world.status()["watches_session"] == true
    });
    let [(_, address)] = bus.variables();
    let stranger = connection::Builder::address(address.as_str())
        .unwrap()
        .build()
        .await
        .unwrap();
    let interface = "org.freedesktop.login1.Session";
    stranger
        .emit_signal(None::<&str>, SESSION, interface, "Lock", &())
        .await
        .unwrap();
    // What logind says after the stranger arrives after it.
    world.get("B");
    logind.hint(false).await;
    assert_eq!(world.kept(), 2);
    logind.lock().await;
    wait::until("logind's own lock is noticed", LIMIT, || world.kept() == 0);
}

#[test]
#[ignore = "needs dbus-daemon"]
fn without_logind_it_works_and_says_so() {
    let bus = Session::bare();
    let world = world_on(&bus);
    world.get("A");
    world.get("A");
    assert_eq!(world.asked("a"), 1);
    assert_eq!(world.status()["watches_session"], false);
}
