//! Frames on streams that behave badly.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use fnox_vault_wire::frame::{
    FrameError, FrameReader, FrameWriter, MAX_FRAME, encode_into, fuzz_frame,
};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives its bytes in pieces, and is not ready in between.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    next: usize,
    ready: bool,
}

impl Pieces {
    fn new(bytes: Vec<u8>, sizes: Vec<usize>) -> Self {
        Self {
            bytes,
            at: 0,
            sizes,
            next: 0,
            ready: false,
        }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.ready = !self.ready;
        if !self.ready {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        let count = size.min(self.bytes.len() - self.at).min(buffer.remaining());
        buffer.put_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

/// Counts writes, and takes only so many bytes at once.
struct Counted {
    taken: Vec<u8>,
    writes: usize,
    at_most: usize,
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.at_most);
        self.writes += 1;
        self.taken.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn stream_of(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for payload in payloads {
        stream.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        stream.extend(payload);
    }
    stream
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let sizes = prop_oneof![0..40_usize, 900..1200_usize, 20_000..70_000_usize];
    let payload = (sizes, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]);
    prop::collection::vec(payload, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_bytes_gives_the_same_frames(
        payloads in payloads(),
        sizes in prop::collection::vec(prop_oneof![1..8_usize, 1..5000_usize], 1..8),
    ) {
        let stream = stream_of(&payloads);
        let read = block_on(async {
            let mut reader = FrameReader::new(Pieces::new(stream, sizes), MAX_FRAME);
            let mut read = Vec::new();
            loop {
                // A future that is dropped before it is ready must lose nothing.
                let frame = tokio::select! {
                    biased;
                    frame = reader.next() => frame,
                    () = tokio::task::yield_now() => continue,
                };
                match frame.unwrap() {
                    Some(frame) => read.push(frame.to_vec()),
                    None => break read,
                }
            }
        });
        prop_assert_eq!(read, payloads);
    }

    #[test]
    fn an_end_within_a_frame_is_an_error(payloads in payloads(), cut in any::<prop::sample::Index>()) {
        let stream = stream_of(&payloads);
        let cut = cut.index(stream.len() + 1);
        let mut ends = vec![0];
        for payload in &payloads {
            ends.push(ends.last().unwrap() + 4 + payload.len());
        }
        let end = block_on(async {
            let mut reader = FrameReader::new(&stream[..cut], MAX_FRAME);
            loop {
                match reader.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break true,
                    Err(FrameError::Truncated) => break false,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        prop_assert_eq!(end, ends.contains(&cut));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(data in prop::collection::vec(any::<u8>(), 0..3000)) {
        fuzz_frame(&data);
    }

    #[test]
    fn what_is_written_is_what_is_read(texts in prop::collection::vec(".{0,200}", 1..20)) {
        let mut stream = Vec::new();
        for text in &texts {
            encode_into(&mut stream, text).unwrap();
        }
        let read = block_on(async {
            let mut reader = FrameReader::new(stream.as_slice(), MAX_FRAME);
            let mut read: Vec<String> = Vec::new();
            while let Some(frame) = reader.next().await.unwrap() {
                read.push(serde_json::from_slice(frame).unwrap());
            }
            read
        });
        prop_assert_eq!(read, texts);
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_its_bytes_come() {
    let header = 4097_u32.to_be_bytes();
    let mut reader = FrameReader::new(header.as_slice(), 4096);
    let refused = reader.next().await.unwrap_err();
    assert!(matches!(
        refused,
        FrameError::TooLarge {
            length: 4097,
            limit: 4096
        }
    ));

    let header = 0x0010_0001_u32.to_be_bytes();
    let mut reader = FrameReader::new(header.as_slice(), usize::MAX);
    let refused = reader.next().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a frame of 1048577 bytes is over the limit of 1048576"
    );
}

#[tokio::test]
async fn the_limit_can_grow_while_frames_wait() {
    let stream = stream_of(&[vec![b'h'; 100], vec![b'r'; 5000]]);
    let mut reader = FrameReader::new(stream.as_slice(), 4096);
    assert_eq!(reader.next().await.unwrap().map(<[u8]>::len), Some(100));
    reader.set_limit(MAX_FRAME);
    assert_eq!(reader.next().await.unwrap().map(<[u8]>::len), Some(5000));
    assert_eq!(reader.next().await.unwrap(), None);
}

#[tokio::test]
async fn frames_that_came_together_need_one_read() {
    let stream = stream_of(&[b"1".to_vec(), b"2".to_vec(), b"3".to_vec()]);
    let mut reader = FrameReader::new(stream.as_slice(), MAX_FRAME);
    assert_eq!(reader.next().await.unwrap(), Some(&b"1"[..]));
    assert_eq!(reader.buffered().unwrap(), Some(&b"2"[..]));
    assert_eq!(reader.buffered().unwrap(), Some(&b"3"[..]));
    assert_eq!(reader.buffered().unwrap(), None);
}

#[tokio::test]
async fn one_write_carries_a_frame_or_many() {
    let mut stream = Counted {
        taken: Vec::new(),
        writes: 0,
        at_most: usize::MAX,
    };
    let mut writer = FrameWriter::new(&mut stream);
    writer.write(&"alone").await.unwrap();
    for number in 0..50 {
        writer.queue(&number).unwrap();
    }
    writer.flush().await.unwrap();
    assert_eq!(writer.queued(), 0);
    assert_eq!(stream.writes, 2);
}

#[tokio::test]
async fn a_stream_that_takes_little_at_once_gets_everything_once() {
    let mut stream = Counted {
        taken: Vec::new(),
        writes: 0,
        at_most: 3,
    };
    let mut expected = Vec::new();
    let mut writer = FrameWriter::new(&mut stream);
    for text in ["one", "two", "three"] {
        writer.write(&text).await.unwrap();
        encode_into(&mut expected, &text).unwrap();
    }
    assert_eq!(stream.taken, expected);
}

#[tokio::test]
async fn of_a_message_over_the_limit_nothing_is_written() {
    let mut stream = Counted {
        taken: Vec::new(),
        writes: 0,
        at_most: usize::MAX,
    };
    let mut writer = FrameWriter::new(&mut stream);
    writer.queue(&"before").unwrap();
    assert!(writer.write(&"x".repeat(MAX_FRAME)).await.is_err());
    writer.flush().await.unwrap();
    assert_eq!(stream.taken, b"\0\0\0\x08\"before\"");
}
