//! Keys that come and go, and floods of tokens without one.

use std::sync::Arc;

use fnox_server::oidc::{OidcError, Verifier};
use fnox_server::settings::Algorithm;
use fnox_testkit::FakeClock;
use futures_util::FutureExt as _;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::issuer::{Answer, Issuer, impatient};
use super::signer::{NOW, NOW_TEXT, Signer, claims, encode_bytes, jwks};

struct Bench {
    issuer: Issuer,
    verifier: Arc<Verifier>,
    clock: Arc<FakeClock>,
}

impl Bench {
    async fn new(keys: &[&Signer]) -> Self {
        let issuer = Issuer::start(jwks(keys)).await;
        let clock = Arc::new(FakeClock::at(NOW_TEXT));
        let settings = [issuer.settings(Algorithm::Es256)];
        let verifier = Verifier::with_network(&settings, clock.clone(), &impatient()).unwrap();
        Self {
            issuer,
            verifier: Arc::new(verifier),
            clock,
        }
    }

    fn token(&self, signer: &Signer) -> String {
        let mut claims = claims(&self.issuer.url);
        // Long enough for every step of the clock here.
        claims.insert("iat".to_owned(), json!(self.now()));
        claims.insert("exp".to_owned(), json!(self.now() + 300));
        signer.sign(&Value::Object(claims))
    }

    fn now(&self) -> i64 {
        use fnox_core::Clock as _;
        self.clock.now().as_second()
    }

    async fn login(&self, signer: &Signer) -> Result<(), OidcError> {
        self.verifier.verify(&self.token(signer)).await.map(drop)
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }
}

fn is_unknown(result: &Result<(), OidcError>) -> bool {
    matches!(result, Err(OidcError::UnknownKey { .. }))
}

fn is_unavailable(result: &Result<(), OidcError>) -> bool {
    matches!(result, Err(OidcError::Unavailable { .. }))
}

