//! Every coding gives what was encoded, however it comes, or an error.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use proptest::sample::Index;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const CODINGS: [Coding; 4] = [Coding::Brotli, Coding::Deflate, Coding::Gzip, Coding::Zstd];

/// Made by the reference implementation from [`events`], with a checksum and a window of 8 MiB.
const ZSTD_OF_EVENTS: &str = "28b52ffd0468c50200d2030e11907d938108cbd1ee0ed8e581c8d3fd970e84b0a5123a\
a61000fa4f172dbec1055903a651c740ddb7c73be217a3bd8d6f66fa3c34871d0c0ca010f0faff39b033ac03f971c61f1919393232\
32a2c84847908ad81d39a2bcb7";

fn events() -> Vec<u8> {
    let event =
        |number| format!("data: {{\"number\":{number},\"text\":\"an event of a stream\"}}\n\n");
    (0..12).map(event).collect::<String>().into_bytes()
}

/// `parts` encoded one after another, each with what is needed to decode it at once.
fn encode_flushed(coding: Coding, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    fn each<W: Write>(
        mut encoder: W,
        parts: &[&[u8]],
        take: impl Fn(&mut W) -> Vec<u8>,
    ) -> Vec<Vec<u8>> {
        let one = |part: &&[u8]| {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
            take(&mut encoder)
        };
        parts.iter().map(one).collect()
    }
    let level = Compression::default();
    match coding {
        Coding::Brotli => {
            let encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            each(encoder, parts, |it| std::mem::take(it.get_mut()))
        }
        Coding::Deflate => {
            let encoder = ZlibEncoder::new(Vec::new(), level);
            each(encoder, parts, |it| std::mem::take(it.get_mut()))
        }
        Coding::Gzip => {
            let encoder = GzEncoder::new(Vec::new(), level);
            each(encoder, parts, |it| std::mem::take(it.get_mut()))
        }
        Coding::Zstd => parts.iter().map(|part| encode(coding, part)).collect(),
    }
}

pub(in crate::reflection) fn encode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match coding {
        Coding::Brotli => {
            let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            encoder.write_all(bytes).unwrap();
            encoder.into_inner()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
    }
}

fn decode<'a>(
    codings: &[Coding],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, DecodingError> {
    let mut decoders = Decoders::new(codings, Expansion::default());
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(decoders.push(piece)?);
    }
    decoders.finish()?;
    Ok(out)
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000),
        "[a-c]{0,2000}".prop_map(String::into_bytes),
        // Longer than the decoders' buffers.
        (any::<u8>(), 0..200_000_usize).prop_map(|(byte, count)| vec![byte; count]),
        "[ -~]{1,60}".prop_map(|text| text.repeat(1500).into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn what_was_encoded_comes_out_wherever_the_pieces_end(
        body in bodies(),
        second in prop::option::of(Just(Coding::Gzip)),
        places in prop::collection::vec(any::<Index>(), 0..20),
    ) {
        for first in CODINGS {
            let codings: Vec<Coding> = [first].into_iter().chain(second).collect();
            let encoded = codings.iter().fold(body.clone(), |body, coding| encode(*coding, &body));
            let mut ends: Vec<_> = places.iter().map(|place| place.index(encoded.len())).collect();
            ends.extend([0, encoded.len()]);
            ends.sort_unstable();
            let pieces = ends.windows(2).map(|ends| &encoded[ends[0]..ends[1]]);
            prop_assert_eq!(decode(&codings, pieces), Ok(body.clone()));
            if encoded.len() < 4000 {
                prop_assert_eq!(decode(&codings, encoded.chunks(1)), Ok(body.clone()));
            }
        }
    }

    #[test]
    fn bytes_at_random_are_an_error_or_a_body_and_no_more(
        bytes in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        for coding in CODINGS {
            let out = decode(&[coding], bytes.chunks(7));
            prop_assert!(out.is_err() || coding != Coding::Gzip, "{coding:?}");
        }
    }
}

#[test]
fn what_was_flushed_comes_out_at_once() {
    let events = events();
    let events: Vec<&[u8]> = events.chunks(50).collect();
    for coding in CODINGS {
        let mut decoders = Decoders::new(&[coding], Expansion::default());
        for (event, piece) in events.iter().zip(encode_flushed(coding, &events)) {
            let out = decoders.push(&piece).unwrap();
            assert_eq!(
                String::from_utf8_lossy(&out),
                String::from_utf8_lossy(event),
                "{coding:?}"
            );
        }
    }
}

