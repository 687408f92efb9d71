//! The team server's database on a real server. Each test has a database of its own.

mod audit;
mod conformance;
mod outage;
mod start;
mod support;
mod transactions;