#[tokio::test]
async fn keys_are_fetched_once_and_used_for_an_hour() {
    let (one, two) = (Signer::es256("one"), Signer::es256("two"));
    let bench = Bench::new(&[&one, &two]).await;
    bench.verifier.warm_up().await.unwrap();
    for _ in 0..20 {
        bench.login(&one).await.unwrap();
        bench.login(&two).await.unwrap();
        bench.pass(100);
    }
    assert_eq!((bench.issuer.discovered(), bench.issuer.fetched()), (1, 1));
    // A second warm-up has nothing to do.
    bench.verifier.warm_up().await.unwrap();
    assert_eq!(bench.issuer.fetched(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_with_its_first_token() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let bench = Bench::new(&[&old]).await;
    bench.login(&old).await.unwrap();
    bench
        .issuer
        .answer_keys(Answer::Document(jwks(&[&old, &new])));
    // Not within the cool-down of the first fetch.
    assert!(is_unknown(&bench.login(&new).await));
    bench.pass(30);
    bench.login(&new).await.unwrap();
    assert_eq!((bench.issuer.discovered(), bench.issuer.fetched()), (1, 2));
}

#[tokio::test]
async fn a_removed_key_is_refused_after_the_next_refresh() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let bench = Bench::new(&[&old]).await;
    bench.login(&old).await.unwrap();
    bench.issuer.answer_keys(Answer::Document(jwks(&[&new])));
    bench.pass(30);
    bench.login(&new).await.unwrap();
    assert!(is_unknown(&bench.login(&old).await));

    // Also without a token that makes it look.
    bench.issuer.answer_keys(Answer::Document(jwks(&[&old])));
    bench.pass(3601);
    assert!(is_unknown(&bench.login(&new).await));
}

#[tokio::test]
async fn max_age_counts_between_five_minutes_and_twelve_hours() {
    let (one, other) = (Signer::es256("one"), Signer::es256("other"));
    for (control, still, no_more) in [
        ("max-age=1", 299, 301),
        ("no-store", 299, 301),
        ("public, max-age=7200", 6400, 7201),
        ("max-age=99999999999", 12 * 3600 * 9 / 10 - 1, 12 * 3600 + 1),
        ("max-age=never", 3200, 3601),
    ] {
        let bench = Bench::new(&[]).await;
        bench
            .issuer
            .answer_keys(Answer::Cached(jwks(&[&one]), control));
        bench.login(&one).await.unwrap();
        bench.issuer.answer_keys(Answer::Silence);
        bench.pass(still);
        bench.login(&one).await.unwrap();
        bench.issuer.answer_keys(Answer::Document(jwks(&[&other])));
        // What may have been started ahead of time ends in silence; then comes the next one.
        bench.pass(no_more - still);
        while bench.login(&one).await.is_ok() {
            bench.pass(30);
            assert!(bench.now() < NOW + no_more + 120, "{control}");
        }
    }
}

#[tokio::test]
async fn an_issuer_that_fails_takes_no_keys_away_for_a_day() {
    let one = Signer::es256("one");
    let stranger = Signer::es256("stranger");
    let bad = [
        Answer::Status(500),
        Answer::Status(404),
        Answer::Redirect("http://127.0.0.1:1/keys".to_owned()),
        Answer::Document(json!({"keys": []})),
        Answer::Document(json!({"keys": {}})),
        Answer::Document(json!([])),
        Answer::Text(String::new()),
        Answer::Text("<html>".to_owned()),
        Answer::Endless,
        Answer::Beginning,
        Answer::Silence,
    ];
    for (index, answer) in bad.into_iter().enumerate() {
        let bench = Bench::new(&[&one]).await;
        bench.login(&one).await.unwrap();
        bench.issuer.answer_keys(answer);
        bench.pass(30);
        // Whoever sends nonsense makes it fail, and harms only themselves.
        assert!(is_unavailable(&bench.login(&stranger).await), "{index}");
        bench.login(&one).await.unwrap();
        bench.pass(23 * 3600);
        bench.login(&one).await.unwrap();
        bench.pass(3600);
        assert!(is_unavailable(&bench.login(&one).await), "{index}");
        // And by itself it is well again.
        bench.issuer.answer_keys(Answer::Document(jwks(&[&one])));
        bench.pass(30);
        bench.login(&one).await.unwrap();
    }
}

#[tokio::test]
async fn an_issuer_that_moves_its_keys_is_followed() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let bench = Bench::new(&[&old]).await;
    bench.login(&old).await.unwrap();
    // A path that the issuer does not know answers 404.
    bench.issuer.answer_keys(Answer::Status(404));
    bench.pass(30);
    assert!(is_unavailable(&bench.login(&new).await));
    bench.issuer.answer_keys(Answer::Document(jwks(&[&new])));
    bench.pass(30);
    bench.login(&new).await.unwrap();
    assert_eq!(bench.issuer.discovered(), 2);
}

#[tokio::test]
async fn the_start_fails_without_a_usable_key() {
    let good = Signer::es256("good");
    let mut symmetric = jwks(&[&good]);
    symmetric["keys"][0] = json!({"kty": "oct", "kid": "s", "k": "AAAA", "alg": "HS256"});
    for (document, wanted) in [
        (json!({"keys": []}), "no keys"),
        (symmetric, "symmetric"),
        (json!({}), "no list"),
    ] {
        let bench = Bench::new(&[]).await;
        bench.issuer.answer_keys(Answer::Document(document));
        let error = bench.verifier.warm_up().await.unwrap_err().to_string();
        assert!(
            error.contains("\"test\"") && error.contains(wanted),
            "{error}"
        );
        let refused = bench.login(&good).await;
        assert!(is_unavailable(&refused), "{refused:?}");
        let problem = refused.unwrap_err().problem();
        assert_eq!(
            (problem.code.as_str(), problem.status),
            ("issuer_unavailable", 503)
        );
    }
}

