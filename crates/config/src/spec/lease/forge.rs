//! Leases of code forges.

use super::{
    ENV_VAR, Field, Kind, LeaseSpec, choice, flag, hidden_file, list, map, required, text,
};

/// An installation token of a GitHub App.
pub(super) static GITHUB_APP: LeaseSpec = LeaseSpec {
    name: "github-app",
    label: "GitHub App",
    fields: &[
        required("app_id", "App id or client id."),
        text("installation_id", "Installation id; or `account`."),
        text(
            "account",
            "User or organisation in which the app is installed; or `installation_id`.",
        ),
        hidden_file("private_key_file", "PEM file of the app's key."),
        text(
            "private_key_variable",
            "Variable or secret with the PEM key (default `FNOX_GITHUB_APP_PRIVATE_KEY`).",
        ),
        ENV_VAR,
        map("permissions", "Permissions of the token."),
        list("repositories", "Repositories of the token, by name."),
        Field::optional(
            "repository_ids",
            Kind::Counts,
            "Repositories of the token, by id.",
        ),
        text(
            "api_base",
            "Another API URL (default `https://api.github.com`; `https://HOST/api/v3` of an Enterprise Server).",
        ),
    ],
    variables: &["FNOX_GITHUB_APP_PRIVATE_KEY", "GH_TOKEN", "GITHUB_TOKEN"],
};

/// A token of a person, by the device flow.
pub(super) static GITHUB_OAUTH: LeaseSpec = LeaseSpec {
    name: "github-oauth",
    label: "GitHub OAuth",
    fields: &[
        required("client_id", "Client id of the app."),
        text("scope", "OAuth scopes (default `repo read:org workflow`)."),
        ENV_VAR,
        text(
            "keyring_service",
            "Service name in the keychain (default `fnox-github-oauth`).",
        ),
        flag(
            "keyring_cache",
            "Whether to keep the login in the keychain (default true).",
        ),
        flag("open_browser", "Whether to open a browser (default true)."),
        text(
            "auth_base",
            "Another login URL (default `https://github.com/login/oauth`).",
        ),
        text(
            "api_base",
            "Another API URL, with which a kept token is checked (default `https://api.github.com`).",
        ),
    ],
    variables: &["GH_TOKEN", "GITHUB_TOKEN"],
};

/// A project or group access token.
pub(super) static GITLAB: LeaseSpec = LeaseSpec {
    name: "gitlab",
    label: "GitLab",
    fields: &[
        text("project", "Project, by path or id; or `group`."),
        text("group", "Group, by path or id; or `project`."),
        text("url", "Server (default `https://gitlab.com`)."),
        list("scopes", "Scopes of the token (default `read_api`)."),
        choice(
            "access_level",
            &[
                "guest",
                "planner",
                "reporter",
                "developer",
                "maintainer",
                "owner",
            ],
            "Access level of the token (default `developer`).",
        ),
        ENV_VAR,
    ],
    variables: &[
        "GITLAB_TOKEN",
        "GITLAB_ACCESS_TOKEN",
        "GITLAB_PRIVATE_TOKEN",
        "GITLAB_OAUTH_TOKEN",
        "GITLAB_PERSONAL_ACCESS_TOKEN",
    ],
};
