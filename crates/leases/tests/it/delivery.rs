//! How programs get credentials: endpoints and agents.
