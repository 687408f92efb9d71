//! What a program must not inherit, because it could log in at a team server with it.
//!
//! A job's right to ask for an identity token, a session or a grant in the hands of the program that gets one secret
//! would be the right to ask for the others. `--keep NAME` leaves one to the program on purpose.

use std::collections::BTreeSet;

use fnox_config::Config;
use fnox_core::Env;
use fnox_providers::ci_token::audience_variable;

use crate::environment;

/// Never inherited, whether a team server is configured or not.
const ALWAYS: [&str; 9] = [
    environment::SERVER_TOKEN,
    environment::SERVER_TOKEN_FILE,
    environment::OIDC_TOKEN,
    environment::OIDC_TOKEN_FILE,
    environment::WRITER_KEY_FILE,
    "FNOX_ID_TOKEN",
    "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2",
    "BITBUCKET_STEP_OIDC_TOKEN",
];

/// GitHub's pair, and whatever joins it.
const GITHUB: &str = "ACTIONS_ID_TOKEN_";

/// The names that are in the environment and must not reach the program.
pub(crate) fn names(env: &Env, config: &Config) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = ALWAYS.map(str::to_owned).into();
    let github = env
        .iter()
        .filter_map(|(name, _)| name.to_str())
        .filter(|name| name.starts_with(GITHUB));
    out.extend(github.map(str::to_owned));
    let urls: Vec<&str> = servers(config).collect();
    if !urls.is_empty() {
        // With it a program asks the agent for an identity token of any audience. It is also for artifacts and
        // annotations, so it stays where no team server is used.
        out.insert("BUILDKITE_AGENT_ACCESS_TOKEN".to_owned());
    }
    out.extend(
        urls.into_iter()
            .map(|url| audience_variable(url.trim_end_matches('/'))),
    );
    out
}

/// The team servers of a configuration.
fn servers(config: &Config) -> impl Iterator<Item = &str> {
    config
        .providers
        .values()
        .filter(|provider| provider.spec.name == "fnox-server")
        .map(|provider| provider.fields.text("url").unwrap_or_default())
}
