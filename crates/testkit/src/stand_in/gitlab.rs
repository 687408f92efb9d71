//! GitLab's API of access tokens.
