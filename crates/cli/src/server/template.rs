//! The `server.toml` and the `policy.toml` that `serve init` writes.

use super::spec::{ISSUER, NTFY, SECTIONS, SERVER};
use crate::vault::template::{Tables, document};

/// What differs from one server to another.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub public_url: &'a str,
    pub listen: &'a str,
    pub database: &'a str,
    pub signing_key: &'a str,
    pub policy: &'a str,
    /// A topic that nobody can guess, if people are told by ntfy.
    pub topic: Option<&'a str>,
}

/// Every key with what it means, those that matter set: GitHub may log in, and ntfy tells.
pub(crate) fn server_toml(chosen: &Chosen<'_>) -> String {
    let mut set = vec![
        (SERVER.heading, "public_url", chosen.public_url),
        (SERVER.heading, "listen", chosen.listen),
        (SERVER.heading, "database", chosen.database),
        (SERVER.heading, "signing_key", chosen.signing_key),
        (SERVER.heading, "policy", chosen.policy),
        (ISSUER.heading, "name", "github"),
    ];
    if let Some(topic) = chosen.topic {
        set.push((NTFY.heading, "url", "https://ntfy.sh"));
        set.push((NTFY.heading, "topic", topic));
    }
    let set: Vec<_> = set
        .into_iter()
        .map(|(heading, key, value)| (heading, key, value.to_owned()))
        .collect();
    document(
        "# Settings of `fnox serve`. Flags beat them.\n# Reference: docs/reference/server-config.md\n",
        &SECTIONS,
        &set,
        Tables::Hidden,
    )
}

/// A policy that allows nothing, with an example.
pub(crate) const POLICY: &str = r#"# Who may ask the team server for what. Nothing is released that no rule releases; the first rule that fits decides.
# Reference: docs/reference/server-policy.md. Try it: fnox serve policy test --claims claims.json
#
# A rule pins ids that nobody else can get. For GitHub: gh api repos/OWNER/REPO --jq '.id, .owner.id'
#
# [[rule]]
# name = "release"
# issuer = "github"
# repository_id = "1296269"
# repository_owner_id = "583231"
# refs = ["refs/heads/main"]
# events = ["push"]
# projects = ["my-app"]
# profiles = ["default"]
# keys = ["NPM_*"]
# require_approval = true
"#;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use fnox_server::policy::Policy;

    const CHOSEN: Chosen<'_> = Chosen {
        public_url: "https://fnox.example.com",
        listen: "127.0.0.1:8443",
        database: "a\"b\\c.db",
        signing_key: "server.key",
        policy: "policy.toml",
        topic: Some("fnox-0123456789ABCDEFGHIJKL"),
    };

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let text = server_toml(&CHOSEN);
        let fields =
            fnox_config::standalone::read(Path::new("/server.toml"), text.clone(), &SERVER)
                .unwrap();
        assert_eq!(fields.text("database"), Some(CHOSEN.database));
        assert_eq!(fields.tables("issuer")[0].text("name"), Some("github"));
        let ntfy = fields.table("notify").unwrap().table("ntfy").unwrap();
        assert_eq!(ntfy.text("topic"), CHOSEN.topic);
        assert!(fields.table("login").is_none());
        for field in SECTIONS.iter().flat_map(|section| section.fields) {
            let is_there = text.contains(&format!("{} =", field.name));
            let is_table = text.contains(&format!("{}]", field.name)) || field.name == "notify";
            assert!(is_there || is_table, "{} is not there", field.name);
        }
    }

    #[test]
    fn without_a_topic_nothing_is_sent_anywhere() {
        let text = server_toml(&Chosen {
            topic: None,
            ..CHOSEN
        });
        let fields =
            fnox_config::standalone::read(Path::new("/server.toml"), text.clone(), &SERVER);
        assert!(fields.unwrap().table("notify").is_none(), "{text}");
        assert!(text.contains("# [notify.ntfy]"), "{text}");
    }

    #[test]
    fn the_policy_allows_nothing_and_its_example_is_a_rule() {
        let issuers = [github()];
        assert_eq!(Policy::parse(POLICY, &issuers).unwrap().rules(), 0);
        let example = POLICY.split_once("#\n# [[rule]]").unwrap().1;
        let example = format!("# [[rule]]{example}").replace("# ", "");
        assert_eq!(Policy::parse(&example, &issuers).unwrap().rules(), 1);
    }

    fn github() -> fnox_server::settings::IssuerSettings {
        use fnox_server::settings::{Algorithm, IssuerSettings, Preset};
        IssuerSettings {
            name: "github".to_owned(),
            preset: Preset::Github,
            url: "https://token.actions.githubusercontent.com".to_owned(),
            audience: CHOSEN.public_url.to_owned(),
            algorithms: vec![Algorithm::Rs256],
            jwks_file: None,
            allow_origins: Vec::new(),
            leeway: std::time::Duration::from_mins(1),
            longest_life: std::time::Duration::from_hours(1),
        }
    }
}
