//! What `fnox serve policy test --json` prints.

use fnox_server::policy::{Explanation, KeyExplanation, Mismatch, Renamed, RuleExplanation};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// `fnox serve policy test --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerPolicyTested {
    /// Who asks, in one word.
    pub principal: String,
    /// Whether it may log in.
    pub admitted: bool,
    /// Why not, as the log says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<String>,
    /// Whether a name was taken over.
    pub resurrection: bool,
    /// It was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed: Option<RenamedShown>,
    /// Every rule, in the order of the file: whether it fits whoever asks.
    pub rules: Vec<TestedRule>,
    /// Every key that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<TestedKey>,
}

/// A new name of the same thing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RenamedShown {
    /// What the policy says.
    pub from: String,
    /// What the token says.
    pub to: String,
}

/// One rule, held against who asks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TestedRule {
    /// Its name, or `rule N`.
    pub rule: String,
    /// Where it begins in the file.
    pub line: usize,
    /// Whether it fits.
    pub fits: bool,
    /// Where it stumbles first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<MismatchShown>,
}

/// One key that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TestedKey {
    /// The key.
    pub key: String,
    /// Whether a rule releases it.
    pub permitted: bool,
    /// The rule that decides, or the nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether a person has to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// Where the nearest rule stumbles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<MismatchShown>,
}

/// Where a rule stumbles.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MismatchShown {
    /// The claim, or `project`, `profile` or `key`.
    pub claim: String,
    /// What would fit, any of these.
    pub wanted: Vec<String>,
    /// What is there; null if nothing.
    pub got: Option<Value>,
}

impl From<&Explanation> for ServerPolicyTested {
    fn from(explanation: &Explanation) -> Self {
        Self {
            principal: explanation.principal.clone(),
            admitted: explanation.admitted,
            denial: explanation.denial.clone(),
            resurrection: explanation.resurrection,
            renamed: explanation.renamed.as_ref().map(RenamedShown::from),
            rules: explanation.rules.iter().map(TestedRule::from).collect(),
            keys: explanation.keys.iter().map(TestedKey::from).collect(),
        }
    }
}

impl From<&Renamed> for RenamedShown {
    fn from(renamed: &Renamed) -> Self {
        Self {
            from: renamed.from.clone(),
            to: renamed.to.clone(),
        }
    }
}

impl From<&RuleExplanation> for TestedRule {
    fn from(rule: &RuleExplanation) -> Self {
        Self {
            rule: rule.rule.clone(),
            line: rule.line,
            fits: rule.fits,
            mismatch: rule.mismatch.as_ref().map(MismatchShown::from),
        }
    }
}

impl From<&KeyExplanation> for TestedKey {
    fn from(key: &KeyExplanation) -> Self {
        Self {
            key: key.key.clone(),
            permitted: key.permitted,
            rule: key.rule.clone(),
            require_approval: key.require_approval,
            mismatch: key.mismatch.as_ref().map(MismatchShown::from),
        }
    }
}

impl From<&Mismatch> for MismatchShown {
    fn from(mismatch: &Mismatch) -> Self {
        Self {
            claim: mismatch.claim.clone(),
            wanted: mismatch.wanted.clone(),
            got: mismatch.got.clone(),
        }
    }
}
