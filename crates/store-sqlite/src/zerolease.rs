//! Reading what zerolease stored in SQLite, to import it.
//!
//! Its values are sealed by one key with AES-256-GCM or XChaCha20-Poly1305 and nothing binds them to their
//! names, so whoever could write that file could have swapped them; once imported they are bound. The file is
//! only read. Old rows have their words in JSON's quotes and capitals; both forms are taken.

use std::path::Path;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use fnox_core::name::InvalidName;
use fnox_core::seal::Algorithm;
use fnox_core::{SecretBytes, VaultName};
use fnox_vault_wire::methods::SecretKind;
use rusqlite::{Connection, OpenFlags, Row};

/// A secret as zerolease kept it.
#[derive(Debug)]
pub struct Imported {
    /// Its name.
    pub name: VaultName,
    /// What it is.
    pub kind: SecretKind,
    /// For people.
    pub description: Option<String>,
    /// The value.
    pub value: SecretBytes,
    /// How it was sealed.
    pub algorithm: Algorithm,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZeroleaseError {
    /// The file is not an SQLite database, or cannot be read.
    #[error("the database of zerolease could not be read")]
    Database(#[from] rusqlite::Error),
    /// There is no table of secrets in it.
    #[error("this is not a database of zerolease: it has no table `secrets` with its columns")]
    NotZerolease,
    /// A word in a row is not one of zerolease's.
    #[error("the secret `{name}` has an unknown {column}")]
    Unknown {
        /// The row's name, control characters escaped.
        name: String,
        /// Which column.
        column: &'static str,
    },
    /// A name that a vault does not take.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The key does not open a value.
    #[error(
        "the secret `{name}` could not be opened: the key is another one, or the value was changed"
    )]
    Sealed {
        /// The secret.
        name: VaultName,
    },
}

/// Reads and opens all secrets, in the order of their names. All or none: the first that cannot be read ends
/// it.
///
/// # Errors
/// [`ZeroleaseError`]; no message holds a value.
pub fn read_zerolease(db: &Path, key: &[u8; 32]) -> Result<Vec<Imported>, ZeroleaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(db, flags)?;
    db.pragma_update(None, "trusted_schema", false)?;
    if !db.table_exists(None, "secrets")? {
        return Err(ZeroleaseError::NotZerolease);
    }
    for column in COLUMNS {
        if !db.column_exists(None, "secrets", column)? {
            return Err(ZeroleaseError::NotZerolease);
        }
    }
    let columns = COLUMNS.join(", ");
    let mut statement = db.prepare(&format!("SELECT {columns} FROM secrets ORDER BY name"))?;
    let mut rows = statement.query([])?;
    let mut secrets = Vec::new();
    while let Some(row) = rows.next()? {
        secrets.push(read(row, key)?);
    }
    Ok(secrets)
}

fn read(row: &Row<'_>, key: &[u8; 32]) -> Result<Imported, ZeroleaseError> {
    let name: String = row.get(0)?;
    let unknown = |column| ZeroleaseError::Unknown {
        name: name.escape_debug().take(160).collect(),
        column,
    };
    let kind = kind(&row.get::<_, String>(1)?).ok_or_else(|| unknown("kind"))?;
    let algorithm = algorithm(&row.get::<_, String>(3)?).ok_or_else(|| unknown("algorithm"))?;
    let nonce: Vec<u8> = row.get(4)?;
    let ciphertext: Vec<u8> = row.get(5)?;
    let name = VaultName::parse(&name)?;
    let Some(value) = open(key, algorithm, &nonce, &ciphertext) else {
        return Err(ZeroleaseError::Sealed { name });
    };
    Ok(Imported {
        name,
        kind,
        description: row.get(2)?,
        value,
        algorithm,
    })
}

fn open(
    key: &[u8; 32],
    algorithm: Algorithm,
    nonce: &[u8],
    ciphertext: &[u8],
) -> Option<SecretBytes> {
    if nonce.len() != algorithm.nonce_len() {
        return None;
    }
    let opened = match algorithm {
        Algorithm::Aes256Gcm => {
            Aes256Gcm::new(key.into()).decrypt(aes_gcm::Nonce::from_slice(nonce), ciphertext)
        }
        Algorithm::XChaCha20Poly1305 => {
            XChaCha20Poly1305::new(key.into()).decrypt(XNonce::from_slice(nonce), ciphertext)
        }
    };
    opened.ok().map(SecretBytes::new)
}

