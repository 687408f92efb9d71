//! `ssh` with real clients and servers.
