//! `vault-agent` at a socket where no vault works. What a real one lends is tested with the command line.

use std::time::Duration;

use fnox_providers::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::world::{World, read};

/// What the other end says after a first piece of what it was told. `None`: nothing, and it stays.
type Answer = Option<&'static [u8]>;

async fn serve(listener: UnixListener, answer: Answer) {
    let mut open = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.read(&mut [0; 1024]).await;
        match answer {
            Some(answer) => drop(stream.write_all(answer).await),
            None => open.push(stream),
        }
    }
}

#[tokio::test]
async fn what_hangs_hangs_up_or_talks_nonsense_is_an_outage() {
    let mut world = World::new();
    world.time_limit = Duration::from_secs(1);
    world.write("token", "fxv_of_nobody");
    let keys =
        "type = \"vault-agent\"\nsocket = \"v.sock\"\ntoken_file = \"token\"\nagent = \"build\"";
    let answers: [Answer; 6] = [
        None,
        Some(b""),
        Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Some(&[0xff; 64]),
        Some(&[0, 0, 0, 2, b'{', b'}']),
        Some(&[0, 0, 1, 0, b'{']),
    ];
    for answer in answers {
        let socket = world.path("v.sock");
        let _ = std::fs::remove_file(&socket);
        let serving = tokio::spawn(serve(UnixListener::bind(&socket).unwrap(), answer));
        let provider = world.open(keys);
        let error = read(provider.as_ref(), "a@h.example").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{answer:?}: {error}");
        let error = provider.check().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{answer:?}: {error}");
        assert!(!format!("{error:?}").contains("fxv_of_nobody"), "{error:?}");
        serving.abort();
    }
}
