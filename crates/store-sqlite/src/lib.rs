//! The vault's stores in one SQLite file, and the team server's database in another.
//!
//! [`SqliteStore`] keeps the vault's secrets, leases, audit log and key ring; [`SqliteDatabase`] runs the
//! server's transactions. Both are the same file underneath: one thread writes, many requests share one sync of
//! the disk, and each is answered only after its own change is durable; readers do not wait for it. One process
//! at a time has the file open.
//!
//! The file holds sealed values, hashes of tokens, and a log whose records prove themselves. Whoever can write
//! it can destroy it, and cannot forge it; an older copy put in its place is noticed, and gives no right back.

mod access;
mod audit;
mod backup;
mod cache;
mod connection;
mod format;
mod leases;
mod place;
mod problem;
mod readers;
mod ring;
mod secrets;
mod server;
mod store;
mod time;
mod writer;
pub mod zerolease;

pub use server::{SqliteDatabase, SqliteDatabaseOptions};
pub use store::{SqliteOptions, SqliteStore};
