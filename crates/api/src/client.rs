//! A client of the team server.
