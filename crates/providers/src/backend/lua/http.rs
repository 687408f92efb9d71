//! `fnox.http`: calls over the project's own client.
//!
//! `request{ method, url, headers, query, body, timeout }`, `get(url, options)`, `delete`, `post(url, body, options)`, `put`,
//! `patch`. The answer is `{ status, ok, headers, body }`. Only `https`, and `http` on this machine; no redirects; answers of at
//! most 32 MiB; all calls together end with the plugin's time. What fails for good raises an error of its kind.

use std::rc::Rc;
use std::time::Duration;

use fnox_core::{SecretBytes, SecretString};
use fnox_http::header::HeaderName;
use fnox_http::{Call, Limits, Method, Service, address};
use mlua::{Lua, Table, Value};

use super::host::{Host, invalid, raised};

const ANSWER_LIMIT: usize = 32 * 1024 * 1024;

/// A URL, a body, options.
type Arguments = (String, Option<mlua::LuaString>, Option<Table>);

pub(super) fn module(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    let of_request = Rc::clone(host);
    let request = lua.create_function(move |lua, options: Table| {
        let method: String = options
            .raw_get::<Option<String>>("method")?
            .unwrap_or_else(|| "GET".to_owned());
        let url: String = options.raw_get("url")?;
        send(lua, &of_request, &method, &url, Some(&options))
    })?;
    module.raw_set("request", request)?;
    for (name, method) in [("get", "GET"), ("delete", "DELETE")] {
        let host = Rc::clone(host);
        let call = lua.create_function(move |lua, (url, options): (String, Option<Table>)| {
            send(lua, &host, method, &url, options.as_ref())
        })?;
        module.raw_set(name, call)?;
    }
    for (name, method) in [("post", "POST"), ("put", "PUT"), ("patch", "PATCH")] {
        let host = Rc::clone(host);
        let call = lua.create_function(move |lua, (url, body, options): Arguments| {
            let options = match options {
                Some(options) => options,
                None => lua.create_table()?,
            };
            if let Some(body) = body {
                options.raw_set("body", body)?;
            }
            send(lua, &host, method, &url, Some(&options))
        })?;
        module.raw_set(name, call)?;
    }
    Ok(module)
}

fn send(
    lua: &Lua,
    host: &Host,
    method: &str,
    url: &str,
    options: Option<&Table>,
) -> mlua::Result<Table> {
    let url = address::parse(url).map_err(|reason| invalid(&format!("the URL {reason}")))?;
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| invalid("that is no method of HTTP"))?;
    let is_safe = method.is_safe();
    let mut call = Call::new(method, url);
    if !is_safe {
        call = call.changes();
    }
    let mut limit = host.stop.left();
    if let Some(options) = options {
        call = filled(call, options)?;
        if let Some(seconds) = options.raw_get::<Option<f64>>("timeout")? {
            let asked = Duration::try_from_secs_f64(seconds)
                .map_err(|_| invalid("`timeout` must be a number of seconds"))?;
            limit = limit.min(asked);
        }
    }
    let limits = Limits {
        answer: ANSWER_LIMIT,
        ..Limits::new(host.connect_limit.min(limit), limit)
    };
    let work = async {
        let mut service = Service::new("the plugin's server", limits, None)?;
        for secret in &host.secrets {
            service.hide(secret);
        }
        service.send(call).await
    };
    let answer = host
        .runtime
        .block_on(work)
        .map_err(|error| raised(error.into()))?;
    let headers = lua.create_table()?;
    for (name, value) in &answer.headers {
        headers.raw_set(name.as_str(), lua.create_string(value.as_bytes())?)?;
    }
    let out = lua.create_table()?;
    let status = answer.status();
    out.raw_set("status", status)?;
    out.raw_set("ok", (200..300).contains(&status))?;
    out.raw_set("headers", headers)?;
    out.raw_set("body", lua.create_string(answer.body.as_slice())?)?;
    Ok(out)
}

/// The parts of a call that options give. Header values may be secret, and are treated so.
fn filled(mut call: Call, options: &Table) -> mlua::Result<Call> {
    if let Some(query) = options.raw_get::<Option<Table>>("query")? {
        for pair in query.pairs::<String, String>() {
            let (name, value) = pair?;
            call = call.query(&name, &value);
        }
    }
    if let Some(headers) = options.raw_get::<Option<Table>>("headers")? {
        for pair in headers.pairs::<String, mlua::LuaString>() {
            let (name, value) = pair?;
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| invalid("a header has a name that none can have"))?;
            let value = SecretBytes::new(value.as_bytes().to_vec());
            let value: SecretString = value
                .into_string()
                .map_err(|_| invalid("a header's value must be UTF-8 text"))?;
            call = call
                .secret_header(name, &value)
                .map_err(|error| raised(error.into()))?;
        }
    }
    match options.raw_get("body")? {
        Value::Nil => Ok(call),
        Value::String(body) => Ok(call.body(body.as_bytes().to_vec())),
        _ => Err(invalid(
            "`body` must be a text; `fnox.json.encode` makes one",
        )),
    }
}
