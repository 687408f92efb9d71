//! One file per backend.

pub mod age;
pub mod password_store;
pub mod plain;
