//! `plain`

use fnox_providers::ErrorKind;

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, pair, read};

#[tokio::test]
pub(crate) async fn conforms() -> Checked<kinds::Plain> {
    let world = World::new();
    let provider = world.open("type = \"plain\"");
    check(&Backend {
        kind: kinds::Plain,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| format!("{:?}", world.snapshot()).into_bytes(),
    })
    .await
}

#[tokio::test]
async fn files_of_every_format_are_read() {
    let world = World::new();
    world.write("a.env", "export A='x y'\nB=2\n");
    world.write("a.sh", "export A='x y'; B=2\n");
    world.write("a.json", r#"{"A":"x y","B":2}"#);
    world.write("a.yaml", "A: x y\nB: 2\n");
    world.write("a.toml", "A = \"x y\"\nB = 2\n");
    for (file, format) in [
        ("a.env", "env"),
        ("a.sh", "shell"),
        ("a.json", "json"),
        ("a.yaml", "yaml"),
        ("a.toml", "toml"),
    ] {
        let keys = format!("type = \"plain\"\nfile = \"{file}\"\nformat = \"{format}\"");
        let provider = world.open(&keys);
        provider.check().await.unwrap();
        assert_eq!(read(provider.as_ref(), "A").await.unwrap(), "x y");
        assert_eq!(read(provider.as_ref(), "B").await.unwrap(), "2");
        let error = read(provider.as_ref(), "C").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        let error = provider.encrypt(&[pair("A", "v")]).await.unwrap_err();
        assert!(error.message.ends_with("are only read"), "{error}");
        let value = fnox_core::SecretString::from("v");
        assert!(provider.put("A", &value).await.is_err());
    }
}

#[tokio::test]
async fn wrong_files_are_named_without_their_content() {
    let world = World::new();
    let provider = world.open("type = \"plain\"\nfile = \"x.env\"\nformat = \"env\"");
    let error = provider.check().await.unwrap_err();
    assert!(error.message.contains("x.env"), "{error}");
    world.write("x.env", "A=1\nhunter2\n");
    let provider = world.open("type = \"plain\"\nfile = \"x.env\"\nformat = \"env\"");
    let error = read(provider.as_ref(), "A").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(
        error.message.contains("line 2") && !error.message.contains("hunter2"),
        "{error}"
    );
}
