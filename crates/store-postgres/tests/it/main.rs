//! The store against a real server. Each test has a database of its own.

mod audit;
mod leases;
mod notices;
mod outage;
mod schema;
mod secrets;
mod support;
