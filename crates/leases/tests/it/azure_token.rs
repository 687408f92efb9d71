//! `azure-token` against a strict stand-in.
