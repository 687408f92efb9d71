//! `age` against the programs of other people: Debian's `age` (Go) and `ssh-keygen`.

use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_providers::ErrorKind;

use crate::world::{Person, World, named, output, pair, read};

const VALUE: &str = "päss wörd\nsecond line \n";

/// A key pair made by somebody else: the file of the private key and the public key.
fn key_pair(world: &World, kind: &str, passphrase: &str) -> (String, String) {
    let file = world.path(&format!("{kind}{}", passphrase.len()));
    if kind == "x25519" {
        output(Command::new("age-keygen").arg("-o").arg(&file), b"");
        let public = output(Command::new("age-keygen").arg("-y").arg(&file), b"");
        let public = String::from_utf8(public).unwrap().trim().to_owned();
        return (file.display().to_string(), public);
    }
    let mut command = Command::new("ssh-keygen");
    command.args([
        "-q",
        "-t",
        kind,
        "-N",
        passphrase,
        "-C",
        "someone@example",
        "-f",
    ]);
    if kind == "rsa" {
        command.args([file.to_str().unwrap(), "-b", "2048"]);
    } else {
        command.arg(&file);
    }
    output(&mut command, b"");
    let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    (file.display().to_string(), public.trim().to_owned())
}

#[tokio::test]
#[ignore = "needs age and ssh-keygen"]
async fn values_pass_both_ways_for_every_kind_of_key() {
    for kind in ["x25519", "ed25519", "rsa"] {
        let world = World::new();
        let (file, public) = key_pair(&world, kind, "");
        let provider = world.open(&format!(
            "type = \"age\"\nrecipients = [\"{public}\"]\nkey_file = \"{file}\""
        ));
        provider.check().await.unwrap();

        let theirs = output(Command::new("age").args(["-r", &public]), VALUE.as_bytes());
        let theirs = STANDARD.encode(theirs);
        assert_eq!(
            read(provider.as_ref(), &theirs).await.unwrap(),
            VALUE,
            "{kind}"
        );
        let known = if kind == "x25519" { None } else { Some(true) };
        assert_eq!(provider.is_current(&theirs), known, "{kind}");

        let ours = provider.encrypt(&[pair("A", VALUE)]).await.unwrap();
        let ours = STANDARD.decode(&ours[0]).unwrap();
        let opened = output(Command::new("age").args(["-d", "-i", &file]), &ours);
        assert_eq!(opened, VALUE.as_bytes(), "{kind}");
    }
}

#[tokio::test]
#[ignore = "needs age"]
async fn a_colleague_sees_what_a_bound_value_is() {
    let world = World::new();
    let (file, public) = key_pair(&world, "x25519", "");
    let provider = world.open(&format!(
        "type = \"age\"\nrecipients = [\"{public}\"]\nbind_names = true"
    ));
    let ours = provider.encrypt(&[pair("A", "value")]).await.unwrap();
    let ours = STANDARD.decode(&ours[0]).unwrap();
    let opened = output(Command::new("age").args(["-d", "-i", &file]), &ours);
    assert_eq!(opened, b"fnox-bound-v1 7:default 1:A\nvalue");
}

#[tokio::test]
#[ignore = "needs age and ssh-keygen"]
async fn an_ssh_key_with_a_passphrase_asks_once_and_only_if_somebody_is_there() {
    for kind in ["ed25519", "rsa"] {
        let mut world = World::new();
        let (file, public) = key_pair(&world, kind, "opensesame");
        let keys = format!("type = \"age\"\nrecipients = [\"{public}\"]\nkey_file = \"{file}\"");
        let stored: Vec<_> = (0..10)
            .map(|n| {
                let value = format!("value {n}");
                let mut age = Command::new("age");
                // Another recipient besides, whose stanza must not ask for anything.
                age.args(["-r", &key_pair_public(&world, n), "-r", &public]);
                STANDARD.encode(output(&mut age, value.as_bytes()))
            })
            .collect();
        let requests: Vec<_> = stored.iter().map(|stored| named("A", stored)).collect();

        let answers = world.open(&keys).get_many(&requests).await;
        let error = answers[0].as_ref().unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
        assert!(error.to_string().contains("nobody can be asked"), "{error}");

        let person = Person::answering("opensesame");
        world.prompt = Arc::<Person>::clone(&person);
        let answers = world.open(&keys).get_many(&requests).await;
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap().expose_secret(), format!("value {n}"));
        }
        assert_eq!(person.times(), 1);

        let person = Person::answering("wrong");
        world.prompt = Arc::<Person>::clone(&person);
        let answers = world.open(&keys).get_many(&requests).await;
        let error = answers[9].as_ref().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("passphrase of the SSH key is wrong"),
            "{error}"
        );
        assert_eq!(person.times(), 1);
    }
}

fn key_pair_public(world: &World, n: usize) -> String {
    let file = world.path(&format!("other{n}"));
    if !file.exists() {
        output(Command::new("age-keygen").arg("-o").arg(&file), b"");
    }
    let public = output(Command::new("age-keygen").arg("-y").arg(&file), b"");
    String::from_utf8(public).unwrap().trim().to_owned()
}
