//! The input of an import: names and values in their order.

use std::io::Read as _;
use std::path::Path;

use fnox_core::{SecretBytes, SecretString};
use fnox_providers::dotenv;
use fnox_providers::flat::{self, FlatError, Syntax};
use zeroize::Zeroizing;

use super::vendor::Name;
use super::{encrypted, vendor};
use crate::app::App;
use crate::args::ImportFormat;
use crate::error::CliError;

/// Largest input that is read.
const INPUT_LIMIT: u64 = 16 * 1024 * 1024;

pub(super) type Pairs = Vec<(String, SecretString)>;

/// Why a text is not what it should be; never with a value in it.
pub(super) struct Unreadable {
    pub(super) reason: String,
    pub(super) help: Option<String>,
}

impl Unreadable {
    pub(super) fn because(reason: &impl ToString) -> Self {
        Self {
            reason: reason.to_string(),
            help: None,
        }
    }

    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

/// The pairs of a file, or of stdin.
pub(in crate::commands) fn read_pairs(
    app: &App,
    file: Option<&Path>,
    format: ImportFormat,
) -> Result<Pairs, CliError> {
    let folder = file.and_then(Path::parent).unwrap_or(&app.cwd);
    let text = read_text(file)?;
    let pairs = parse(app, folder, text.expose_secret(), format);
    let is_opened = matches!(format, ImportFormat::Sops | ImportFormat::Dotenvx);
    pairs
        .and_then(|pairs| {
            if is_opened {
                Ok(pairs)
            } else {
                unencrypted(pairs)
            }
        })
        .map_err(|error| failed(file, error))
}

/// The text of a file, or of stdin.
pub(super) fn read_text(file: Option<&Path>) -> Result<SecretString, CliError> {
    let bytes = match file {
        Some(path) => std::fs::File::open(path).and_then(|file| limited(file, INPUT_LIMIT)),
        None => limited(std::io::stdin().lock(), INPUT_LIMIT),
    };
    let bytes = bytes.map_err(|source| CliError::File {
        action: "read",
        path: file.unwrap_or(Path::new("/dev/stdin")).to_owned(),
        source,
    })?;
    bytes
        .into_string()
        .map_err(|error| failed(file, Unreadable::because(&error)))
}

/// The error of an input, which is a file or stdin.
pub(super) fn failed(file: Option<&Path>, error: Unreadable) -> CliError {
    CliError::Input {
        what: file.map_or_else(|| "stdin".to_owned(), |path| path.display().to_string()),
        reason: error.reason,
        help: error.help,
    }
}

/// All of an input, which may have so many bytes.
pub(super) fn limited(input: impl std::io::Read, limit: u64) -> std::io::Result<SecretBytes> {
    let mut bytes = Zeroizing::new(Vec::new());
    input.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let limit = limit / (1024 * 1024);
        return Err(std::io::Error::other(format!(
            "it is larger than {limit} MiB"
        )));
    }
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

/// `folder` is where the input stands.
fn parse(app: &App, folder: &Path, text: &str, format: ImportFormat) -> Result<Pairs, Unreadable> {
    let flat = |syntax| {
        flat::parse(text, syntax).map_err(|error| match &error {
            FlatError::NoText { key, .. } if key == "sops" => encrypted(&SOPS),
            FlatError::NoText { kind: "null", .. } => Unreadable::because(&error).with_help(
                "leave it out, for example with `jq 'with_entries(select(.value != null))'`",
            ),
            _ => Unreadable::because(&error),
        })
    };
    match format {
        ImportFormat::Env => dotenv::parse(text).map_err(|error| Unreadable::because(&error)),
        ImportFormat::Json => match flat::parse(text, Syntax::Json) {
            // What sops and others print of nested documents.
            Err(error) if error.is_nested() => nested(text),
            _ => flat(Syntax::Json),
        },
        ImportFormat::Yaml => flat(Syntax::Yaml),
        ImportFormat::Toml => flat(Syntax::Toml),
        ImportFormat::Chamber => vendor::chamber(text),
        ImportFormat::Doppler => vendor::doppler(text),
        ImportFormat::Infisical => vendor::infisical(text),
        ImportFormat::Onepassword => vendor::onepassword(text),
        ImportFormat::Sops => encrypted::sops(app, text),
        ImportFormat::Dotenvx => encrypted::dotenvx(app, text, folder),
        ImportFormat::Secretspec | ImportFormat::Teller | ImportFormat::AwsVault => Err(
            Unreadable::because(&"this format has names in it and no values")
                .with_help("`fnox import` takes them into fnox.toml"),
        ),
    }
}

/// The values of nested JSON, each by the names on the way to it.
fn nested(text: &str) -> Result<Pairs, Unreadable> {
    let leaves = flat::parse_nested_json(text).map_err(|error| Unreadable::because(&error))?;
    if leaves.iter().any(|(path, _)| path[0] == "sops") {
        return Err(encrypted(&SOPS));
    }
    vendor::renamed(leaves.into_iter().map(|(path, value)| {
        let name = match path.as_slice() {
            [name] => Name::Kept(name.clone()),
            path => Name::Made(path.join("_")),
        };
        (name, value)
    }))
}

/// A tool that keeps ciphertexts where others keep values.
struct Encrypter {
    name: &'static str,
    /// How its ciphertexts begin.
    mark: &'static str,
    remedy: &'static str,
}

const SOPS: Encrypter = Encrypter {
    name: "sops",
    mark: "ENC[AES256_GCM,",
    remedy: "`fnox import sops` opens it with an age identity; where the key is kept otherwise, decrypt it on the way: `sops decrypt --output-type json FILE | fnox import json -f -p PROVIDER`",
};

const DOTENVX: Encrypter = Encrypter {
    name: "dotenvx",
    mark: "encrypted:",
    remedy: "`fnox import dotenvx` opens it",
};

/// Refuses ciphertexts: encrypted once more they would be taken for values by every program.
fn unencrypted(pairs: Pairs) -> Result<Pairs, Unreadable> {
    let found = [SOPS, DOTENVX].into_iter().find(|tool| {
        pairs
            .iter()
            .any(|(_, value)| value.expose_secret().starts_with(tool.mark))
    });
    found.map_or(Ok(pairs), |tool| Err(encrypted(&tool)))
}

fn encrypted(tool: &Encrypter) -> Unreadable {
    Unreadable::because(&format!("it is encrypted by {}", tool.name)).with_help(tool.remedy)
}
