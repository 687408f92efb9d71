//! The vault's secrets in AWS Secrets Manager.
