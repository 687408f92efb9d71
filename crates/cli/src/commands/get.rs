//! `fnox get`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_config::Config;
use fnox_core::{Clock as _, SecretBytes, SecretName, SecretString};
use fnox_providers::resolve::{Options, Resolution};

use crate::app::{App, block_on};
use crate::args::GetArgs;
use crate::commands::files;
use crate::commands::masters::{lease_of_variable, mint_variable};
use crate::error::CliError;
use crate::exec;
use crate::output::documents::SecretValue;
use crate::team::reading::Reading;

pub(crate) fn run(app: &App, args: &GetArgs) -> Result<(), CliError> {
    if let Some(path) = &args.file {
        return files::value::get(app, path);
    }
    // One of both is there.
    let key = args.key.as_deref().unwrap_or_default();
    let config = app.load()?;
    let value = match lease_of_variable(app, &config, key)? {
        Some(lease) => Some(mint_variable(app, &config, &lease, key)?),
        None => watched(app, &config, key, options(app, &config, key, args.refresh)?)?,
    };
    let Some(value) = value else { return Ok(()) };
    let value = if args.base64_decode {
        decode(key, &value)?
    } else {
        value
    };
    let as_file = config.secrets.get(key).is_some_and(|secret| secret.as_file);
    if as_file {
        let path = exec::files::write_persistent(&app.folders, app.clock.now(), key, &value)?;
        return app.printer.line(&path.display().to_string());
    }
    if args.json {
        let document = SecretValue {
            name: key,
            value: value.expose_secret(),
        };
        return app.printer.json(&document);
    }
    app.printer.line(value.expose_secret())
}

/// What stands under a name: a variable of a lease, or a secret, which the daemon may have. `is_fresh`: it is fetched anew.
pub(crate) fn value(
    app: &App,
    config: &Config,
    key: &str,
    is_fresh: bool,
) -> Result<Option<SecretString>, CliError> {
    if let Some(lease) = lease_of_variable(app, config, key)? {
        return mint_variable(app, config, &lease, key).map(Some);
    }
    resolve_with(app, config, key, options(app, config, key, is_fresh)?)
}

fn options(app: &App, config: &Config, key: &str, is_fresh: bool) -> Result<Options, CliError> {
    let fresh = is_fresh.then(|| key.to_owned());
    app.reading_options(config, fresh.as_slice())
}

/// The value of a secret, which the daemon may have; `None` if it may be missing and is. A failing provider is always an error here: a value was
/// asked for by name.
pub(crate) fn resolve(
    app: &App,
    config: &Config,
    key: &str,
) -> Result<Option<SecretString>, CliError> {
    resolve_with(app, config, key, app.reading_options(config, &[])?)
}

/// Whoever calls this goes on afterwards, and hears its signals itself.
fn resolve_with(
    app: &App,
    config: &Config,
    key: &str,
    options: Options,
) -> Result<Option<SecretString>, CliError> {
    resolve_by(app, config, key, options, |reading, wanted| {
        Ok(block_on(reading.resolver.resolve(wanted))??)
    })
}

/// The same for the command itself: a signal takes back what a person was asked.
fn watched(
    app: &App,
    config: &Config,
    key: &str,
    options: Options,
) -> Result<Option<SecretString>, CliError> {
    resolve_by(app, config, key, options, |reading, wanted| {
        reading.resolve(wanted)
    })
}

fn resolve_by(
    app: &App,
    config: &Config,
    key: &str,
    mut options: Options,
    resolve: impl FnOnce(&Reading<'_>, &[SecretName]) -> Result<Resolution, CliError>,
) -> Result<Option<SecretString>, CliError> {
    let secret = config.secret(key)?;
    let wanted = std::slice::from_ref(&secret.name);
    options.failures_are_final = true;
    let reading = Reading::new(app, config, options, wanted);
    let mut resolution = resolve(&reading, wanted)?;
    app.tell(&resolution.notices);
    Ok(resolution.values.swap_remove(&secret.name))
}

fn decode(key: &str, value: &SecretString) -> Result<SecretString, CliError> {
    let unfit = |reason: &str| CliError::Input {
        what: format!("the value of `{key}`"),
        reason: reason.to_owned(),
        help: Some("leave `--base64-decode` away to see what is stored".to_owned()),
    };
    let bytes = BASE64
        .decode(value.expose_secret().trim_end())
        .map_err(|_| unfit("it is not base64"))?;
    SecretBytes::new(bytes)
        .into_string()
        .map_err(|_| unfit("what it decodes to is not UTF-8"))
}
