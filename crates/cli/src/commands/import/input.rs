//! The input of an import: names and values in their order.

use std::io::Read as _;
use std::path::Path;

use fnox_core::{SecretBytes, SecretString};
use fnox_providers::dotenv;
use fnox_providers::flat::{self, FlatError, Syntax};
use zeroize::Zeroizing;

use super::vendor;
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
    file: Option<&Path>,
    format: ImportFormat,
) -> Result<Pairs, CliError> {
    let bytes = match file {
        Some(path) => std::fs::File::open(path).and_then(limited),
        None => limited(std::io::stdin().lock()),
    };
    let bytes = bytes.map_err(|source| CliError::File {
        action: "read",
        path: file.unwrap_or(Path::new("/dev/stdin")).to_owned(),
        source,
    })?;
    bytes
        .into_string()
        .map_err(|error| Unreadable::because(&error))
        .and_then(|text| parse(text.expose_secret(), format))
        .and_then(unencrypted)
        .map_err(|error| CliError::Input {
            what: file.map_or_else(|| "stdin".to_owned(), |path| path.display().to_string()),
            reason: error.reason,
            help: error.help,
        })
}

fn limited(input: impl std::io::Read) -> std::io::Result<SecretBytes> {
    let mut bytes = Zeroizing::new(Vec::new());
    input.take(INPUT_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > INPUT_LIMIT {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

fn parse(text: &str, format: ImportFormat) -> Result<Pairs, Unreadable> {
    let flat = |syntax| {
        flat::parse(text, syntax).map_err(|error| match &error {
            FlatError::NoText { key, .. } if key == "sops" => encrypted(&SOPS),
            _ => Unreadable::because(&error),
        })
    };
    match format {
        ImportFormat::Env => dotenv::parse(text).map_err(|error| Unreadable::because(&error)),
        ImportFormat::Json => flat(Syntax::Json),
        ImportFormat::Yaml => flat(Syntax::Yaml),
        ImportFormat::Toml => flat(Syntax::Toml),
        ImportFormat::Chamber => vendor::chamber(text),
        ImportFormat::Doppler => vendor::doppler(text),
        ImportFormat::Infisical => vendor::infisical(text),
        ImportFormat::Onepassword => vendor::onepassword(text),
    }
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
    remedy: "decrypt it on the way: `sops decrypt --output-type json FILE | fnox import json -f -p PROVIDER`",
};

const DOTENVX: Encrypter = Encrypter {
    name: "dotenvx",
    mark: "encrypted:",
    remedy: "decrypt it on the way: `dotenvx decrypt --stdout -f FILE | fnox import -f -p PROVIDER`",
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
