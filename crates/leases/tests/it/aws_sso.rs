//! `aws-sso` against a strict stand-in of IAM Identity Center's OIDC service and portal.
