//! The client.

/// A connection to a vault.
#[derive(Debug)]
pub struct Client;
/// How to connect.
#[derive(Debug)]
pub struct ClientOptions;
/// What went wrong.
#[derive(Debug)]
pub struct ClientError;
