//! Leases of Amazon Web Services.

use super::{LeaseSpec, choice, flag, hidden_file, list, map, required, shown_file, text};

/// What the SDKs take credentials from: what can be, or lead to, the long-lived ones.
pub const AWS_MASTERS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CREDENTIAL_EXPIRATION",
];

/// A session of AWS STS.
pub(super) static STS: LeaseSpec = LeaseSpec {
    name: "aws-sts",
    label: "AWS STS",
    fields: &[
        required("region", "AWS region of the STS endpoint."),
        text(
            "role_arn",
            "Role to assume; needed unless `mode` is another one.",
        ),
        choice(
            "mode",
            &["assume-role", "session-token", "federation-token"],
            "What to ask STS for (default `assume-role`): a role's session, a session of the user with or without MFA, or a session of a federated user.",
        ),
        text(
            "via",
            "Another lease whose AWS credential is the master: a chain of roles.",
        ),
        text(
            "profile",
            "Profile of the AWS configuration files that holds the master.",
        ),
        text("endpoint", "Another STS endpoint URL."),
        text(
            "session_name",
            "Name of the session, 2 to 64 of `A-Za-z0-9+=,.@_-` (default: the lease's label).",
        ),
        text(
            "federated_user",
            "Name of the federated user, 2 to 32 of `A-Za-z0-9+=,.@_-`, with `mode = \"federation-token\"`.",
        ),
        text(
            "external_id",
            "External id that the role's trust policy asks for.",
        ),
        text(
            "session_policy",
            "Inline JSON policy that narrows the session.",
        ),
        list(
            "policy_arns",
            "Managed policies that narrow the session, at most 10.",
        ),
        map("tags", "Session tags, at most 50."),
        list(
            "transitive_tags",
            "Which of the tags go on to the next role of a chain.",
        ),
        text("source_identity", "Source identity of the session."),
        text(
            "mfa_serial",
            "MFA device; its code is asked for on the terminal.",
        ),
        list(
            "allowed_accounts",
            "AWS accounts in which the session may be; one in another account is not handed out.",
        ),
        hidden_file(
            "saml_assertion_file",
            "Use the base64 SAML assertion in this file as the master.",
        ),
        text(
            "saml_provider_arn",
            "SAML provider of the assertion, in IAM.",
        ),
        hidden_file(
            "web_identity_token_file",
            "Use the OIDC token in this file as the master.",
        ),
        text(
            "web_identity_token_variable",
            "Use the OIDC token in this variable or secret as the master.",
        ),
        text(
            "web_identity_audience",
            "Audience asked of the CI's token service (default `sts.amazonaws.com`).",
        ),
    ],
    variables: AWS_MASTERS,
};

/// A role's session through IAM Identity Center.
pub(super) static SSO: LeaseSpec = LeaseSpec {
    name: "aws-sso",
    label: "AWS IAM Identity Center",
    fields: &[
        text(
            "profile",
            "Profile of the AWS configuration files that has the `sso_` keys; in their place:",
        ),
        text(
            "sso_session",
            "`[sso-session]` of the AWS configuration files.",
        ),
        text("start_url", "Start URL of the access portal."),
        text("sso_region", "Region of IAM Identity Center."),
        text("account_id", "AWS account."),
        text("role_name", "Permission set."),
        text(
            "region",
            "Region that the program gets as AWS_REGION and AWS_DEFAULT_REGION.",
        ),
        list(
            "scopes",
            "Scopes of the login (default `sso:account:access`).",
        ),
        choice(
            "flow",
            &["device", "browser"],
            "How a person logs in: with a code on any device, or in this machine's browser (default `device`).",
        ),
        flag("open_browser", "Whether to open a browser (default true)."),
        text("oidc_endpoint", "Another SSO OIDC endpoint URL."),
        text("portal_endpoint", "Another SSO portal endpoint URL."),
    ],
    variables: AWS_MASTERS,
};

/// A role's session for an X.509 certificate.
pub(super) static ROLES_ANYWHERE: LeaseSpec = LeaseSpec {
    name: "aws-roles-anywhere",
    label: "AWS IAM Roles Anywhere",
    fields: &[
        required("region", "Region of the trust anchor and the profile."),
        required("trust_anchor_arn", "Trust anchor."),
        required("profile_arn", "Roles Anywhere profile."),
        required("role_arn", "Role to assume."),
        shown_file("certificate_file", "PEM file of the certificate."),
        shown_file(
            "certificate_chain_file",
            "PEM file of the certificates between it and the trust anchor.",
        ),
        hidden_file(
            "private_key_file",
            "PEM file of its key: PKCS #8, PKCS #1 or SEC 1.",
        ),
        text(
            "certificate_variable",
            "Variable or secret with the PEM certificate (default `FNOX_ROLES_ANYWHERE_CERTIFICATE`).",
        ),
        text(
            "private_key_variable",
            "Variable or secret with the PEM key (default `FNOX_ROLES_ANYWHERE_PRIVATE_KEY`).",
        ),
        text(
            "session_name",
            "Name of the session, if the profile accepts one.",
        ),
        text("endpoint", "Another Roles Anywhere endpoint URL."),
    ],
    variables: &[
        "FNOX_ROLES_ANYWHERE_CERTIFICATE",
        "FNOX_ROLES_ANYWHERE_PRIVATE_KEY",
    ],
};
