//! How host and key keep their talk from the cable: PIN/UV auth protocols one and two (CTAP 2.1, sections 6.5.6 and 6.5.7).

use aes::Aes256;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use cbc::{Decryptor, Encryptor};
use ciborium::Value;
use hkdf::Hkdf;
use rand::TryRngCore as _;
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hmac;
use ring::rand::SystemRandom;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Failure;
use super::message::{bytes_at, map};

/// Bytes of a block of AES, and of an initialisation vector.
const BLOCK: usize = 16;
/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;
/// Bytes that protocol one leaves of an authentication code.
const SHORT_CODE: usize = 16;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    One,
    Two,
}

impl Protocol {
    pub(super) fn parse(number: i128) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }

    pub(super) fn number(self) -> i64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// What proves that one knows the key.
    pub(super) fn authenticate(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
        let kept = match self {
            Self::One => SHORT_CODE,
            Self::Two => code.as_ref().len(),
        };
        code.as_ref()[..kept].to_vec()
    }
}

/// The keys that host and device share for one command.
pub(super) struct Shared {
    protocol: Protocol,
    code_key: Zeroizing<[u8; 32]>,
    cipher_key: Zeroizing<[u8; 32]>,
}

impl Shared {
    /// Agrees with the key that the device showed, and returns what to show it.
    pub(super) fn agree(protocol: Protocol, device: &Value) -> Result<(Self, Value), Failure> {
        let mut point = vec![4];
        for coordinate in [-2, -3] {
            let bytes = bytes_at(device, coordinate).ok_or(Failure::Damaged)?;
            if bytes.len() != COORDINATE {
                return Err(Failure::Damaged);
            }
            point.extend_from_slice(bytes);
        }
        let random = SystemRandom::new();
        let own = EphemeralPrivateKey::generate(&ECDH_P256, &random)
            .map_err(|_| Failure::NoRandomness)?;
        let shown = own
            .compute_public_key()
            .map_err(|_| Failure::NoRandomness)?;
        let (x, y) = shown.as_ref()[1..].split_at(COORDINATE);
        // A COSE_Key (RFC 9052, section 7): EC2, ECDH-ES+HKDF-256, P-256, x, y.
        let shown = map([
            (1, Value::from(2)),
            (3, Value::from(-25)),
            (-1, Value::from(1)),
            (-2, Value::from(x)),
            (-3, Value::from(y)),
        ]);
        // A point that is not on the curve is refused here.
        let peer = UnparsedPublicKey::new(&ECDH_P256, point);
        let shared = agree_ephemeral(own, &peer, |secret| Self::derive(protocol, secret));
        let shared = shared.ok().flatten().ok_or(Failure::Damaged)?;
        Ok((shared, shown))
    }

    fn derive(protocol: Protocol, secret: &[u8]) -> Option<Self> {
        let (mut code_key, mut cipher_key) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        match protocol {
            Protocol::One => {
                code_key.copy_from_slice(&Sha256::digest(secret));
                cipher_key.copy_from_slice(code_key.as_slice());
            }
            Protocol::Two => {
                let derived = Hkdf::<Sha256>::new(Some(&[0; 32]), secret);
                derived.expand(b"CTAP2 HMAC key", code_key.as_mut()).ok()?;
                derived.expand(b"CTAP2 AES key", cipher_key.as_mut()).ok()?;
            }
        }
        Some(Self {
            protocol,
            code_key,
            cipher_key,
        })
    }

