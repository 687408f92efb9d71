//! A server that reads frames and answers with frames of the vault's length, and does nothing else.

use fnox_vault_wire::frame::{self, FrameReader};
use fnox_vault_wire::transport::Listener;
use tokio::io::AsyncWriteExt as _;

/// What the vault answers to the three requests, to the byte.
const HELLO: &str = "{\"protocol\":\"fnox-vault\",\"version\":1,\"ok\":true}";
const GRANT: &str = "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"ok\":true,\"result\":{\"lease_id\":\"019b0000-0000-7000-8000-000000000002\",\"secret_name\":\"token\",\"allowed_domains\":[\"api.example.com\"],\"expires_at\":\"2026-01-02T03:14:05.123456789Z\",\"renewable\":false,\"remaining_uses\":null,\"delivery\":\"value\"}}";
const VALUE: &str = "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"ok\":true,\"result\":{\"secret\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==\"}}";
const DONE: &str = "{\"id\":\"019b0000-0000-7000-8000-000000000001\",\"ok\":true,\"result\":{}}";

pub(crate) async fn serve(listener: Listener) {
    let with_length = |text: &str| {
        let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let answers = [with_length(GRANT), with_length(VALUE), with_length(DONE)];
        let hello = with_length(HELLO);
        tokio::spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let mut frames = FrameReader::new(reader, frame::MAX_FRAME);
            let _ = frames.next().await;
            writer.write_all(&hello).await.unwrap();
            while let Ok(Some(request)) = frames.next().await {
                // The third letter of the method tells the three apart.
                let answer = match request.get(57) {
                    Some(b'v') => &answers[2],
                    Some(b'q') => &answers[0],
                    _ => &answers[1],
                };
                if writer.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
}
