//! The vault's stores in PostgreSQL, shared by several vaults.
