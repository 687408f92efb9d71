//! `vault` against a strict stand-in.
