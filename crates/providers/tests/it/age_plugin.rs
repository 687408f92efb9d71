//! A plugin of age on PATH.
//!
//! The library looks plugins up on the PATH of the process, so the tests run themselves again in a process
//! whose PATH has one: a shell script that speaks the plugin protocol (C2SP age-plugin) and wraps a file key by
//! writing it down, which proves the protocol and nothing else.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fnox_providers::ErrorKind;

use crate::world::{World, pair, read};

const PLUGIN: &str = r#"#!/bin/sh
# Stanzas: `-> type args…`, then the body in base64 lines, the last one shorter than 64.
body() { body=; while IFS= read -r part; do body=$body$part; [ ${#part} -eq 64 ] || break; done; }
case "$1" in
--age-plugin=recipient-v1)
  while IFS= read -r line; do
    case "$line" in
      '-> wrap-file-key') body; key=$body ;;
      '-> done'*) body; break ;;
      *) body ;;
    esac
  done
  printf -- '-> recipient-stanza 0 fnoxtest\n%s\n' "$key"; read -r _; body
  printf -- '-> done\n\n' ;;
--age-plugin=identity-v1)
  while IFS= read -r line; do
    case "$line" in
      '-> recipient-stanza '*' fnoxtest'*) body; key=$body ;;
      '-> done'*) body; break ;;
      *) body ;;
    esac
  done
  if [ -n "$FNOXTEST_ASK" ]; then
    printf -- '-> request-secret\nUElO\n'; read -r answer; body
    case "$answer" in '-> fail'*) printf -- '-> error internal\nbm8gUElO\n'; read -r _; body; printf -- '-> done\n\n'; exit ;; esac
  fi
  [ -z "$key" ] || { printf -- '-> file-key 0\n%s\n' "$key"; read -r _; body; }
  printf -- '-> done\n\n' ;;
esac
"#;

/// Runs the test of this module that is named in a process with the plugin on PATH.
fn again(test: &str, ask: bool) {
    let world = World::new();
    let plugin = world.write("bin/age-plugin-fnoxtest", PLUGIN);
    std::fs::set_permissions(plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", world.path("bin").display());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("age_plugin::{test}"), "--ignored"])
        .env("FNOXTEST_INSIDE", "1")
        .env("PATH", path);
    if ask {
        command.env("FNOXTEST_ASK", "1");
    }
    let run = command.output().unwrap();
    let shown = format!(
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(
        run.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

fn inside() -> bool {
    fnox_core::Env::of_process()
        .var("FNOXTEST_INSIDE")
        .is_some()
}

/// `age1fnoxtest1…` and `AGE-PLUGIN-FNOXTEST-1…` without data: bech32 (BIP 173) of an empty text.
fn names() -> (String, String) {
    let recipient = bech32_without_data("age1fnoxtest");
    let identity = bech32_without_data("age-plugin-fnoxtest-").to_uppercase();
    (recipient, identity)
}

fn bech32_without_data(prefix: &str) -> String {
    const LETTERS: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let step = |checksum: u32, value: u32| {
        let top = checksum >> 25;
        let shifted = ((checksum & 0x01ff_ffff) << 5) ^ value;
        (0..5)
            .filter(|bit| (top >> bit) & 1 == 1)
            .fold(shifted, |sum, bit| sum ^ GENERATOR[bit])
    };
    let high = prefix.bytes().map(|byte| u32::from(byte >> 5));
    let low = prefix.bytes().map(|byte| u32::from(byte & 31));
    let checksum = high.chain([0]).chain(low).chain([0; 6]).fold(1, step) ^ 1;
    let tail: String = (0..6)
        .map(|at| LETTERS[((checksum >> (5 * (5 - at))) & 31) as usize] as char)
        .collect();
    format!("{prefix}1{tail}")
}

#[test]
fn values_pass_through_a_plugin() {
    again("plugin_child", false);
}

#[test]
fn a_plugin_that_asks_fails_without_a_person() {
    again("asking_plugin_child", true);
}

#[tokio::test]
#[ignore = "runs inside values_pass_through_a_plugin"]
async fn plugin_child() {
    if !inside() {
        return;
    }
    let (recipient, identity) = names();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", identity);
    let provider = world.open(&format!("type = \"age\"\nrecipients = [\"{recipient}\"]"));
    let stored = provider
        .encrypt(&[pair("A", "through a plugin")])
        .await
        .unwrap();
    assert_eq!(provider.is_current(&stored[0]), Some(true));
    assert_eq!(
        read(provider.as_ref(), &stored[0]).await.unwrap(),
        "through a plugin"
    );
}

#[tokio::test]
#[ignore = "runs inside a_plugin_that_asks_fails_without_a_person"]
async fn asking_plugin_child() {
    if !inside() {
        return;
    }
    let (recipient, identity) = names();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", identity);
    let keys = format!("type = \"age\"\nrecipients = [\"{recipient}\"]");
    let stored = world.open(&keys).encrypt(&[pair("A", "v")]).await.unwrap();
    let error = read(world.open(&keys).as_ref(), &stored[0])
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    let person = crate::world::Person::answering("1234");
    world.prompt = std::sync::Arc::<crate::world::Person>::clone(&person);
    assert_eq!(
        read(world.open(&keys).as_ref(), &stored[0]).await.unwrap(),
        "v"
    );
    assert_eq!(person.times(), 1);
}
