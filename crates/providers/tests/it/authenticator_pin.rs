//! The device's side of PIN/UV auth protocols one and two (CTAP 2.1, sections 6.5.6 and 6.5.7), with other primitives than
//! the host's.

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use p256::elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _};
use p256::{EncodedPoint, PublicKey, SecretKey};
use sha2::{Digest as _, Sha256};

use crate::authenticator_cbor::Cbor::{self, Bytes, Int};
use crate::authenticator_cbor::map;

/// HMAC-SHA-256 as RFC 2104 writes it.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    assert!(key.len() <= 64);
    let pad = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::digest([&pad(0x36), message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()).into()
}

/// The key pair that the device shows until the next power-up or wrong PIN.
#[derive(Debug)]
pub(crate) struct Agreement(SecretKey);

impl Agreement {
    pub(crate) fn new(number: u8) -> Self {
        Self(SecretKey::from_slice(&[number; 32]).unwrap())
    }

    pub(crate) fn shown(&self) -> Cbor {
        let point = self.0.public_key().to_encoded_point(false);
        map([
            (1, Int(2)),
            (3, Int(-25)),
            (-1, Int(1)),
            (-2, Bytes(point.x().unwrap().to_vec())),
            (-3, Bytes(point.y().unwrap().to_vec())),
        ])
    }

    pub(crate) fn with(&self, protocol: i64, host: &Cbor) -> Shared {
        assert_eq!((host.int(1), host.int(3), host.int(-1)), (2, -25, 1));
        let point = [&[4], host.bytes(-2), host.bytes(-3)].concat();
        let point = EncodedPoint::from_bytes(point).unwrap();
        let public = PublicKey::from_encoded_point(&point).unwrap();
        let z = (public.to_projective() * *self.0.to_nonzero_scalar()).to_affine();
        let z = z.to_encoded_point(false);
        let z: &[u8] = z.x().unwrap();
        if protocol == 1 {
            let key = Sha256::digest(z).into();
            return Shared {
                protocol,
                code: key,
                cipher: key,
            };
        }
        // HKDF (RFC 5869) with a salt of 32 zeros, one block each.
        let extracted = hmac(&[0; 32], z);
        Shared {
            protocol,
            code: hmac(&extracted, b"CTAP2 HMAC key\x01"),
            cipher: hmac(&extracted, b"CTAP2 AES key\x01"),
        }
    }
}

pub(crate) struct Shared {
    protocol: i64,
    code: [u8; 32],
    cipher: [u8; 32],
}

impl Shared {
    pub(crate) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        let mut code = hmac(&self.code, message).to_vec();
        if self.protocol == 1 {
            code.truncate(16);
        }
        code
    }

    pub(crate) fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let iv = if self.protocol == 1 {
            [0; 16]
        } else {
            [0x1f; 16]
        };
        let mut blocks = plain.to_vec();
        cbc::Encryptor::<aes::Aes256>::new_from_slices(&self.cipher, &iv)
            .unwrap()
            .encrypt_padded::<NoPadding>(&mut blocks, plain.len())
            .unwrap();
        if self.protocol == 1 {
            return blocks;
        }
        [&iv[..], &blocks].concat()
    }

    pub(crate) fn decrypt(&self, sealed: &[u8]) -> Vec<u8> {
        let (iv, blocks) = if self.protocol == 1 {
            (&[0; 16][..], sealed)
        } else {
            sealed.split_at(16)
        };
        let mut plain = blocks.to_vec();
        cbc::Decryptor::<aes::Aes256>::new_from_slices(&self.cipher, iv)
            .unwrap()
            .decrypt_padded::<NoPadding>(&mut plain)
            .unwrap();
        plain
    }
}
