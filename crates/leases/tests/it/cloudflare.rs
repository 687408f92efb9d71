//! `cloudflare` against a strict stand-in.