#[test]
fn a_body_that_breaks_off_is_an_error_wherever_it_does() {
    for coding in CODINGS {
        let encoded = encode(coding, &events());
        for end in 1..encoded.len() {
            let out = decode(&[coding], [&encoded[..end]]);
            assert_eq!(out, Err(DecodingError::CutOff(coding)), "until {end}");
        }
        assert_eq!(decode(&[coding], [&[][..]]), Ok(Vec::new()));
        assert_eq!(decode(&[coding], []), Ok(Vec::new()));
    }
}

#[test]
fn checksums_are_compared() {
    let zstd = hex::decode(ZSTD_OF_EVENTS).unwrap();
    assert_eq!(decode(&[Coding::Zstd], zstd.chunks(5)), Ok(events()));
    for (coding, mut encoded) in [
        (Coding::Deflate, encode(Coding::Deflate, &events())),
        (Coding::Gzip, encode(Coding::Gzip, &events())),
        (Coding::Zstd, zstd),
    ] {
        // Gzip's length comes behind its checksum.
        let place = encoded.len() - if coding == Coding::Gzip { 5 } else { 1 };
        encoded[place] ^= 1;
        assert!(decode(&[coding], [&encoded[..]]).is_err(), "{coding:?}");
    }
}

#[test]
fn deflate_may_come_without_its_header() {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&events()).unwrap();
    let body = encoder.finish().unwrap();
    assert_eq!(decode(&[Coding::Deflate], [&body[..]]), Ok(events()));
    assert_eq!(decode(&[Coding::Deflate], body.chunks(1)), Ok(events()));
}

#[test]
fn a_body_may_have_several_members_or_frames() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let mut encoded = encode(coding, b"one, ");
        if coding == Coding::Zstd {
            // Frames to skip, with three bytes in them and with none.
            encoded.extend(b"\x53\x2a\x4d\x18\x03\0\0\0abc\x50\x2a\x4d\x18\0\0\0\0");
        }
        encoded.extend(encode(coding, b"two"));
        let out = Ok(b"one, two".to_vec());
        assert_eq!(decode(&[coding], [&encoded[..]]), out);
        assert_eq!(decode(&[coding], encoded.chunks(1)), out);
    }
}

#[test]
fn zstandard_has_no_larger_windows_and_blocks_than_the_coding_allows() {
    let invalid = Err(DecodingError::Invalid(Coding::Zstd));
    // 16 MiB.
    let window = b"\x28\xb5\x2f\xfd\0\x70";
    assert_eq!(decode(&[Coding::Zstd], [&window[..]]), invalid);
    // One byte, repeated two million times; and as much that is to be kept until it is whole.
    for kind in [1_u8, 0] {
        let mut block = b"\x28\xb5\x2f\xfd\0\x68".to_vec();
        block.extend([0xf8 | kind << 1, 0xff, 0xff, b'x']);
        assert_eq!(decode(&[Coding::Zstd], [&block[..]]), invalid);
    }
}

#[test]
fn a_body_does_not_grow_beyond_measure() {
    let bomb = vec![0; 24 << 20];
    for coding in CODINGS {
        let once = encode(coding, &bomb);
        let too_large = Err(DecodingError::TooLarge(coding));
        assert_eq!(decode(&[coding], [&once[..]]), too_large);
        assert_eq!(decode(&[coding], once.chunks(64)), too_large, "{coding:?}");
        // Two codings may not do together what one may not.
        let twice = encode(Coding::Gzip, &once);
        assert_eq!(decode(&[coding, Coding::Gzip], [&twice[..]]), too_large);
    }
}

#[test]
fn what_was_not_used_is_saved_up_to_the_allowance_and_no_further() {
    let expansion = Expansion {
        allowance: 1000,
        ratio: 10,
    };
    // Stored as it is, and so large that it would allow ten times as much later.
    let harmless: Vec<u8> = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(&vec![b'x'; 100_000]).unwrap();
        encoder.finish().unwrap()
    };
    for (length, is_allowed) in [(1000, true), (10_000, false)] {
        let mut decoders = Decoders::new(&[Coding::Gzip], expansion);
        for piece in harmless.chunks(500) {
            decoders.push(piece).unwrap();
        }
        let out = decoders.push(&encode(Coding::Gzip, &vec![0; length]));
        assert_eq!(out.is_ok(), is_allowed, "{length}");
    }
}
