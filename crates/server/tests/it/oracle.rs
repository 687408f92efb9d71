//! Two libraries that have nothing to do with ours check the same tokens: what is accepted here, both accept.

use std::io::Write as _;
use std::process::Command;

use fnox_core::Env;
use fnox_server::settings::Algorithm;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::oidc::bench::{Bench, ISSUER};
use crate::oidc::signer::{AUDIENCE, NOW, Signer, claims, encode_bytes};

const LEEWAY: i64 = 60;

#[tokio::test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
async fn what_is_accepted_here_two_other_libraries_accept() {
    let env = Env::of_process();
    let python = env
        .var("FNOX_TEST_JOSE_PYTHON")
        .expect("FNOX_TEST_JOSE_PYTHON");
    let number = |name: &str, usual: usize| {
        env.var(name)
            .map_or(usual, |text| text.parse().expect("a number"))
    };
    let count = number("FNOX_TEST_ORACLE_CASES", 2000);
    let mut rng = StdRng::seed_from_u64(number("FNOX_TEST_ORACLE_SEED", 1) as u64);

    let benches = [
        (Algorithm::Es256, Signer::es256("k")),
        (Algorithm::EdDsa, Signer::eddsa("k")),
        (
            Algorithm::Rs256,
            Signer::rsa(Algorithm::Rs256, "RS256_2048", "k"),
        ),
        (
            Algorithm::Ps256,
            Signer::rsa(Algorithm::Ps256, "PS256_2048", "k"),
        ),
    ]
    .map(|(algorithm, signer)| (algorithm, Bench::with(signer, algorithm, |_| {})));
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (algorithm, bench) = benches.choose(&mut rng).unwrap();
        let token = random_token(&mut rng, &bench.signer);
        ours.push(bench.verifier.verify(&token).await);
        cases.push(json!({
            "token": token, "jwk": bench.signer.jwk(), "algorithm": algorithm.as_str(),
        }));
    }
    let theirs = ask(
        python,
        &json!({
            "now": NOW, "leeway": LEEWAY, "issuer": ISSUER, "audience": AUDIENCE, "cases": cases,
        }),
    );
    assert_eq!(ours.len(), theirs.len());
    let (mut accepted, mut they_refused) = (0, 0);
    for ((ours, theirs), case) in ours.iter().zip(&theirs).zip(&cases) {
        accepted += usize::from(ours.is_ok());
        they_refused += usize::from(*theirs != (true, true));
        assert!(
            ours.is_err() || *theirs == (true, true),
            "(PyJWT, joserfc) = {theirs:?}: {case}"
        );
    }
    // The comparison is worth something only if both verdicts are frequent on both sides.
    for frequent in [accepted, ours.len() - accepted, they_refused] {
        assert!(frequent * 10 > ours.len(), "{frequent} of {}", ours.len());
    }
}

fn ask(python: &str, given: &Value) -> Vec<(bool, bool)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(given.to_string().as_bytes()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracle/verify.py");
    let output = Command::new(python)
        .arg(script)
        .arg(file.path())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A token as it should be, with up to three things changed.
fn random_token(rng: &mut StdRng, signer: &Signer) -> String {
    let mut claims = claims(ISSUER);
    for _ in 0..rng.random_range(0..=2) {
        change_claim(rng, &mut claims);
    }
    let mut header = signer.header();
    if rng.random_bool(0.15) {
        change_header(rng, &mut header);
    }
    let mut payload = Value::Object(claims).to_string();
    if rng.random_bool(0.1) {
        payload = change_json(rng, &payload);
    }
    let (mut first, mut second) = (
        encode_bytes(header.to_string().as_bytes()),
        encode_bytes(payload.as_bytes()),
    );
    // Changed before it is signed: only how it is read decides.
    if rng.random_bool(0.05) {
        first = change_text(rng, &first);
    }
    if rng.random_bool(0.05) {
        second = change_text(rng, &second);
    }
    let token = signer.sign_segments(&first, &second);
    if rng.random_bool(0.1) {
        change_text(rng, &token)
    } else {
        token
    }
}

fn change_claim(rng: &mut StdRng, claims: &mut Map<String, Value>) {
    let names = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "repository_id",
        "other",
    ];
    let name = *names.choose(rng).unwrap();
    let offsets = [
        -4000, -301, -300, -61, -60, -59, -1, 0, 1, 59, 60, 61, 300, 4000,
    ];
    let value = match rng.random_range(0..12) {
        0 => None,
        1 => Some(Value::Null),
        2 => Some(json!(rng.random_bool(0.5))),
        3 => Some(json!([AUDIENCE])),
        4 => Some(json!([
            "other",
            AUDIENCE,
            *["x", "", "https://other"].choose(rng).unwrap()
        ])),
        5 => Some(json!([AUDIENCE, null, 1])),
        6 => Some(json!({AUDIENCE: AUDIENCE})),
        7 => Some(json!(rng.random::<f64>() * 4e9)),
        8 => Some(json!((NOW + *offsets.choose(rng).unwrap()).to_string())),
        9 => {
            let texts = [
                "",
                " ",
                "never",
                "NaN",
                AUDIENCE,
                ISSUER,
                "https://issuer.example/",
                "0x10",
                "1e9",
                "ü\u{0}",
            ];
            Some(json!(*texts.choose(rng).unwrap()))
        }
        _ => Some(json!(NOW + *offsets.choose(rng).unwrap())),
    };
    match value {
        Some(value) => claims.insert(name.to_owned(), value),
        None => claims.remove(name),
    };
}

fn change_header(rng: &mut StdRng, header: &mut Value) {
    let members = [
        "alg", "kid", "typ", "crit", "jwk", "jku", "x5u", "x5c", "x5t", "b64", "cty", "other",
    ];
    let values = [
        json!("none"),
        json!("HS256"),
        json!("RS256"),
        json!("ES256"),
        json!("PS256"),
        json!("EdDSA"),
        json!("JWT"),
        json!("jwt"),
        json!("at+jwt"),
        json!("k"),
        json!(""),
        json!(["exp"]),
        json!([]),
        json!(false),
        json!(1),
        Value::Null,
        json!({"kty": "oct", "k": "AAAA"}),
    ];
    header[*members.choose(rng).unwrap()] = values.choose(rng).unwrap().clone();
}

/// The same claims written otherwise, or nearly.
fn change_json(rng: &mut StdRng, text: &str) -> String {
    match rng.random_range(0..9) {
        0 => format!(" {text}\n"),
        1 => format!("\u{feff}{text}"),
        2 => format!("{text}{text}"),
        3 => text.replacen("\"sub\"", "\"\\u0073ub\"", 1),
        4 => text.replacen('{', "{\"exp\":9999999999,", 1),
        5 => text.replacen('}', ",\"aud\":\"other\"}", 1),
        6 => text.replacen(&(NOW + 300).to_string(), "1767323345.0", 1),
        7 => text.replacen(&(NOW + 300).to_string(), "NaN", 1),
        _ => text.replacen(&(NOW + 300).to_string(), "1e400", 1),
    }
}

fn change_text(rng: &mut StdRng, text: &str) -> String {
    const LETTERS: &[u8] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n#";
    let mut bytes = text.as_bytes().to_vec();
    let place = rng.random_range(0..bytes.len());
    let letter = *LETTERS.choose(rng).unwrap();
    match rng.random_range(0..5) {
        0 => bytes[place] = letter,
        1 => bytes.insert(place, letter),
        2 => drop(bytes.remove(place)),
        3 => bytes.push(letter),
        _ => bytes.truncate(place.max(1)),
    }
    String::from_utf8(bytes).unwrap()
}