/// 100 000 tokens a minute that nobody has signed, and one good login after every hundred.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_fetches_twice_a_minute_and_harms_no_login() {
    let good = Signer::es256("good");
    let bench = Bench::new(&[&good]).await;
    bench.verifier.warm_up().await.unwrap();
    let before = bench.issuer.fetched();
    let token = bench.token(&good);
    let (_, rest) = token.split_once('.').unwrap();
    for number in 0..100_000 {
        bench.clock.advance(SignedDuration::from_micros(599));
        let header = json!({"alg": "ES256", "kid": format!("flood-{number}")}).to_string();
        let bad = format!("{}.{rest}", encode_bytes(header.as_bytes()));
        let refused = bench.verifier.verify(&bad).await.map(drop);
        assert!(is_unknown(&refused), "{refused:?}");
        if number % 100 == 0 {
            bench.login(&good).await.unwrap();
        }
    }
    let fetched = bench.issuer.fetched() - before;
    assert!((1..=2).contains(&fetched), "{fetched} fetches");
    assert_eq!(bench.issuer.discovered(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_one_fetch_and_all_get_its_keys() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let bench = Arc::new(Bench::new(&[&old]).await);
    bench.login(&old).await.unwrap();
    bench
        .issuer
        .answer_keys(Answer::Document(jwks(&[&old, &new])));
    bench.pass(30);
    let token = bench.token(&new);
    let logins = (0..64).map(|_| {
        let (verifier, token) = (Arc::clone(&bench.verifier), token.clone());
        tokio::spawn(async move { verifier.verify(&token).await.map(drop) })
    });
    for login in futures_util::future::join_all(logins).await {
        login.unwrap().unwrap();
    }
    assert_eq!(bench.issuer.fetched(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nobody_waiting() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let bench = Bench::new(&[&old]).await;
    bench.login(&old).await.unwrap();
    bench.issuer.answer_keys(Answer::Document(jwks(&[&new])));
    bench.pass(30);
    let token = bench.token(&new);
    assert!(bench.verifier.verify(&token).now_or_never().is_none());
    // The fetch that it started goes on, and this one waits for it instead of being sent away.
    bench.login(&new).await.unwrap();
    assert_eq!(bench.issuer.fetched(), 2);
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    // As programs replace a file that others read.
    let write = |text: &str| {
        let part = folder.path().join("part");
        std::fs::write(&part, text).unwrap();
        std::fs::rename(&part, &file).unwrap();
    };
    write(&jwks(&[&old]).to_string());
    let mut settings = super::signer::settings("urn:example:issuer", Algorithm::Es256);
    settings.jwks_file = Some(file.clone());
    let clock = Arc::new(FakeClock::at(NOW_TEXT));
    let verifier = Verifier::new(&[settings], clock).unwrap();
    verifier.warm_up().await.unwrap();
    let login = async |signer: &Signer| {
        let token = signer.sign(&Value::Object(claims("urn:example:issuer")));
        verifier.verify(&token).await.map(drop)
    };
    login(&old).await.unwrap();
    assert!(is_unknown(&login(&new).await));
    write(&jwks(&[&new]).to_string());
    login(&new).await.unwrap();
    assert!(is_unknown(&login(&old).await));
    // A broken or missing file leaves the keys as they are.
    write("{");
    login(&new).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    login(&new).await.unwrap();
    write(&jwks(&[&old]).to_string());
    login(&old).await.unwrap();
}

#[tokio::test]
async fn the_start_names_a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = super::signer::settings("urn:example:issuer", Algorithm::Es256);
    settings.jwks_file = Some(folder.path().join("missing.json"));
    let verifier = Verifier::new(&[settings], Arc::new(FakeClock::at(NOW_TEXT))).unwrap();
    let error = verifier.warm_up().await.unwrap_err().to_string();
    assert!(error.contains("missing.json"), "{error}");
}

#[tokio::test]
async fn nothing_is_fetched_for_issuers_that_are_not_configured() {
    let one = Signer::es256("one");
    let bench = Bench::new(&[&one]).await;
    let evil = Issuer::start(jwks(&[&one])).await;
    let token = one.sign(&Value::Object(claims(&evil.url)));
    assert!(bench.verifier.verify(&token).await.is_err());
    let header = json!({"alg": "ES256", "kid": "one", "jku": format!("{}/keys", evil.url)});
    let payload = Value::Object(claims(&bench.issuer.url)).to_string();
    assert!(
        bench
            .verifier
            .verify(&one.sign_texts(&header.to_string(), &payload))
            .await
            .is_err()
    );
    assert_eq!((evil.fetched(), evil.discovered()), (0, 0));
    assert_eq!((bench.issuer.fetched(), bench.issuer.discovered()), (0, 0));
}
