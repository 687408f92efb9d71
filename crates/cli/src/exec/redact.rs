//! Replacing secret values in a program's output.
//!
//! Best effort, and meant for logs: literal values, each line of a value that has several, and the forms
//! that JSON strings, URLs and base64 give a value. A program that wants to show a secret can always encode
//! it in a way that nobody expects.

use std::io::{Read, Write};
use std::process::{ChildStderr, ChildStdout};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use fnox_core::SecretString;
use zeroize::Zeroizing;

/// What stands in the place of a value.
pub const REPLACEMENT: &[u8] = b"[REDACTED]";
/// Values shorter than this many characters are left alone: they would be found everywhere.
const SHORTEST: usize = 3;
/// Lines and encoded forms only count from this length.
const SHORTEST_VARIANT: usize = 8;
/// How long to wait for more output once the program has ended but something still holds the pipe.
const IDLE_LIMIT: Duration = Duration::from_secs(2);

/// Knows what to replace.
#[derive(Clone, Default)]
pub struct Redactor {
    patterns: Vec<Zeroizing<Vec<u8>>>,
    automaton: Option<AhoCorasick>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Redactor")
            .field("patterns", &self.patterns.len())
            .finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor for these values.
    #[must_use]
    pub fn new(secrets: &[SecretString]) -> Self {
        let mut patterns: Vec<Zeroizing<Vec<u8>>> = secrets
            .iter()
            .flat_map(|secret| variants(secret.expose_secret()))
            .collect();
        patterns.sort_unstable_by(|one, two| one.as_slice().cmp(two.as_slice()));
        patterns.dedup();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns.iter().map(|pattern| pattern.as_slice()))
            .ok()
            .filter(|_| !patterns.is_empty());
        Self {
            patterns,
            automaton,
        }
    }

    /// Whether there is nothing to replace.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Replaces in a stream.
    #[must_use]
    pub fn stream(&self) -> Stream<'_> {
        Stream {
            redactor: self,
            pending: Zeroizing::new(Vec::new()),
        }
    }
}

fn variants(value: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let value = value.trim();
    if value.chars().count() < SHORTEST {
        return Vec::new();
    }
    let own = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    let mut out = vec![own(value)];
    if value.lines().count() > 1 {
        out.extend(
            value
                .lines()
                .map(str::trim)
                .filter(|line| line.len() >= SHORTEST_VARIANT)
                .map(own),
        );
    }
    if value.len() < SHORTEST_VARIANT {
        return out;
    }
    if let Ok(json) = serde_json::to_string(value) {
        let json = Zeroizing::new(json);
        out.push(own(json.trim_matches('"')));
    }
    out.push(Zeroizing::new(percent_encoded(value)));
    for skipped in 0..3 {
        out.extend(base64_alignment(value.as_bytes(), skipped));
    }
    out
}

/// Percent-encoding as `encodeURIComponent` has it: everything but RFC 3986's unreserved characters.
fn percent_encoded(value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend(format!("%{byte:02X}").bytes());
        }
    }
    out
}

/// What a value looks like inside base64 that began `skipped` bytes before it (mod 3): only the characters
/// that the value alone decides.
fn base64_alignment(value: &[u8], skipped: usize) -> Vec<Zeroizing<Vec<u8>>> {
    let mut padded = Zeroizing::new(vec![0u8; skipped]);
    padded.extend_from_slice(value);
    let whole = padded.len() / 3 * 3;
    let first = (skipped * 8).div_ceil(6);
    let decided = whole / 3 * 4;
    [
        STANDARD_NO_PAD.encode(&padded[..whole]),
        URL_SAFE_NO_PAD.encode(&padded[..whole]),
    ]
    .into_iter()
    .map(Zeroizing::new)
    .filter(|text| decided > first && text.len() - first >= SHORTEST_VARIANT)
    .map(|text| Zeroizing::new(text.as_bytes()[first..decided].to_vec()))
    .collect()
}

/// A stream in which values are being replaced.
#[derive(Debug)]
pub struct Stream<'a> {
    redactor: &'a Redactor,
    pending: Zeroizing<Vec<u8>>,
}

impl Stream<'_> {
    /// Takes a piece and gives what can be shown of all so far. Held back is only what may be the beginning
    /// of a value.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(piece);
        self.take(false)
    }

    /// Gives what is left.
    pub fn finish(&mut self) -> Vec<u8> {
        self.take(true)
    }

    fn take(&mut self, is_last: bool) -> Vec<u8> {
        let Some(automaton) = &self.redactor.automaton else {
            return std::mem::take(&mut *self.pending);
        };
        let mut out = Vec::with_capacity(self.pending.len());
        let mut at = 0;
        loop {
            let rest = &self.pending[at..];
            let held = if is_last {
                rest.len()
            } else {
                self.first_beginning(rest)
            };
            let Some(found) = automaton.find(rest).filter(|found| found.start() < held) else {
                out.extend_from_slice(&rest[..held]);
                at += held;
                break;
            };
            out.extend_from_slice(&rest[..found.start()]);
            out.extend_from_slice(REPLACEMENT);
            at += found.end();
        }
        let left = Zeroizing::new(self.pending[at..].to_vec());
        self.pending = left;
        out
    }

    /// The first place from which everything to the end is the beginning of a value.
    fn first_beginning(&self, bytes: &[u8]) -> usize {
        let longest = self
            .redactor
            .patterns
            .iter()
            .map(|pattern| pattern.len())
            .max()
            .unwrap_or(0);
        let earliest = bytes.len().saturating_sub(longest.saturating_sub(1));
        (earliest..bytes.len())
            .find(|start| {
                let tail = &bytes[*start..];
                self.redactor
                    .patterns
                    .iter()
                    .any(|pattern| pattern.len() > tail.len() && pattern.starts_with(tail))
            })
            .unwrap_or(bytes.len())
    }
}

