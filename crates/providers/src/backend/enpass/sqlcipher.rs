//! The pages of an `SQLCipher` database, decrypted in memory (zetetic.net/sqlcipher/design).
//!
//! The first 16 bytes of the file are the salt, and stand where `SQLite` has its magic. Each page ends with a reserve: the
//! initialisation vector and the code that authenticates the encrypted page, its vector and its number. Every page is
//! checked before it is decrypted, so that nobody without the key can change or swap one. A page's older version, and
//! pages missing at the end, only `SQLite`'s own structure can tell.

use std::num::NonZeroU32;

use aes::Aes256;
use cbc::Decryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use ring::{hmac, pbkdf2};
use zeroize::Zeroizing;

/// Bytes of the salt at the start of the file.
pub(super) const SALT: usize = 16;
/// Bytes of a key of AES-256.
pub(super) const KEY: usize = 32;

const MAGIC: &[u8; SALT] = b"SQLite format 3\0";
/// Bytes of an initialisation vector.
const IV: usize = 16;
/// The salt of the authentication's key is the file's with each byte changed by this ("HMAC key derivation").
const SALT_MASK: u8 = 0x3a;
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// What differs between the versions.
struct Format {
    page: usize,
    /// Vector and code, rounded up to whole blocks of the cipher.
    reserve: usize,
    code: usize,
    code_algorithm: hmac::Algorithm,
    key_algorithm: pbkdf2::Algorithm,
}

impl Format {
    /// The defaults of `SQLCipher` 4, and those of 3.
    fn known() -> [Self; 2] {
        [
            Self {
                page: 4096,
                reserve: 80,
                code: 64,
                code_algorithm: hmac::HMAC_SHA512,
                key_algorithm: pbkdf2::PBKDF2_HMAC_SHA512,
            },
            Self {
                page: 1024,
                reserve: 48,
                code: 20,
                code_algorithm: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                key_algorithm: pbkdf2::PBKDF2_HMAC_SHA1,
            },
        ]
    }
}

/// Why a file is not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Too short for a page.
    #[error("it is no SQLCipher database")]
    NotADatabase,
    /// The first page is not authentic in any known format.
    #[error("the key is wrong, or the file is damaged")]
    WrongKey,
    /// The first page is authentic, and another is not.
    #[error("page {0} is damaged or was changed")]
    Page(usize),
    /// It ends in the middle of a page, or has fewer pages than its header says.
    #[error("its end is missing")]
    Truncated,
}

/// The salt with which a password becomes this file's key.
pub(super) fn salt(file: &[u8]) -> Result<&[u8], Unreadable> {
    file.get(..SALT).ok_or(Unreadable::NotADatabase)
}

/// The whole database as plain `SQLite` reads it.
pub(super) fn decrypt(file: &[u8], key: &[u8; KEY]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let salt = salt(file)?;
    let formats = Format::known();
    let smallest = formats.iter().map(|format| format.page).min();
    if file.len() < smallest.unwrap_or_default() {
        return Err(Unreadable::NotADatabase);
    }
    let keyed = formats
        .iter()
        .map(|format| Keyed::new(format, key, salt))
        .find(|keyed| {
            let first = file.get(..keyed.format.page);
            first.is_some_and(|page| keyed.is_authentic(page, 1))
        })
        .ok_or(Unreadable::WrongKey)?;
    if !file.len().is_multiple_of(keyed.format.page) {
        return Err(Unreadable::Truncated);
    }
    let mut image = Zeroizing::new(file.to_vec());
    for (number, page) in (1..).zip(image.chunks_exact_mut(keyed.format.page)) {
        keyed
            .decrypt(page, number)
            .ok_or(Unreadable::Page(number))?;
    }
    finish(&mut image, keyed.format)?;
    Ok(image)
}

/// One format with the keys of one file.
struct Keyed<'a> {
    format: &'a Format,
    key: &'a [u8; KEY],
    code_key: hmac::Key,
}

impl<'a> Keyed<'a> {
    fn new(format: &'a Format, key: &'a [u8; KEY], salt: &[u8]) -> Self {
        let masked: Vec<u8> = salt.iter().map(|byte| byte ^ SALT_MASK).collect();
        let mut code_key = Zeroizing::new([0; KEY]);
        pbkdf2::derive(
            format.key_algorithm,
            ROUNDS,
            &masked,
            key,
            code_key.as_mut(),
        );
        Self {
            format,
            key,
            code_key: hmac::Key::new(format.code_algorithm, code_key.as_slice()),
        }
    }

    /// Pages are counted from 1.
    fn is_authentic(&self, page: &[u8], number: usize) -> bool {
        let content = self.format.page - self.format.reserve;
        let (Some(encrypted), Some(code), Ok(number)) = (
            page.get(start(number)..content + IV),
            page.get(content + IV..content + IV + self.format.code),
            u32::try_from(number),
        ) else {
            return false;
        };
        let authenticated = [encrypted, &number.to_le_bytes()].concat();
        hmac::verify(&self.code_key, &authenticated, code).is_ok()
    }

    fn decrypt(&self, page: &mut [u8], number: usize) -> Option<()> {
        if !self.is_authentic(page, number) {
            return None;
        }
        let (content, reserve) = page.split_at_mut(self.format.page - self.format.reserve);
        let iv = reserve.get(..IV)?;
        Decryptor::<Aes256>::new_from_slices(self.key, iv)
            .ok()?
            .decrypt_padded::<NoPadding>(content.get_mut(start(number)..)?)
            .ok()?;
        reserve.fill(0);
        Some(())
    }
}

/// The salt, which only the first page has, is not encrypted.
fn start(number: usize) -> usize {
    if number == 1 { SALT } else { 0 }
}

/// Gives the image the header of a plain database ("Database File Format", section 1.3).
fn finish(image: &mut [u8], format: &Format) -> Result<(), Unreadable> {
    let pages = image.len() / format.page;
    let header = image.get_mut(..100).ok_or(Unreadable::NotADatabase)?;
    header[..SALT].copy_from_slice(MAGIC);
    let page = usize::from(u16::from_be_bytes([header[16], header[17]]));
    // SQLCipher 4 that writes the format of 3 has SQLite keep the reserve of 4 free.
    if page != format.page || usize::from(header[20]) < format.reserve {
        return Err(Unreadable::NotADatabase);
    }
    let said = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    if usize::try_from(said).is_ok_and(|said| said > pages) {
        return Err(Unreadable::Truncated);
    }
    // A database in memory has no write-ahead log, so it may not ask for one (sqlite3_deserialize).
    header[18] = 1;
    header[19] = 1;
    Ok(())
}
