//! What vaults and team servers keep in PostgreSQL, shared by several of them.
//!
//! [`PostgresStore`] is the vault's, in the schema `fnox_vault`; [`PostgresDatabase`] is the team server's, in the
//! schema `fnox_server`. Both may lie in one database. Every process has one writer, which makes all changes that wait
//! in one transaction; within it the processes take turns by the lock of one row, the audit log's head. So numbers of
//! records have no gaps, caps and uses are counted exactly whichever process is asked, and the chain of the log
//! never forks. What one changed reaches the others by `NOTIFY`.
//!
//! Guarantees: an answer means committed, with `synchronous_commit` on; every call ends within a time limit; after
//! the database was away the next call works. What was committed while the connection broke is told as not
//! available, and the caller has to assume the worse.
//!
//! Left out: TLS. A database is reached over a Unix socket or the loopback address; another address only if the
//! URL says `sslmode=disable`, which is for networks that encrypt by themselves. A URL that asks for TLS is
//! refused.
//!
//! Defended against: whoever can read the database learns no value, only names and who may do what; whoever can
//! write it is found by the audit chain and by the seals of the values; an older state of a team server's database
//! gives no right back. Passwords of URLs stand in no error.

mod audit;
mod change;
mod connection;
mod ears;
mod leases;
mod listener;
mod notice;
mod options;
mod place;
mod problem;
mod questions;
mod ring;
mod rows;
mod schema;
mod secrets;
mod server;
mod store;
mod texts;
mod time;
mod writer;

pub use options::PostgresOptions;
pub use server::PostgresDatabase;
pub use store::PostgresStore;
