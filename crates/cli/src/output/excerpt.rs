//! A configuration's text as an error may show it: keys stay, what may be secret is covered.
//!
//! Guarantee: in the tables of secrets, providers and leases no value is shown but of the keys in [`SHOWN_KEYS`], whatever is
//! wrong with the text: a value without its quotes, a list, a number, a text that goes on behind its closing quote. The names of
//! secrets, providers and leases are no such keys. Elsewhere texts are covered. A URL with a name in it is covered everywhere.

use std::ops::Range;

/// Values of these keys are shown: they name things and hold no secrets.
const SHOWN_KEYS: [&str; 56] = [
    "address",
    "api_base",
    "as_file",
    "auth",
    "auth_mount",
    "backend",
    "cloud",
    "database",
    "default_provider",
    "description",
    "domain",
    "duration",
    "egress",
    "endpoint",
    "env",
    "env_var",
    "fallback",
    "file",
    "format",
    "generate",
    "if_missing",
    "inherits",
    "json_path",
    "key_file",
    "key_id",
    "key_name",
    "keyring",
    "kind",
    "line",
    "location",
    "method",
    "mount",
    "name",
    "namespace",
    "path",
    "plugin",
    "prefix",
    "profile",
    "project",
    "provider",
    "push",
    "recipients",
    "ref",
    "region",
    "renew_before",
    "revoke_on",
    "role_arn",
    "secret",
    "secret_path",
    "service",
    "token_type",
    "type",
    "ttl",
    "url",
    "vault",
    "vault_url",
];

/// Tables whose values are covered unless their key is a shown one.
const GUARDED: [&str; 3] = ["secrets", "providers", "leases"];

/// Below these, keys are somebody else's, and mean nothing to us.
const FOREIGN: [&str; 4] = ["options", "parameters", "params", "headers"];

/// A configuration's text without what may be secret, and where `span` is in it.
///
/// Long values (ciphertexts) become short, so that the line can be read. Lines stay lines.
pub(super) fn masked(text: &str, span: &Range<usize>) -> (String, Range<usize>) {
    let mut cover = Cover {
        text,
        span: span.clone(),
        covered: Vec::new(),
        is_broken: false,
    };
    cover.document();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let (mut start, mut end) = (None, None);
    for range in &cover.covered {
        let kept = &text[copied..range.start];
        start = start.or_else(|| place(span.start, copied..range.start, out.len()));
        end = end.or_else(|| place(span.end, copied..range.start, out.len()));
        out.push_str(kept);
        let mask = stars(&text[range.clone()]);
        // Something of what is covered is meant: the first line of the cover is underlined.
        if range.contains(&span.start) && start.is_none() {
            start = Some(out.len());
        }
        if span.end > range.start && span.end <= range.end && end.is_none() {
            end = Some(out.len() + mask.find('\n').unwrap_or(mask.len()));
        }
        out.push_str(&mask);
        copied = range.end;
    }
    start = start.or_else(|| place(span.start, copied..text.len(), out.len()));
    end = end.or_else(|| place(span.end, copied..text.len(), out.len()));
    out.push_str(&text[copied..]);
    let start = start.unwrap_or(out.len());
    (out, start..end.unwrap_or(start).max(start))
}

/// Where a place is in the output, if it is in what is copied to `to`.
fn place(at: usize, copied: Range<usize>, to: usize) -> Option<usize> {
    (copied.start <= at && at <= copied.end).then(|| to + at - copied.start)
}

/// `"********"` for a text of one line; one `*` a line for several, so that line numbers stay.
fn stars(covered: &str) -> String {
    match covered.matches('\n').count() {
        0 => "\"********\"".to_owned(),
        lines => format!("\"\"\"{}\"\"\"", "*\n".repeat(lines)),
    }
}

/// Reads a text that may be no TOML at all, and collects what is to be covered.
struct Cover<'a> {
    text: &'a str,
    span: Range<usize>,
    covered: Vec<Range<usize>>,
    /// The rest of a line was covered, and with it what would have closed the tables that are open.
    is_broken: bool,
}

