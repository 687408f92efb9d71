//! AWS IAM Roles Anywhere.
