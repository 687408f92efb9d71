//! The types of push target and their keys.

use super::{Field, Kind, Section};

/// Keys of every push target.
pub static TARGET_COMMON: Section = Section {
    heading: "[targets.NAME]",
    doc: "Where `fnox push` sends secrets.",
    fields: &[Field::required("type", Kind::Text, "The type of target.")],
};

/// A type of push target.
#[derive(Debug)]
pub struct TargetSpec {
    /// Its name in `type`.
    pub name: &'static str,
    /// Its own keys.
    pub fields: &'static [Field],
}

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Text, doc)
}

/// All types of push target.
pub static TARGETS: &[TargetSpec] = &[
    TargetSpec {
        name: "github-actions",
        fields: &[
            text("repo", "Repository."),
            text("environment", "Environment."),
            text("org", "Organisation."),
            text("visibility", "Who in the organisation may use it."),
            Field::optional("repos", Kind::TextList, "Repositories of the organisation."),
            text("app", "Application: actions, codespaces or dependabot."),
            text(
                "url",
                "Address of the API, for GitHub Enterprise (`https://HOST/api/v3`).",
            ),
        ],
    },
    TargetSpec {
        name: "gitlab-ci",
        fields: &[
            text("repo", "Project."),
            text("group", "Group."),
            text("environment", "Environment scope."),
            Field::optional("masked", Kind::Flag, "Hide it in job logs."),
            Field::optional("protected", Kind::Flag, "Only for protected branches."),
            Field::optional("raw", Kind::Flag, "Do not expand references."),
            text("variable_type", "Variable or file."),
            text("description", "What it is for."),
            text("url", "Server (default `https://gitlab.com`)."),
        ],
    },
    TargetSpec {
        name: "vercel",
        fields: &[
            Field::optional("environments", Kind::TextList, "Environments."),
            text("git_branch", "Branch."),
            Field::optional("sensitive", Kind::Flag, "Cannot be read back."),
            text("scope", "Team: its id or slug."),
            text(
                "project",
                "Project: its id or name; by default the one that the folder is linked with.",
            ),
            text("url", "Address of the API."),
        ],
    },
    TargetSpec {
        name: "fly",
        fields: &[
            text("app", "Application."),
            Field::optional("stage", Kind::Flag, "Do not deploy yet; fnox never does."),
            text("url", "Address of the API."),
        ],
    },
    TargetSpec {
        name: "cloudflare-workers",
        fields: &[
            text("worker", "Worker."),
            text("environment", "Environment."),
            text("account_id", "Account (default `CLOUDFLARE_ACCOUNT_ID`)."),
            text("url", "Address of the API."),
        ],
    },
    TargetSpec {
        name: "forgejo-actions",
        fields: &[
            text("url", "Server."),
            text("repo", "Repository."),
            text("org", "Organisation."),
        ],
    },
    TargetSpec {
        name: "hcp-terraform",
        fields: &[
            text("url", "Server."),
            text("organization", "Organisation."),
            text("workspace", "Workspace."),
            text("category", "`env` or `terraform`."),
            Field::optional("sensitive", Kind::Flag, "Cannot be read back."),
            Field::optional("hcl", Kind::Flag, "The value is HCL."),
            text("description", "What it is for."),
        ],
    },
];