impl Cover<'_> {
    fn document(&mut self) {
        let mut table: Vec<String> = Vec::new();
        let mut at = 0;
        while at < self.text.len() {
            at = self.after_blanks(at);
            let end = self.end_of_line(at);
            self.is_broken = false;
            at = match self.byte(at) {
                Some(b'\n') | None => at + 1,
                Some(b'#') => self.comment(at),
                Some(b'[') => {
                    table = header(&self.text[at..end]);
                    end
                }
                Some(_) => self.pair(at, &table, false),
            };
        }
    }

    /// A key with its value; returns where what follows begins.
    fn pair(&mut self, at: usize, parents: &[String], is_inline: bool) -> usize {
        let line_end = self.end_of_line(at);
        let line = &self.text[at..line_end];
        let stop = if is_inline {
            line.find([',', '}', '=']).unwrap_or(line.len())
        } else {
            line.find('=').unwrap_or(line.len())
        };
        // The last lines of a text without its quotes end like this: `…ab==`.
        let is_pair =
            line[stop..].starts_with('=') && !line[stop + 1..].trim_start().starts_with('=');
        if !is_pair {
            let end = if line[stop..].starts_with('=') {
                line_end
            } else {
                at + stop
            };
            if is_guarded(parents) && end > at {
                self.cover(at..end);
            }
            return end.max(at + 1).min(self.text.len().max(at + 1));
        }
        let mut path = parents.to_vec();
        path.extend(segments(&line[..stop]));
        let value = self.after_blanks(at + stop + 1);
        if self.byte(value) == Some(b'{') {
            self.inline_table(value, &path, is_inline)
        } else {
            self.value(value, &path, is_inline)
        }
    }

    fn inline_table(&mut self, at: usize, path: &[String], is_inline: bool) -> usize {
        let mut at = at + 1;
        loop {
            at = self.after_blanks(at);
            at = match self.byte(at) {
                // A header: the table was never closed.
                None | Some(b'[') => return at,
                Some(b'}') => break,
                Some(b'\n' | b',') => at + 1,
                Some(b'#') => self.comment(at),
                Some(_) => self.pair(at, path, true),
            };
            if self.is_broken {
                return at;
            }
        }
        let end = at + 1;
        let rest = self.after_blanks(end);
        if self.is_end(rest, is_inline) {
            return end;
        }
        self.rest_of_line(rest, is_guarded(path))
    }

    fn value(&mut self, at: usize, path: &[String], is_inline: bool) -> usize {
        let end = self.token_end(at, is_inline);
        let rest = self.after_blanks(end);
        let literal = &self.text[at..end];
        // A URL may hold a password.
        let is_url_of_somebody = literal.contains("://") && literal.contains('@');
        let is_harmless = matches!(literal.trim(), "true" | "false" | "");
        let is_shown = is_shown(path) && !is_url_of_somebody;
        let guarded = is_guarded(path);
        if !self.is_end(rest, is_inline) {
            let from = if is_shown { rest } else { at };
            return self.rest_of_line(from, guarded || literal.starts_with(['"', '\'']));
        }
        // The error itself says what is wrong with the value that it points at.
        let is_meant = !guarded && !is_url_of_somebody && self.span == (at..end);
        let is_text = literal.starts_with(['"', '\'']);
        if !is_shown && !is_harmless && !is_meant && (guarded || is_text) {
            self.cover(at..end);
        }
        end
    }

    /// Covers the rest of a line if that is wanted. Tables that were open in it are not followed any further.
    fn rest_of_line(&mut self, from: usize, is_covered: bool) -> usize {
        let end = self.end_of_line(from);
        self.is_broken = true;
        if is_covered && end > from {
            self.cover(from..end);
        }
        end
    }

    /// What is behind an `=` in a comment may be a value that was taken out.
    fn comment(&mut self, at: usize) -> usize {
        let end = self.end_of_line(at);
        if let Some(equals) = self.text[at..end].find('=') {
            let value = self.after_blanks(at + equals + 1);
            if value < end {
                self.cover(value..end);
            }
        }
        end
    }

    /// The end of a text, a list or a bare word.
    fn token_end(&self, at: usize, is_inline: bool) -> usize {
        let rest = &self.text[at..];
        for quotes in ["\"\"\"", "'''"] {
            if rest.starts_with(quotes) {
                let Some(length) = rest[3..].find(quotes) else {
                    return self.unclosed_end(at);
                };
                // Up to two quotes may stand before the closing ones.
                let end = at + 3 + length + 3;
                let more = self.text[end..]
                    .bytes()
                    .take_while(|it| *it == quotes.as_bytes()[0]);
                return end + more.count().min(2);
            }
        }
        match self.byte(at) {
            Some(quote @ (b'"' | b'\'')) => self.text_end(at, quote),
            Some(b'[') => self.list_end(at),
            _ => {
                let line = &self.text[at..self.end_of_line(at)];
                let stop = if is_inline {
                    line.find([',', '}']).unwrap_or(line.len())
                } else {
                    line.len()
                };
                at + line[..stop].trim_end().len()
            }
        }
    }

    fn text_end(&self, at: usize, quote: u8) -> usize {
        let bytes = self.text.as_bytes();
        let mut index = at + 1;
        while let Some(byte) = bytes.get(index) {
            match byte {
                b'\n' => return index,
                b'\\' if quote == b'"' => index += 1,
                byte if *byte == quote => return index + 1,
                _ => {}
            }
            index += 1;
        }
        self.text.len()
    }

    fn list_end(&self, at: usize) -> usize {
        let mut depth = 0_usize;
        let mut index = at;
        while let Some(byte) = self.byte(index) {
            match byte {
                b'"' | b'\'' => {
                    index = self.token_end(index, true);
                    continue;
                }
                b'#' => {
                    index = self.end_of_line(index);
                    continue;
                }
                b'[' => depth += 1,
                b']' if depth <= 1 => return index + 1,
                b']' => depth -= 1,
                _ => {}
            }
            index += 1;
        }
        self.unclosed_end(at)
    }

    /// The end of what is never closed: all the text, but not the end of its last line.
    fn unclosed_end(&self, at: usize) -> usize {
        self.text.trim_end().len().max(at)
    }

    fn cover(&mut self, range: Range<usize>) {
        self.covered.push(range);
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn end_of_line(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.find('\n').unwrap_or(rest.len())
    }

    fn after_blanks(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len()
    }

    fn is_end(&self, at: usize, is_inline: bool) -> bool {
        match self.byte(at) {
            None | Some(b'\n' | b'#') => true,
            Some(b',' | b'}') => is_inline,
            Some(_) => false,
        }
    }
}