/// The threads that carry a program's output.
#[derive(Debug)]
pub(super) struct Pumps {
    done: Vec<mpsc::Receiver<()>>,
}

impl Pumps {
    pub(super) fn start(
        redactor: &Redactor,
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
    ) -> Self {
        let mut done = Vec::new();
        if let Some(stdout) = stdout {
            done.extend(pump(redactor.clone(), stdout, std::io::stdout()));
        }
        if let Some(stderr) = stderr {
            done.extend(pump(redactor.clone(), stderr, std::io::stderr()));
        }
        Self { done }
    }

    /// Waits for the rest of the output; gives up on a background process that holds the pipe silently.
    pub(super) fn finish(self) {
        for signs_of_life in self.done {
            while signs_of_life.recv_timeout(IDLE_LIMIT).is_ok() {}
        }
    }
}

fn pump<R, W>(redactor: Redactor, mut from: R, mut to: W) -> Option<mpsc::Receiver<()>>
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    let (alive, signs_of_life) = mpsc::channel();
    let carry = move || {
        let mut stream = redactor.stream();
        let mut buffer = Zeroizing::new(vec![0u8; 64 * 1024]);
        let mut open = true;
        while open {
            let shown = match from.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    open = false;
                    stream.finish()
                }
                Ok(count) => stream.push(&buffer[..count]),
            };
            // A reader that went away ends the program by SIGPIPE: dropping `from` closes its pipe.
            if to.write_all(&shown).and_then(|()| to.flush()).is_err() {
                return;
            }
            let _ = alive.send(());
        }
    };
    thread::Builder::new()
        .name("output".to_owned())
        .spawn(carry)
        .ok()?;
    Some(signs_of_life)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(secrets: &[&str], pieces: &[&[u8]]) -> Vec<u8> {
        let secrets: Vec<SecretString> = secrets
            .iter()
            .map(|text| SecretString::from(*text))
            .collect();
        let redactor = Redactor::new(&secrets);
        let mut stream = redactor.stream();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| stream.push(piece)).collect();
        out.extend(stream.finish());
        out
    }

    #[test]
    fn a_value_split_over_pieces_is_replaced() {
        assert_eq!(
            redacted(&["hunter2"], &[b"a hun", b"te", b"r2 b"]),
            b"a [REDACTED] b"
        );
    }

    #[test]
    fn the_longest_of_overlapping_values_is_replaced() {
        assert_eq!(
            redacted(&["abcd", "abcdefgh"], &[b"x abc", b"defgh abcd y"]),
            b"x [REDACTED] [REDACTED] y"
        );
    }

    #[test]
    fn output_that_cannot_be_a_value_is_not_held_back() {
        let redactor = Redactor::new(&["hunter2".into()]);
        let mut stream = redactor.stream();
        assert_eq!(stream.push(b"prompt> "), b"prompt> ");
        assert_eq!(stream.push(b"hunt"), b"");
        assert_eq!(stream.push(b"ing"), b"hunting");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(redacted(&["ab", " x "], &[b"ab x"]), b"ab x");
    }

    #[test]
    fn encoded_forms_are_replaced_too() {
        use base64::engine::general_purpose::STANDARD;
        let value = "s3cr\"et/val ue";
        let json = serde_json::to_string(value).unwrap();
        assert!(
            !String::from_utf8(redacted(&[value], &[json.as_bytes()]))
                .unwrap()
                .contains("et/val")
        );
        assert_eq!(
            redacted(&[value], &[b"s3cr%22et%2Fval%20ue"]),
            b"[REDACTED]"
        );
        for before in ["", "a", "ab", "abc"] {
            let encoded = STANDARD.encode(format!("{before}{value}zz"));
            let out = redacted(&[value], &[encoded.as_bytes()]);
            assert!(
                out.windows(10).any(|window| window == REPLACEMENT),
                "{before}: {out:?}"
            );
        }
    }

    #[test]
    fn lines_of_a_value_with_several_are_replaced() {
        let value = "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----";
        assert_eq!(
            redacted(&[value], &[b"> MIIEvQIBADAN <"]),
            b"> [REDACTED] <"
        );
    }

    proptest! {
        /// However the output is cut into pieces, the result is that of replacing in the whole.
        #[test]
        fn pieces_do_not_matter(
            text in prop::collection::vec(prop::sample::select(b"abc ".to_vec()), 0..80),
            values in prop::collection::vec("[abc]{3,6}", 1..4),
            cuts in prop::collection::vec(0usize..80, 0..12),
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let whole = redacted(&values, &[&text]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&redacted(&values, &pieces), &whole);
            for value in values {
                prop_assert!(!whole.windows(value.len()).any(|window| window == value.as_bytes()));
            }
        }
    }
}
