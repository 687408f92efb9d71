//! Cloudflare's API of tokens.
