//! A few signed AWS operations: KMS and Secrets Manager, without their SDK crates.
