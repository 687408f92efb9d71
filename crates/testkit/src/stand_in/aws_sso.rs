//! IAM Identity Center: the SSO OIDC service and the access portal.
