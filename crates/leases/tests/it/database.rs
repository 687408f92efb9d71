//! `database` against real servers.
