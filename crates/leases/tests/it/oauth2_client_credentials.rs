//! `oauth2-client-credentials` against a strict stand-in.
