//! `gcp-iam` against a strict stand-in.
