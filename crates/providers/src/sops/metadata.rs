//! The `sops` section: who can open the file, which values are encrypted, and its authentication code.

use regex::Regex;
use serde::Deserialize;

use super::SopsError;

/// Which values are encrypted unless the file says otherwise.
const DEFAULT_SUFFIX: &str = "_unencrypted";

/// What is needed of the section.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The data key, as an armoured age file for each recipient.
    pub(super) age: Vec<String>,
    pub(super) lastmodified: String,
    pub(super) mac: String,
    pub(super) mac_only_encrypted: bool,
    pub(super) rule: Rule,
}

/// Which values are encrypted, by the names on the way to them.
#[derive(Debug)]
pub(super) enum Rule {
    AllBut(String),
    Only(String),
    AllButMatching(Regex),
    OnlyMatching(Regex),
}

/// The section as it stands in YAML and JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Section {
    pub(super) age: Option<Vec<AgeKey>>,
    pub(super) key_groups: Option<Vec<serde::de::IgnoredAny>>,
    pub(super) lastmodified: Option<String>,
    pub(super) mac: Option<String>,
    pub(super) mac_only_encrypted: Option<bool>,
    pub(super) unencrypted_suffix: Option<String>,
    pub(super) encrypted_suffix: Option<String>,
    pub(super) unencrypted_regex: Option<String>,
    pub(super) encrypted_regex: Option<String>,
    pub(super) unencrypted_comment_regex: Option<String>,
    pub(super) encrypted_comment_regex: Option<String>,
}

/// One recipient.
#[derive(Debug, Deserialize)]
pub(super) struct AgeKey {
    pub(super) enc: String,
}

impl TryFrom<Section> for Metadata {
    type Error = SopsError;

    fn try_from(section: Section) -> Result<Self, SopsError> {
        let unusable = |reason: &str| SopsError::Metadata {
            reason: reason.to_owned(),
        };
        if section.key_groups.is_some_and(|groups| !groups.is_empty()) {
            return Err(unusable(
                "its data key is shared among several groups of keys",
            ));
        }
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let of_comments = [
            section.unencrypted_comment_regex,
            section.encrypted_comment_regex,
        ];
        if of_comments.into_iter().any(|text| given(text).is_some()) {
            return Err(unusable("its comments say what is encrypted"));
        }
        let pattern = |text: String| {
            Regex::new(&text).map_err(|_| unusable("its rule is not a regular expression"))
        };
        let mut rules = Vec::new();
        rules.extend(given(section.unencrypted_suffix).map(Rule::AllBut));
        rules.extend(given(section.encrypted_suffix).map(Rule::Only));
        if let Some(text) = given(section.unencrypted_regex) {
            rules.push(Rule::AllButMatching(pattern(text)?));
        }
        if let Some(text) = given(section.encrypted_regex) {
            rules.push(Rule::OnlyMatching(pattern(text)?));
        }
        if rules.len() > 1 {
            return Err(unusable("it has several rules about what is encrypted"));
        }
        Ok(Self {
            age: section
                .age
                .unwrap_or_default()
                .into_iter()
                .map(|key| key.enc)
                .collect(),
            lastmodified: section
                .lastmodified
                .ok_or_else(|| unusable("it has no `lastmodified`"))?,
            mac: section.mac.ok_or_else(|| unusable("it has no `mac`"))?,
            mac_only_encrypted: section.mac_only_encrypted.unwrap_or(false),
            rule: rules
                .pop()
                .unwrap_or_else(|| Rule::AllBut(DEFAULT_SUFFIX.to_owned())),
        })
    }
}
