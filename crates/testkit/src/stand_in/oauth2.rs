//! An OAuth 2.0 token server: client credentials (RFC 6749 section 4.4) and revocation (RFC 7009).
