//! `fnox agent bridge`: inside of a sandbox, the only way out.
//!
//! The sandbox has a network of its own with nothing in it. Programs expect a proxy at a port of loopback; each
//! connection to it goes to the gateway's socket, the one thing of the outside that can be reached.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use fnox_core::ExitStatus;

use crate::app::App;
use crate::args::agent::BridgeArgs;
use crate::error::CliError;
use crate::exec::orders::SharedOrders;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::{self, Invocation};
#[cfg(target_os = "linux")]
use crate::gateway::confinement;

pub(super) fn run(app: &App, args: &BridgeArgs) -> Result<ExitStatus, CliError> {
    let listener = TcpListener::bind(("127.0.0.1", args.port)).map_err(|error| {
        let port = args.port;
        CliError::failed(format!(
            "the sandbox gets no port {port} of 127.0.0.1: {error}"
        ))
    })?;
    // Before there is another thread, which would go without.
    confine(app, args)?;
    let socket = args.socket.clone();
    thread::spawn(move || accept(&listener, &socket));
    exec::run(Invocation {
        folders: &app.folders,
        env: &app.env,
        plan: EnvironmentPlan::default(),
        command: &args.command,
        redact: false,
        replace: false,
        orders: SharedOrders::default(),
    })
}

/// Gives up what no program in a sandbox needs. What this kernel cannot do is told, once for each run.
#[cfg(target_os = "linux")]
fn confine(app: &App, args: &BridgeArgs) -> Result<(), CliError> {
    let missing = confinement::confine(&args.writable).map_err(|problem| CliError::NotStarted {
        message: format!("the program does not run without its sandbox: {problem}"),
        status: ExitStatus::Failure,
        help: Some("`--no-sandbox` runs it without".to_owned()),
    })?;
    if !missing.is_empty() {
        app.printer.warn(&format!(
            "this kernel has no {}: the sandbox goes without",
            missing.join(" and no ")
        ));
    }
    Ok(())
}

/// Nobody is inside a sandbox here, whatever called this.
#[cfg(not(target_os = "linux"))]
fn confine(_: &App, _: &BridgeArgs) -> Result<(), CliError> {
    Err(crate::gateway::sandbox::absent())
}

fn accept(listener: &TcpListener, socket: &Path) {
    for near in listener.incoming().flatten() {
        let socket: PathBuf = socket.to_owned();
        // A connection that fails is closed, and the program told so by that.
        thread::spawn(move || relay(&near, &socket));
    }
}

fn relay(near: &TcpStream, socket: &Path) -> io::Result<()> {
    near.set_nodelay(true)?;
    let far = UnixStream::connect(socket)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*near, &mut &far);
            let _ = far.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &far, &mut &*near);
        let _ = near.shutdown(Shutdown::Both);
        let _ = far.shutdown(Shutdown::Both);
    });
    Ok(())
}
