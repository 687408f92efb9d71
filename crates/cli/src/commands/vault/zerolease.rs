//! `fnox vault import zerolease`

use std::collections::BTreeMap;
use std::io::Read as _;

use fnox_core::SecretString;
use fnox_core::seal::{Algorithm, SealingKey};
use fnox_store_sqlite::zerolease::{Imported, read_zerolease};
use fnox_vault::key_source::{KeySourceSpec, parse_keys};
use fnox_vault_wire::SecretValue;
use fnox_vault_wire::methods::{SealAlgorithm, StoreSecret};
use zeroize::Zeroizing;

use super::secret::Import;
use crate::app::App;
use crate::args::vault::ZeroleaseArgs;
use crate::error::CliError;
use crate::vault::error::{StartProblem, VaultFailure};
use crate::vault::settings::Word as _;

/// Longest file that is taken for a key: 64 hex digits and a line end, with room for spaces.
const KEY_LIMIT: u64 = 128;

pub(super) fn run(app: &App, args: &ZeroleaseArgs) -> Result<(), CliError> {
    let key = key(app, &args.key)?;
    let path = app.cwd.join(&args.db);
    let secrets = read_zerolease(&path, key.expose_bytes()).map_err(|error| CliError::Input {
        what: path.display().to_string(),
        reason: error.to_string(),
        help: None,
    })?;
    let import = Import {
        secrets: secrets.into_iter().map(stored).collect(),
        replace: false,
        dry_run: args.dry_run,
    };
    import.run(app, &args.client)
}

/// The same secret for this vault. Times and versions start anew.
fn stored(old: Imported) -> StoreSecret {
    StoreSecret {
        name: old.name.to_string(),
        plaintext: SecretValue(old.value),
        kind: old.kind,
        description: old.description,
        tags: BTreeMap::new(),
        algorithm: Some(match old.algorithm {
            Algorithm::Aes256Gcm => SealAlgorithm::Aes256Gcm,
            Algorithm::XChaCha20Poly1305 => SealAlgorithm::XChaCha20Poly1305,
        }),
    }
}

/// zerolease's one key: 64 hex digits in a variable or a file.
fn key(app: &App, source: &str) -> Result<SealingKey, CliError> {
    let spec = KeySourceSpec::read(source)
        .map_err(|problem| CliError::usage(format!("--key: {problem}")))?;
    let failed = |reason: String| VaultFailure::Start {
        message: format!("the key source {spec} {reason}"),
        reason: StartProblem::Key,
        help: Some("zerolease's key is 64 hex digits".to_owned()),
    };
    let text = match &spec {
        KeySourceSpec::Env(variable) => app
            .env
            .secret(variable)
            .ok_or_else(|| failed("is not set".to_owned()))?,
        KeySourceSpec::File(path) => {
            let mut text = Zeroizing::new(String::new());
            std::fs::File::open(app.cwd.join(path))
                .and_then(|file| file.take(KEY_LIMIT).read_to_string(&mut text))
                .map_err(|error| failed(format!("cannot be read: {error}")))?;
            SecretString::from(text.as_str())
        }
        _ => return Err(CliError::usage("--key: use env:VARIABLE or file:PATH")),
    };
    let mut keys = parse_keys(text.expose_secret()).map_err(failed)?;
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        _ => Err(failed("does not hold one key".to_owned()).into()),
    }
}
