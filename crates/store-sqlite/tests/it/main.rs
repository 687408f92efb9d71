//! Tests of the SQLite store, from outside.

mod conformance;
mod support;
