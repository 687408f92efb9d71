//! `github-app` against a strict stand-in.
