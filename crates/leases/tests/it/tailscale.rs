//! `tailscale` against a strict stand-in.
