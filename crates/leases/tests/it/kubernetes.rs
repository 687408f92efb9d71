//! `kubernetes` against a strict stand-in.
