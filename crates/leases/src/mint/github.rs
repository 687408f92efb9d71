//! What the two mints of GitHub's tokens share.

use reqwest::header::{ACCEPT, HeaderName};

use crate::issuer::Call;
use crate::mint::MintError;

/// GitHub's own API.
pub(super) const API: &str = "https://api.github.com";

/// The variables that GitHub's CLI takes a token from, in its order (`gh help environment`).
const OF_GITHUB: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];

/// The headers of every call of the REST API.
pub(super) fn of_api(call: Call) -> Result<Call, MintError> {
    Ok(call.header(ACCEPT, "application/vnd.github+json")?.header(
        HeaderName::from_static("x-github-api-version"),
        "2022-11-28",
    )?)
}

/// The variables whose tokens a program would take in the place of the one that it is given in `variable`: `gh` looks at
/// `GH_TOKEN` first, so a long-lived one there would win over ours in `GITHUB_TOKEN`.
pub(super) fn rivals(variable: &str) -> Vec<String> {
    if OF_GITHUB.contains(&variable) {
        return OF_GITHUB.map(str::to_owned).to_vec();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_variable_of_gh_is_a_rival_and_nothing_of_a_variable_of_ones_own() {
        assert_eq!(rivals("GITHUB_TOKEN"), ["GH_TOKEN", "GITHUB_TOKEN"]);
        assert_eq!(rivals("GH_TOKEN"), ["GH_TOKEN", "GITHUB_TOKEN"]);
        assert!(rivals("DEPLOY_TOKEN").is_empty());
    }
}