/// The names of a header such as `[profiles.prod.secrets]`.
fn header(line: &str) -> Vec<String> {
    let inner = line.trim_start_matches('[');
    segments(inner.split(']').next().unwrap_or_default())
}

fn segments(key: &str) -> Vec<String> {
    let plain = |part: &str| part.trim().trim_matches(['"', '\'']).to_owned();
    key.split('.').map(plain).collect()
}

/// The place of `secrets`, `providers` or `leases` in a path.
fn guard(path: &[String]) -> Option<usize> {
    let skipped = match path.first().map(String::as_str) {
        Some("profiles") => 2,
        _ => 0,
    };
    let is_one = |part: &String| GUARDED.contains(&part.as_str());
    let found = path.get(skipped..)?.iter().position(is_one)?;
    Some(skipped + found)
}

fn is_guarded(path: &[String]) -> bool {
    guard(path).is_some()
}

fn is_shown(path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    if parents.iter().any(|part| FOREIGN.contains(&part.as_str())) {
        return false;
    }
    let is_name = guard(path).is_some_and(|at| path.len() <= at + 2);
    // Its values are the names of variables.
    let is_variable = parents.iter().any(|part| part == "env_map");
    !is_name && (is_variable || SHOWN_KEYS.contains(&last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, part: &str) -> (String, String) {
        let start = text.find(part).unwrap();
        let (out, span) = masked(text, &(start..start + part.len()));
        let under = out[span].to_owned();
        (out, under)
    }

    #[test]
    fn values_are_masked_and_the_place_stays_the_place() {
        let text = "[secrets]\nA = { value = \"hunter2\", defualt = 'häßlich' }\nB = \"hunter3\"\n";
        let (out, under) = shown(text, "defualt");
        assert_eq!(under, "defualt");
        assert!(!out.contains("hunter") && !out.contains("lich"), "{out}");
    }

    #[test]
    fn lines_stay_lines_and_names_stay_readable() {
        let text = "[secrets]\nC = { value = \"\"\"\nhunter3\n\"\"\", provider = \"op\" }\nD = { valeu = 1 }\n";
        let (out, under) = shown(text, "valeu");
        assert_eq!(
            (out.lines().count(), under.as_str()),
            (text.lines().count(), "valeu")
        );
        assert!(
            out.contains("provider = \"op\"") && !out.contains("hunter"),
            "{out}"
        );
    }

    #[test]
    fn what_is_no_text_is_masked_too_and_the_mask_is_underlined() {
        for value in [
            "hunter2",
            "12345678",
            "hunter2 hunter3",
            "[\"hunter\", \"two\"]",
            "[\n  \"hunter\",\n  'two', # hunter\n]",
            "\"hunter2-${NOPE}-more\"",
            "\"hunter",
            "'hunter\"",
            "\"abc\"hunter\"",
            "{ value = hunter2 }",
            "{ value = \"abc\"hunter\", provider = \"op\" }",
            "{ hunter2 }",
            "{hunter",
            "hunter==",
            "\"\"\"hunter\n hunter",
            "{ value = [\"hunter\"] }",
        ] {
            for text in [
                format!("[secrets]\nA = {value}\nB = \"hunter3\"\n"),
                format!("[secrets.A]\ndefault = {value}\nB = \"hunter3\"\n"),
                format!("[profiles.p.secrets]\nA = {value}"),
                format!("secrets.A.default = {value}\n"),
                format!("[providers.op]\ntype = \"vault\"\ntoken = {value}\n"),
                format!("[leases]\nl.token = {value}\n"),
            ] {
                let start = text.find(value).unwrap();
                let (out, span) = masked(&text, &(start..start + value.len()));
                for word in ["hunter", "12345678", "two", "abc"] {
                    assert!(!out.contains(word), "{text}\n{out}");
                }
                assert_eq!(out.lines().count(), text.lines().count(), "{text}\n{out}");
                assert!(out[span.clone()].contains('*'), "{out} {span:?}");
            }
        }
    }

    #[test]
    fn known_keys_stay_readable_and_names_of_secrets_are_no_keys() {
        let text = "[secrets]\nname = \"hunter2\"\nB = { type = \"agee\", if_missing = \"eror\", if_mising = \"x-x\" }\n\
                    [providers.p]\nurl = \"https://a:hunter@h/\"\nrecipients = [\"garbage\"]\noptions = { name = \"hunter4\" }\n\
                    [leases.v.env_map]\naccess_key = \"AWS_KEY\"\n[settings]\ncount = 12\n";
        let (out, under) = shown(text, "\"agee\"");
        assert_eq!(under, "\"agee\"");
        for word in ["eror", "garbage", "AWS_KEY", "count = 12", "if_mising"] {
            assert!(out.contains(word), "{word}: {out}");
        }
        assert!(!out.contains("hunter") && !out.contains("x-x"), "{out}");
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in [
            "",
            "=",
            "[",
            "]",
            "{",
            "a = {",
            "a = [",
            "[secrets]\n}\n,\n=\n==",
            "a={b",
            "\"",
            "a.\u{e4}=ä}",
            "a={ä",
        ] {
            for start in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let (out, span) = masked(text, &(start..start));
                assert!(out.get(span).is_some(), "{text}");
            }
            let secrets = format!("[secrets]\n{text}");
            masked(&secrets, &(0..secrets.len()));
        }
    }

    #[test]
    fn a_value_without_its_closing_quote_is_masked_too() {
        let (out, _) = masked("A = { value = \"hunter2 }\n", &(0..0));
        assert!(!out.contains("hunter2"), "{out}");
    }
}
