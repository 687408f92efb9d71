//! Renewal: what a holder gets when its credential nears its end.
