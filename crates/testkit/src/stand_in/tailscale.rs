//! Tailscale's API of keys.
