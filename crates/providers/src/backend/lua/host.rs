//! What a plugin may use of the world: the global `fnox`, and `require "fnox"`, `require "fnox.http"` and so on.
//!
//! - `fnox.version`; `fnox.auth_error(text)`, `denied_error`, `unavailable_error`, `invalid_error` raise an error of a kind
//! - `fnox.json.encode`, `decode`, `null`; `fnox.base64.encode`, `decode`
//! - `fnox.http`: see [`http`]
//! - `fnox.cmd.run(argv, options)` gives what a program prints and raises an error if it fails; `exec` gives
//!   `{ ok, status, stdout, stderr }`. A text instead of a list is a command of `sh`. Options are `stdin` and `env`.
//! - `fnox.log.debug`, `info`, `warn`, `error`
//!
//! Arguments of programs are seen by everybody on the machine: one that contains a secret that the plugin was given is
//! refused.

use std::ffi::OsString;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::{Env, SecretBytes, SecretString};
use mlua::{Lua, Table, Value};
use tokio::runtime::Runtime;

use super::failure::Raised;
use super::{Job, Stop, data, http};
use crate::error::{ErrorKind, ProviderError};
use crate::process::{Output, Program, complaint};

/// How long a secret is at least that is looked for in arguments, in bytes.
const SHORTEST_HIDDEN: usize = 8;

/// Where asynchronous work of a plugin's thread runs, and until when.
pub(super) struct Host {
    pub(super) runtime: Runtime,
    pub(super) stop: Stop,
    pub(super) connect_limit: std::time::Duration,
    pub(super) secrets: Vec<SecretString>,
    env: Env,
}

/// Adds the global `fnox` and `require`.
pub(super) fn install(
    lua: &Lua,
    job: &Job,
    stop: &Stop,
    secrets: &[SecretString],
) -> mlua::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(mlua::Error::external)?;
    let host = Rc::new(Host {
        runtime,
        stop: stop.clone(),
        connect_limit: job.connect_limit,
        secrets: secrets.to_vec(),
        env: job.env.clone(),
    });
    let fnox = lua.create_table()?;
    fnox.raw_set("version", env!("CARGO_PKG_VERSION"))?;
    for (name, kind) in [
        ("auth_error", ErrorKind::AuthenticationNeeded),
        ("denied_error", ErrorKind::Denied),
        ("unavailable_error", ErrorKind::Unavailable),
        ("invalid_error", ErrorKind::Misconfigured),
    ] {
        let raise = lua.create_function(move |_, text: Option<mlua::LuaString>| {
            let text = text.map(|text| text.to_string_lossy()).unwrap_or_default();
            Err::<(), _>(Raised::new(kind, text).into_lua())
        })?;
        fnox.raw_set(name, raise)?;
    }
    let modules = [
        ("json", json(lua)?),
        ("base64", base64(lua)?),
        ("log", log(lua, job, secrets)?),
        ("cmd", cmd(lua, &host)?),
        ("http", http::module(lua, &host)?),
    ];
    for (name, module) in &modules {
        fnox.raw_set(*name, module)?;
    }
    lua.globals().raw_set("fnox", &fnox)?;
    let require = lua.create_function(move |_, name: String| {
        let known = modules
            .iter()
            .find(|(module, _)| name.strip_prefix("fnox.") == Some(*module));
        match known {
            Some((_, module)) => Ok(module.clone()),
            None if name == "fnox" => Ok(fnox.clone()),
            None => Err(mlua::Error::runtime(format!(
                "there is no module `{}`; a plugin is one file",
                name.escape_debug()
            ))),
        }
    })?;
    lua.globals().raw_set("require", require)
}

fn json(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    module.raw_set(
        "encode",
        lua.create_function(|lua, value: Value| lua.create_string(&*data::written(&value)?))?,
    )?;
    module.raw_set(
        "decode",
        lua.create_function(|lua, text: mlua::LuaString| data::read(lua, &text.as_bytes()))?,
    )?;
    module.raw_set("null", Value::NULL)?;
    Ok(module)
}

fn base64(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    module.raw_set(
        "encode",
        lua.create_function(|_, bytes: mlua::LuaString| Ok(STANDARD.encode(bytes.as_bytes())))?,
    )?;
    module.raw_set(
        "decode",
        lua.create_function(|lua, text: mlua::LuaString| {
            let bytes = STANDARD
                .decode(text.as_bytes())
                .map_err(|_| mlua::Error::runtime("the text is not base64"))?;
            lua.create_string(SecretBytes::new(bytes).expose_secret())
        })?,
    )?;
    Ok(module)
}

fn log(lua: &Lua, job: &Job, secrets: &[SecretString]) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    for level in ["debug", "info", "warn", "error"] {
        let (name, secrets) = (job.name.clone(), secrets.to_vec());
        let write = lua.create_function(move |_, text: mlua::LuaString| {
            let secrets: Vec<&SecretString> = secrets.iter().collect();
            let text = complaint(&text.to_string_lossy(), &secrets);
            match level {
                "debug" => tracing::debug!("`{name}` says: {text}"),
                "info" => tracing::info!("`{name}` says: {text}"),
                "warn" => tracing::warn!("`{name}` says: {text}"),
                _ => tracing::error!("`{name}` says: {text}"),
            }
            Ok(())
        })?;
        module.raw_set(level, write)?;
    }
    Ok(module)
}

