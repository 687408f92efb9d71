//! When the machine is about to sleep, and when the screen is locked: what systemd-logind says on the system bus
//! (org.freedesktop.login1(5)).
//!
//! `PrepareForSleep(true)` comes before sleep and `PrepareForSleep(false)` after it. A *delay* lock makes logind wait for
//! us; it is given back as soon as everything is forgotten. Where no lock is to be had, the second signal and the wall
//! clock still see to it. A session's `Lock` is sent when somebody asks for a locked screen, and its `LockedHint` tells
//! that a desktop has locked it by itself. Any session's counts: forgetting too often costs a look-up.

use std::collections::HashMap;

use futures_util::stream::{StreamExt as _, select_all};
use zbus::message::Type;
use zbus::names::BusName;
use zbus::zvariant::{OwnedFd, OwnedValue};
use zbus::{Connection, MatchRule, Message, MessageStream};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// Calls `forget` with the reason whenever values should go. `found` learns whether logind is there.
///
/// # Errors
/// If there is no system bus, or it ends.
pub(super) async fn watch(forget: impl Fn(&str), found: impl Fn(bool)) -> Result<(), zbus::Error> {
    let connection = Connection::system().await?;
    let mut streams = Vec::new();
    for rule in rules()? {
        streams.push(MessageStream::for_match_rule(rule, &connection, None).await?);
    }
    let mut signals = select_all(streams);
    let bus = zbus::fdo::DBusProxy::new(&connection).await?;
    found(bus.name_has_owner(BusName::try_from(NAME)?).await?);
    let mut lock = delay_lock(&connection).await;
    while let Some(signal) = signals.next().await {
        match meaning(&signal?) {
            Some(Event::Sleeping) => {
                forget("the machine goes to sleep");
                lock = None;
            }
            Some(Event::Awake) => {
                forget("the machine slept");
                if lock.is_none() {
                    lock = delay_lock(&connection).await;
                }
            }
            Some(Event::Locked) => forget("the screen is locked"),
            None => {}
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Sleeping,
    Awake,
    Locked,
}

fn rules() -> Result<[MatchRule<'static>; 3], zbus::Error> {
    let signal = || MatchRule::builder().msg_type(Type::Signal).sender(NAME);
    Ok([
        signal()?
            .interface(MANAGER)?
            .member("PrepareForSleep")?
            .build(),
        signal()?.interface(SESSION)?.member("Lock")?.build(),
        signal()?
            .interface("org.freedesktop.DBus.Properties")?
            .member("PropertiesChanged")?
            .arg(0, SESSION)?
            .build(),
    ])
}

fn meaning(signal: &Message) -> Option<Event> {
    let header = signal.header();
    match header.member()?.as_str() {
        "PrepareForSleep" => {
            let is_start = signal.body().deserialize::<bool>().ok()?;
            Some(if is_start {
                Event::Sleeping
            } else {
                Event::Awake
            })
        }
        "Lock" => Some(Event::Locked),
        "PropertiesChanged" => {
            let body = signal.body();
            let (_, changed, _): (String, HashMap<String, OwnedValue>, Vec<String>) =
                body.deserialize().ok()?;
            let is_locked = bool::try_from(changed.get("LockedHint")?.try_clone().ok()?).ok()?;
            is_locked.then_some(Event::Locked)
        }
        _ => None,
    }
}

/// Asks logind to wait with sleeping until this is dropped, for a few seconds at most (`InhibitDelayMaxSec`).
async fn delay_lock(connection: &Connection) -> Option<OwnedFd> {
    let what = (
        "sleep",
        "fnox",
        "values in memory are forgotten first",
        "delay",
    );
    let answer = connection
        .call_method(Some(NAME), PATH, Some(MANAGER), "Inhibit", &what)
        .await;
    match answer.and_then(|answer| answer.body().deserialize::<OwnedFd>()) {
        Ok(lock) => Some(lock),
        Err(error) => {
            tracing::debug!("logind does not wait: {error}");
            None
        }
    }
}
