//! `github-oauth` against a strict stand-in.
