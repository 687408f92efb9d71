//! Hello and envelopes: any bytes are read or refused, and no secret is quoted.

use fnox_core::SecretString;
use fnox_vault_wire::Code;
use fnox_vault_wire::envelope::{MessageRef, RequestRef};
use fnox_vault_wire::hello::{ClientHello, ServerHello};
use fnox_vault_wire::methods::{CreateToken, DeleteSecret, Method, RequestLease, StoreSecret};
use proptest::prelude::*;
use serde_json::json;

const TOKEN: &str = "fxv_canary0canary0canary0canary";
const NUMBER: u64 = 7_734_118_250_013_377;

/// JSON into which a token and a secret number got in the wrong places.
fn wrong_places() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(json!(TOKEN)),
        Just(json!(NUMBER)),
        Just(json!(null)),
        Just(json!(true)),
        Just(json!("zerolease")),
        Just(json!(1)),
        Just(json!("0196b2f4-8e12-7c3a-9d1e-000000000001")),
        Just(json!("store_secret")),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| json!(items)),
            prop::collection::hash_map("name|plaintext|agent|token", inner, 0..3)
                .prop_map(|map| json!(map)),
        ]
    });
    let key = prop::sample::select(vec![
        "protocol", "version", "token", "ok", "error", "code", "id", "method", "params", "result",
        "event",
    ]);
    (prop::collection::btree_map(key, value, 0..8), 0..3_usize).prop_map(|(map, cut)| {
        let mut bytes = serde_json::to_vec(&map).unwrap();
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        bytes
    })
}

fn tells_nothing(text: &str) {
    assert!(!text.contains("canary"), "a token is quoted: {text}");
    assert!(
        !text.contains("7734118250013377"),
        "a secret is quoted: {text}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = ClientHello::parse(&bytes);
        let _ = ServerHello::parse(&bytes);
        let _ = RequestRef::parse(&bytes);
        let _ = MessageRef::parse(&bytes);
    }

    #[test]
    fn no_error_and_no_debug_output_shows_what_stands_there(bytes in wrong_places()) {
        match ClientHello::parse(&bytes) {
            Ok(mut hello) => {
                // The protocol is not secret where it is one; a token in its place is somebody's mistake.
                hello.protocol.clear();
                tells_nothing(&format!("{hello:?}"));
            }
            Err(error) => tells_nothing(&format!("{error} {error:?}")),
        }
        if let Err(error) = ServerHello::parse(&bytes) {
            tells_nothing(&format!("{error} {error:?}"));
        }
        match RequestRef::parse(&bytes) {
            Ok(mut request) => {
                if let Err(error) = request.params::<StoreSecret>() {
                    tells_nothing(&format!("{error} {error:?}"));
                }
                if let Err(error) = request.params::<RequestLease>() {
                    tells_nothing(&format!("{error} {error:?}"));
                }
                request.method = "".into();
                tells_nothing(&format!("{request:?}"));
            }
            Err(error) => tells_nothing(&format!("{error} {error:?}")),
        }
        match MessageRef::parse(&bytes) {
            Ok(mut message) => {
                message.error = None;
                tells_nothing(&format!("{message:?}"));
            }
            Err(error) => tells_nothing(&format!("{error} {error:?}")),
        }
    }
}

#[test]
fn the_hello_is_byte_for_byte_that_of_version_1() {
    let hello = ClientHello::new(None);
    assert_eq!(
        serde_json::to_string(&hello).unwrap(),
        r#"{"protocol":"fnox-vault","version":1}"#
    );
    let hello = ClientHello::new(Some(SecretString::from("vm-1")));
    assert_eq!(
        serde_json::to_string(&hello).unwrap(),
        r#"{"protocol":"fnox-vault","version":1,"token":"vm-1"}"#
    );
    assert_eq!(
        serde_json::to_string(&ServerHello::accepting("zerolease")).unwrap(),
        r#"{"protocol":"zerolease","version":1,"ok":true}"#
    );
}

#[test]
fn a_hello_of_another_version_or_protocol_is_refused_by_name() {
    let hello = |text: &str| ClientHello::parse(text.as_bytes()).unwrap().check();
    assert!(hello(r#"{"protocol":"zerolease","version":1,"more":[1]}"#).is_ok());
    for version in [0, 2] {
        let refused = hello(&format!(
            r#"{{"protocol":"zerolease","version":{version}}}"#
        ));
        assert!(refused.unwrap_err().contains(&format!("version {version}")));
    }
    assert!(
        hello(r#"{"protocol":"http","version":1}"#)
            .unwrap_err()
            .contains("`http`")
    );
}

#[test]
fn wrong_parameters_name_the_key_but_no_value() {
    let frame = json!({
        "id": "0196b2f4-8e12-7c3a-9d1e-000000000001",
        "method": "create_token",
        "params": {"agent": "a", "role": "agent", "ttl_secs": 60, "max_use": 1},
    });
    let frame = serde_json::to_vec(&frame).unwrap();
    let error = RequestRef::parse(&frame)
        .unwrap()
        .params::<CreateToken>()
        .unwrap_err();
    assert_eq!(error.known_code(), Some(Code::InvalidRequest));
    assert!(error.message.contains("unknown field `max_use`"), "{error}");

    let frame = json!({
        "id": "0196b2f4-8e12-7c3a-9d1e-000000000001",
        "method": "create_token",
        "params": {"agent": "a", "role": TOKEN, "ttl_secs": 60},
    });
    let frame = serde_json::to_vec(&frame).unwrap();
    let error = RequestRef::parse(&frame)
        .unwrap()
        .params::<CreateToken>()
        .unwrap_err();
    tells_nothing(&format!("{error:?}"));
}

#[test]
fn a_session_token_travels_but_is_not_shown() {
    let mut params = RequestLease::new("agent", "github-pat", "api.github.com");
    params.session_token = Some(SecretString::from(TOKEN));
    tells_nothing(&format!("{params:?}"));
    let text = serde_json::to_string(&params).unwrap();
    assert!(text.contains(TOKEN));
    let read: RequestLease = serde_json::from_str(&text).unwrap();
    assert_eq!(read.session_token, params.session_token);
}

#[test]
fn every_code_and_method_is_read_as_it_is_written() {
    for code in Code::ALL {
        assert_eq!(Code::parse(code.as_str()), Some(*code));
    }
    for method in Method::ALL {
        assert_eq!(Method::parse(method.name()), Some(*method));
        assert!(method.doc().ends_with('.'));
    }
}

#[test]
fn an_array_in_the_place_of_an_object_is_refused() {
    assert!(ClientHello::parse(br#"["zerolease",1,"token"]"#).is_err());
    assert!(ServerHello::parse(br#"["zerolease",1,true]"#).is_err());
    let id = "01939b6e-7e1c-7c3a-9f5e-3a1d5f6b7c8d";
    let request = format!(r#"["{id}","whoami",{{}}]"#);
    assert!(RequestRef::parse(request.as_bytes()).is_err());
    let request = format!(r#"{{"id":"{id}","method":"delete_secret","params":["name"]}}"#);
    let request = RequestRef::parse(request.as_bytes()).unwrap();
    let error = request.params::<DeleteSecret>().unwrap_err();
    assert_eq!(
        error.message,
        "`delete_secret`: the parameters are not an object"
    );
    let spaced = b" \n{\"protocol\":\"zerolease\",\"version\":1}\t";
    assert!(
        ClientHello::parse(spaced).is_ok(),
        "white space is part of JSON"
    );
}
