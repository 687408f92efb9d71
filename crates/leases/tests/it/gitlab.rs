//! `gitlab` against a strict stand-in.
