//! The vault's stores in one SQLite file.
