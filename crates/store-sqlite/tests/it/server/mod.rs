//! Tests of the team server's database, from outside.

mod file;
