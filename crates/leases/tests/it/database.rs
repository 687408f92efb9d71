//! `database` against real servers.

mod mysql;
mod postgres;
mod relay;