    pub(super) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        self.protocol
            .authenticate(self.code_key.as_slice(), message)
    }

    /// Whole blocks only.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut iv = [0; BLOCK];
        let mut sealed = Vec::with_capacity(BLOCK + plain.len());
        if self.protocol == Protocol::Two {
            rand::rngs::OsRng
                .try_fill_bytes(&mut iv)
                .map_err(|_| Failure::NoRandomness)?;
            sealed.extend_from_slice(&iv);
        }
        let mut blocks = plain.to_vec();
        Encryptor::<Aes256>::new_from_slices(self.cipher_key.as_slice(), &iv)
            .map_err(|_| Failure::Damaged)?
            .encrypt_padded::<NoPadding>(&mut blocks, plain.len())
            .map_err(|_| Failure::Damaged)?;
        sealed.extend_from_slice(&blocks);
        Ok(sealed)
    }

    pub(super) fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let (iv, blocks) = match self.protocol {
            Protocol::One => (&[0; BLOCK][..], sealed),
            Protocol::Two => sealed.split_at_checked(BLOCK).ok_or(Failure::Damaged)?,
        };
        let mut plain = Zeroizing::new(blocks.to_vec());
        Decryptor::<Aes256>::new_from_slices(self.cipher_key.as_slice(), iv)
            .map_err(|_| Failure::Damaged)?
            .decrypt_padded::<NoPadding>(&mut plain)
            .map_err(|_| Failure::Damaged)?;
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Computed by Python's `fido2` 2.2.1, which Yubico maintains: `PinProtocolV1` and `PinProtocolV2` for the shared point's
    // coordinate 000102…1f.
    fn secret() -> Vec<u8> {
        (0..32).collect()
    }

    #[test]
    fn protocol_one_is_as_another_implementation_has_it() {
        let shared = Shared::derive(Protocol::One, &secret()).unwrap();
        let code = shared.authenticate(b"message");
        assert_eq!(hex::encode(code), "0e1ed6c97a5536d6813284ba23672f5a");
        let sealed = "5b1b8c62089fae8afdcde68081977f19e6a0b8d59b6818113cd771f0867e8903";
        assert_eq!(hex::encode(shared.encrypt(&secret()).unwrap()), sealed);
        let opened = shared.decrypt(&hex::decode(sealed).unwrap()).unwrap();
        assert_eq!(*opened, secret());
        let code = Protocol::One.authenticate(&[5; 32], b"message");
        assert_eq!(hex::encode(code), "9352f7d015dab1c063e235eae7bffd62");
    }

    #[test]
    fn protocol_two_is_as_another_implementation_has_it() {
        let shared = Shared::derive(Protocol::Two, &secret()).unwrap();
        let code = shared.authenticate(b"message");
        let wanted = "8ed41fb06108031d3e97613e4eb730eb882d7acdd3156b2abf9bc87cd0a9489d";
        assert_eq!(hex::encode(code), wanted);
        let sealed: Vec<u8> = (0..48).collect();
        let wanted = "1070cc550d4f371118fa69f075d2f6fe0ba1b66f31c7af40902e1aaac41436f4";
        assert_eq!(hex::encode(shared.decrypt(&sealed).unwrap()), wanted);
        let again = shared.encrypt(&secret()).unwrap();
        assert_eq!(*shared.decrypt(&again).unwrap(), secret());
        assert_ne!(again, shared.encrypt(&secret()).unwrap(), "a new vector");
        let code = Protocol::Two.authenticate(&[5; 32], b"message");
        let wanted = "9352f7d015dab1c063e235eae7bffd623b925760931b3e65bd3f2d103a0fe736";
        assert_eq!(hex::encode(code), wanted);
    }

    #[test]
    fn what_is_no_point_of_the_curve_or_no_whole_block_is_refused() {
        let point = |x: &[u8], y: &[u8]| map([(-2, Value::from(x)), (-3, Value::from(y))]);
        for bad in [
            point(&[1; 32], &[1; 32]),
            point(&[1; 31], &[1; 32]),
            point(&[], &[]),
        ] {
            assert!(Shared::agree(Protocol::Two, &bad).is_err());
        }
        let shared = Shared::derive(Protocol::Two, &secret()).unwrap();
        for length in [0, 15, 17, 31] {
            assert!(shared.decrypt(&vec![0; length]).is_err(), "{length}");
        }
    }
}
