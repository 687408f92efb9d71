//! One file per backend.

pub mod age;
pub mod plain;