fn cmd(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    let of_run = Rc::clone(host);
    let run = lua.create_function(move |lua, (argv, options): (Value, Option<Table>)| {
        let command = Command::read(&of_run, &argv, options.as_ref())?;
        let output = command.run(&of_run)?;
        if output.status.success() {
            return lua.create_string(output.stdout.expose_secret());
        }
        let secrets: Vec<&SecretString> = of_run.secrets.iter().collect();
        let message = format!(
            "`{}` failed ({}): {}",
            command.name,
            output.status,
            complaint(&output.stderr, &secrets)
        );
        Err(Raised::new(ErrorKind::Unavailable, message).into_lua())
    })?;
    module.raw_set("run", run)?;
    let of_exec = Rc::clone(host);
    let exec = lua.create_function(move |lua, (argv, options): (Value, Option<Table>)| {
        let output = Command::read(&of_exec, &argv, options.as_ref())?.run(&of_exec)?;
        let answer = lua.create_table()?;
        answer.raw_set("ok", output.status.success())?;
        answer.raw_set("status", output.status.code())?;
        answer.raw_set("stdout", lua.create_string(output.stdout.expose_secret())?)?;
        answer.raw_set("stderr", output.stderr)?;
        Ok(answer)
    })?;
    module.raw_set("exec", exec)?;
    Ok(module)
}

/// A program that a plugin wants to run.
struct Command {
    name: String,
    arguments: Vec<OsString>,
    input: Option<SecretString>,
    env: Env,
}

impl Command {
    fn read(host: &Host, argv: &Value, options: Option<&Table>) -> mlua::Result<Self> {
        let argv: Vec<Vec<u8>> = match argv {
            Value::String(command) => {
                let line = command.as_bytes().to_vec();
                vec![b"sh".to_vec(), b"-c".to_vec(), line]
            }
            Value::Table(list) => list
                .sequence_values::<mlua::LuaString>()
                .map(|argument| argument.map(|argument| argument.as_bytes().to_vec()))
                .collect::<mlua::Result<_>>()?,
            _ => return Err(invalid("a command is a list of texts, or a text for `sh`")),
        };
        host.refuse_secrets(&argv)?;
        let mut argv = argv.into_iter();
        let name = argv
            .next()
            .and_then(|name| String::from_utf8(name).ok())
            .filter(|name| !name.is_empty())
            .ok_or_else(|| invalid("a command has no program"))?;
        let mut command = Self {
            name,
            arguments: argv
                .map(fnox_system::text_of_bytes)
                .collect::<std::io::Result<_>>()
                .map_err(mlua::Error::external)?,
            input: None,
            env: host.env.clone(),
        };
        if let Some(options) = options {
            command.take(options)?;
        }
        Ok(command)
    }

    fn take(&mut self, options: &Table) -> mlua::Result<()> {
        for pair in options.pairs::<String, Value>() {
            match pair? {
                (name, Value::String(text)) if name == "stdin" => {
                    let text = SecretBytes::new(text.as_bytes().to_vec()).into_string();
                    let text = text.map_err(|_| invalid("`stdin` must be UTF-8 text"))?;
                    self.input = Some(text);
                }
                (name, Value::Table(variables)) if name == "env" => {
                    let mut overlay = Vec::new();
                    for pair in variables.pairs::<String, mlua::LuaString>() {
                        let (name, value) = pair?;
                        let value = value.to_str()?;
                        overlay.push((name, SecretString::from(&*value)));
                    }
                    self.env = self.env.with_overlay(overlay);
                }
                (name, _) => {
                    let name = name.escape_debug();
                    return Err(invalid(&format!(
                        "a command has no option `{name}` of that type: `stdin` is a text, `env` a table"
                    )));
                }
            }
        }
        Ok(())
    }

    fn run(&self, host: &Host) -> mlua::Result<Output> {
        let program = Program {
            name: &self.name,
            arguments: self.arguments.clone(),
            env: &self.env,
            input: self.input.as_ref(),
            time_limit: host.stop.left(),
            install_hint: "install it: the plugin needs it",
        };
        host.runtime.block_on(program.run()).map_err(raised)
    }
}

impl Host {
    fn refuse_secrets(&self, argv: &[Vec<u8>]) -> mlua::Result<()> {
        // What is shorter is in too many texts by chance.
        let long = |secret: &&SecretString| secret.expose_secret().len() >= SHORTEST_HIDDEN;
        let mut secrets = self.secrets.iter().filter(long);
        let shows = |secret: &SecretString| {
            let secret = secret.expose_secret().as_bytes();
            argv.iter()
                .any(|argument| argument.windows(secret.len()).any(|part| part == secret))
        };
        if secrets.any(shows) {
            return Err(invalid(
                "a secret would be on a command line, which everybody on the machine can read: pass it by `stdin` or `env`",
            ));
        }
        Ok(())
    }
}

pub(super) fn raised(error: ProviderError) -> mlua::Error {
    Raised::from(error).into_lua()
}

pub(super) fn invalid(reason: &str) -> mlua::Error {
    Raised::new(ErrorKind::Misconfigured, reason).into_lua()
}
