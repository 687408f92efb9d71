//! GitHub's API of app installations, and its OAuth device flow.
