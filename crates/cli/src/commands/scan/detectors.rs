//! What secrets look like, as data.
//!
//! Formats are those that their issuers document. `secret-assignment` is a guess, so its values must look random too.

use std::path::Path;

use regex::bytes::Regex;

use super::ALLOWED;
use crate::error::CliError;
use crate::output::documents::ScanFinding;

/// One kind of secret. If the pattern has a group, that is the value.
struct Detector {
    name: &'static str,
    severity: &'static str,
    pattern: &'static str,
    /// Whether anything else may be said of it that is not in the pattern.
    guess: bool,
}

const fn high(name: &'static str, pattern: &'static str) -> Detector {
    Detector {
        name,
        severity: "high",
        pattern,
        guess: false,
    }
}

const DETECTORS: &[Detector] = &[
    high("age-secret-key", r"\bAGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{58}"),
    high("anthropic-api-key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    high("aws-access-key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    high(
        "github-token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    high("gitlab-token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    high("google-api-key", r"\bAIza[0-9A-Za-z_-]{35}"),
    high(
        "pem-private-key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    ),
    high("slack-token", r"\bxox[baprs]-[A-Za-z0-9-]{10,}"),
    high("stripe-live-secret-key", r"\b[rs]k_live_[A-Za-z0-9]{16,}"),
    Detector {
        name: "secret-assignment",
        severity: "medium",
        pattern: r#"(?i)(?:password|passwd|pwd|api[_-]?key|secret|token)["']?[ \t]*[:=][ \t]*["']?([A-Za-z0-9+/=_.~!@%^&*-]{8,})"#,
        guess: true,
    },
];

/// The detectors, ready to search.
pub(super) struct Detectors(Vec<(&'static Detector, Regex)>);

/// Something that was found, without its file.
pub(super) struct Finding {
    detector: &'static Detector,
    place: Place,
    redacted: String,
}

impl Detectors {
    pub(super) fn new() -> Result<Self, CliError> {
        let compiled = DETECTORS.iter().map(|detector| {
            let pattern = Regex::new(detector.pattern)
                .map_err(|error| CliError::usage(format!("{}: {error}", detector.name)))?;
            Ok((detector, pattern))
        });
        Ok(Self(compiled.collect::<Result<_, CliError>>()?))
    }

    /// Tells of all that is found, in the order of the places.
    pub(super) fn search(&self, bytes: &[u8], mut tell: impl FnMut(Finding)) {
        let mut found: Vec<(usize, Finding)> = Vec::new();
        for (detector, pattern) in &self.0 {
            for captures in pattern.captures_iter(bytes) {
                let Some(value) = captures.get(1).or_else(|| captures.get(0)) else {
                    continue;
                };
                let place = Place::of(bytes, value.start());
                let is_known = found.iter().any(|(start, _)| *start == value.start());
                if place.is_allowed || is_known || detector.guess && !looks_random(value.as_bytes())
                {
                    continue;
                }
                let redacted = detector.redacted(value.as_bytes());
                found.push((
                    value.start(),
                    Finding {
                        detector,
                        place,
                        redacted,
                    },
                ));
            }
        }
        found.sort_by_key(|(start, _)| *start);
        for (_, finding) in found {
            tell(finding);
        }
    }
}

impl Detector {
    /// The beginning, which every value of the kind has; of a guess nothing.
    fn redacted(&self, value: &[u8]) -> String {
        if self.guess {
            return "****".to_owned();
        }
        let beginning = value.get(..4).unwrap_or_default();
        format!("{}...", String::from_utf8_lossy(beginning))
    }
}

impl Finding {
    pub(super) fn at(self, path: &Path) -> ScanFinding {
        ScanFinding {
            path: path.display().to_string(),
            line: self.place.line,
            column: self.place.column,
            detector: self.detector.name,
            severity: self.detector.severity,
            redacted: self.redacted,
            secret: None,
        }
    }
}

/// A place in a file, counted from 1; columns in bytes.
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    /// Whether its line says that it is no secret.
    pub(super) is_allowed: bool,
}

impl Place {
    pub(super) fn of(bytes: &[u8], offset: usize) -> Self {
        let before = bytes.get(..offset).unwrap_or_default();
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let rest = bytes.get(start..).unwrap_or_default();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Self {
            line: before.split(|byte| *byte == b'\n').count(),
            column: offset - start + 1,
            is_allowed: String::from_utf8_lossy(line).contains(ALLOWED),
        }
    }
}

/// Whether a value is likely to come from a generator: long and mixed, or with letters and others.
fn looks_random(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let stand_ins = [
        "password",
        "changeme",
        "example",
        "placeholder",
        "xxxx",
        "your",
    ];
    if stand_ins.iter().any(|word| text.contains(word)) {
        return false;
    }
    let has_letter = value.iter().any(u8::is_ascii_alphabetic);
    // Dots, dashes and underscores join the words of a name.
    let has_other = value
        .iter()
        .any(|byte| byte.is_ascii_digit() || b"+/=~!@%^&*".contains(byte));
    has_letter && has_other || value.len() >= 20 && entropy(value) >= 4.0
}

/// Shannon's, in bits for each byte.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let length: u32 = counts.iter().sum();
    let parts = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = f64::from(*count) / f64::from(length);
        -share * share.log2()
    });
    parts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, usize, usize, String)> {
        let mut out = Vec::new();
        Detectors::new()
            .unwrap()
            .search(text.as_bytes(), |finding| {
                let Place { line, column, .. } = finding.place;
                out.push((finding.detector.name, line, column, finding.redacted));
            });
        out
    }

    #[test]
    fn every_kind_is_found_once_with_its_place() {
        let random = "A1B2C3D4E5F6G7H8J9K0L1M2N3P4Q5R6S7T8U9V0W1X2Y3Z4A5B6C7D8E9";
        for (name, text) in [
            (
                "age-secret-key",
                format!("AGE-SECRET-KEY-1{}", &random[..58]),
            ),
            ("anthropic-api-key", format!("sk-ant-{}", &random[..24])),
            ("aws-access-key", format!("AKIA{}", &random[..16])),
            ("github-token", format!("ghp_{}", &random[..36])),
            ("github-token", format!("github_pat_{}", &random[..36])),
            ("gitlab-token", format!("glpat-{}", &random[..20])),
            ("google-api-key", format!("AIza{}", &random[..35])),
            ("slack-token", format!("xoxb-{}", &random[..20])),
            (
                "stripe-live-secret-key",
                format!("sk_live_{}", &random[..24]),
            ),
            (
                "pem-private-key",
                "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
            ),
        ] {
            let redacted = format!("{}...", &text[..4]);
            let document = format!("first\ntoken: {text}\n");
            assert_eq!(found(&document), [(name, 2, 8, redacted)], "{document}");
        }
    }

    #[test]
    fn assignments_are_found_if_the_value_looks_random() {
        for text in [
            "password=hunter2hunter2",
            "API_KEY: \"kZ8xQw3nRt\"",
            "\"clientSecret\": \"qwertyuiopasdfghjklzxcvbnm\"",
        ] {
            let names: Vec<&str> = found(text).into_iter().map(|found| found.0).collect();
            assert_eq!(names, ["secret-assignment"], "{text}");
        }
        for text in [
            "password=changeme1",
            "token = get_the_token()",
            "secret: ${SECRET_1234}",
            "password = settings.password_field",
            "api_key=short1",
            "password=hunter2hunter2 # fnox:allow",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