/// The word alone, whether it was stored plain, in quotes, or as the only key of an object.
fn word(text: &str) -> String {
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric())
        .split('"')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn algorithm(text: &str) -> Option<Algorithm> {
    match word(text).as_str() {
        "aes256gcm" => Some(Algorithm::Aes256Gcm),
        "xchacha20poly1305" => Some(Algorithm::XChaCha20Poly1305),
        _ => None,
    }
}

fn kind(text: &str) -> Option<SecretKind> {
    Some(match word(text).as_str() {
        "pat" => SecretKind::Pat,
        // It never stored what belongs to the refresh token.
        "oauth2" => SecretKind::OAuth2 {
            refresh_ciphertext: None,
            refresh_nonce: None,
        },
        "apikey" => SecretKind::ApiKey,
        "basicauth" => SecretKind::BasicAuth,
        "sshkey" => SecretKind::SshKey,
        "clientcert" => SecretKind::ClientCert,
        "opaque" => SecretKind::Opaque,
        _ => return None,
    })
}

const COLUMNS: [&str; 6] = [
    "name",
    "kind",
    "description",
    "algorithm",
    "nonce",
    "ciphertext",
];

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;

    const KEY: [u8; 32] = [5; 32];

    fn database(rows: &[(&str, &str, &str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let db = Connection::open(file.path()).unwrap();
        // Its own schema (version 1).
        db.execute_batch(
            "CREATE TABLE secrets (id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, \
             ciphertext BLOB NOT NULL, nonce BLOB NOT NULL, algorithm TEXT NOT NULL, \
             kind TEXT NOT NULL, description TEXT, created_at TEXT NOT NULL, \
             updated_at TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1)",
        )
        .unwrap();
        for (name, kind, algorithm, value) in rows {
            let (nonce, sealed) = if word(algorithm) == "aes256gcm" {
                let nonce = vec![1; 12];
                let cipher = Aes256Gcm::new(&KEY.into());
                let sealed = cipher.encrypt(aes_gcm::Nonce::from_slice(&nonce), *value);
                (nonce, sealed)
            } else {
                let nonce = vec![2; 24];
                let cipher = XChaCha20Poly1305::new(&KEY.into());
                let sealed = cipher.encrypt(XNonce::from_slice(&nonce), *value);
                (nonce, sealed)
            };
            let values = params![name, sealed.unwrap(), nonce, algorithm, kind];
            db.execute(
                "INSERT INTO secrets (id, name, ciphertext, nonce, algorithm, kind, created_at, updated_at) \
                 VALUES (?1, ?1, ?2, ?3, ?4, ?5, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')",
                values,
            )
            .unwrap();
        }
        file
    }

    #[test]
    fn reads_plain_and_quoted_words_and_any_bytes() {
        let file = database(&[
            ("a", "pat", "aes256gcm", b"ghp_x"),
            ("b", "\"OAuth2\"", "\"XChaCha20Poly1305\"", &[0, 255]),
            ("c", "{\"OAuth2\":{}}", "\"Aes256Gcm\"", b""),
        ]);
        let secrets = read_zerolease(file.path(), &KEY).unwrap();
        let values: Vec<&[u8]> = secrets.iter().map(|it| it.value.expose_secret()).collect();
        assert_eq!(values, [b"ghp_x".as_slice(), &[0, 255], b""]);
        assert_eq!(secrets[0].kind, SecretKind::Pat);
        assert_eq!(secrets[1].algorithm, Algorithm::XChaCha20Poly1305);
        assert!(matches!(secrets[2].kind, SecretKind::OAuth2 { .. }));
    }

    #[test]
    fn refuses_another_key_another_file_and_unknown_words() {
        let file = database(&[("a", "pat", "aes256gcm", b"ghp_x")]);
        let error = read_zerolease(file.path(), &[6; 32]).unwrap_err();
        assert!(matches!(error, ZeroleaseError::Sealed { .. }), "{error}");
        for (kind, algorithm) in [("pat", "des"), ("pta", "aes256gcm")] {
            let file = database(&[("a", kind, algorithm, b"x")]);
            let error = read_zerolease(file.path(), &KEY).unwrap_err();
            assert!(matches!(error, ZeroleaseError::Unknown { .. }), "{error}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let db = Connection::open(file.path()).unwrap();
        db.execute_batch("CREATE TABLE secrets (id)").unwrap();
        let error = read_zerolease(file.path(), &KEY).unwrap_err();
        assert!(matches!(error, ZeroleaseError::NotZerolease), "{error}");
        std::fs::write(file.path(), "no database, but a text that is long enough").unwrap();
        let error = read_zerolease(file.path(), &KEY).unwrap_err();
        assert!(matches!(error, ZeroleaseError::Database(_)), "{error}");
    }
}
