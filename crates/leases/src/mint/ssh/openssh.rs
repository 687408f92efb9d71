//! Private keys in OpenSSH's format (`PROTOCOL.key`), read by `ssh-key` but for one thing.
//!
//! OpenSSH writes the private number of an ECDSA key without the zeros in front of it; `ssh-key` 0.6.7 reads it at its
//! full length only, so that it cannot read one key in 256. Those get their zeros back first.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::SecretString;
use ssh_key::PrivateKey;
use zeroize::Zeroizing;

use super::wire::{add_string, string};

const MAGIC: &[u8] = b"openssh-key-v1\0";

const FIRST_LINE: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
const LAST_LINE: &str = "-----END OPENSSH PRIVATE KEY-----\n";

/// The cipher and the derivation function of a key that no passphrase protects.
const NONE: &[u8] = b"none";

/// What a cipher that is none pads to.
const BLOCK: usize = 8;

/// Reads a key, with or without a passphrase.
pub(super) fn read(text: &SecretString) -> Option<PrivateKey> {
    let text = tidied(text);
    PrivateKey::from_openssh(text.expose_secret())
        .ok()
        .or_else(|| PrivateKey::from_bytes(&at_full_length(&text)?).ok())
}

/// Secrets lose the newline at their end, or come with those of another system.
fn tidied(text: &SecretString) -> SecretString {
    let lines = text.expose_secret().trim().lines().map(str::trim_end);
    let mut tidy = String::with_capacity(text.len() + 1);
    for line in lines {
        tidy.push_str(line);
        tidy.push('\n');
    }
    SecretString::new(tidy)
}

/// The same key in binary form with a private number of full length. `None`: it is no ECDSA key with a short one.
fn at_full_length(text: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let lines = text.expose_secret();
    let lines = lines.strip_prefix(FIRST_LINE)?.strip_suffix(LAST_LINE)?;
    let mut body = Zeroizing::new(String::with_capacity(lines.len()));
    lines.lines().for_each(|line| body.push_str(line));
    let bytes = Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?);
    let rest = bytes.strip_prefix(MAGIC)?;
    let (cipher, rest) = string(rest)?;
    let (derivation, rest) = string(rest)?;
    let (_, rest) = string(rest)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (public, rest) = string(rest)?;
    let (private, rest) = string(rest)?;
    if cipher != NONE || derivation != NONE || *count != [0, 0, 0, 1] || !rest.is_empty() {
        return None;
    }
    let private = padded(private)?;
    let frame = bytes.len() - rest.len();
    // Enough at once: what grows leaves copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(frame + private.len()));
    out.extend(MAGIC);
    add_string(&mut out, NONE)?;
    add_string(&mut out, NONE)?;
    add_string(&mut out, &[])?;
    out.extend(count);
    add_string(&mut out, public)?;
    add_string(&mut out, &private)?;
    Some(out)
}

fn padded(private: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (checks, rest) = private.split_first_chunk::<8>()?;
    let (kind, rest) = string(rest)?;
    let length = match kind {
        b"ecdsa-sha2-nistp256" => 32,
        b"ecdsa-sha2-nistp384" => 48,
        b"ecdsa-sha2-nistp521" => 66,
        _ => return None,
    };
    let (curve, rest) = string(rest)?;
    let (point, rest) = string(rest)?;
    let (number, rest) = string(rest)?;
    let (comment, _) = string(rest)?;
    let missing = usize::checked_sub(length, number.len()).filter(|missing| *missing > 0)?;
    let mut full = Zeroizing::new(vec![0; missing]);
    full.reserve_exact(number.len());
    full.extend(number);
    let mut out = Zeroizing::new(Vec::with_capacity(private.len() + missing + BLOCK));
    out.extend(checks);
    for part in [kind, curve, point, &full, comment] {
        add_string(&mut out, part)?;
    }
    for byte in 1_u8.. {
        if out.len() % BLOCK == 0 {
            break;
        }
        out.push(byte);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use ssh_key::HashAlg;

    use super::*;

    /// Of `ssh-keygen -t ecdsa -b 256`, made until the private number had 31 bytes. It is used nowhere.
    const SHORT: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQQhYAxWGVEsmJS8BJWMVS9TfZgOSrs+
e8j5bEh802AhbB88gOIAslgvO0u1QzJ1E7ZLjXhjn2k9+w/z8lFDqghJAAAAoAfPZRQHz2
UUAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCFgDFYZUSyYlLwE
lYxVL1N9mA5Kuz57yPlsSHzTYCFsHzyA4gCyWC87S7VDMnUTtkuNeGOfaT37D/PyUUOqCE
kAAAAfaI9OVi6QUEyLaFRjFXg1QJOhoUXJaY+iDn/8sGeiQQAAAAVzaG9ydAECAwQ=
-----END OPENSSH PRIVATE KEY-----
";

    #[test]
    fn a_short_private_number_is_read_and_fits_its_public_key() {
        use rsa::signature::Signer as _;
        let text = SecretString::from(SHORT);
        assert!(
            PrivateKey::from_openssh(SHORT).is_err(),
            "the work-around is not needed any more"
        );
        let key = read(&text).unwrap();
        assert_eq!(
            key.fingerprint(HashAlg::Sha256).to_string(),
            "SHA256:08z5xVihHMxp5tS0e+3qVxIcCrxnpoalYgJT3rZVcxw"
        );
        let signature: ssh_key::Signature = key.try_sign(b"text").unwrap();
        let public = key.public_key().key_data();
        assert!(rsa::signature::Verifier::verify(public, b"text", &signature).is_ok());
    }

    #[test]
    fn what_is_cut_off_is_no_key() {
        for end in (0..SHORT.len()).step_by(7) {
            let text = SecretString::from(&SHORT[..end]);
            assert!(
                read(&text).is_none() || SHORT[end..].trim().is_empty(),
                "{end}"
            );
        }
    }
}
