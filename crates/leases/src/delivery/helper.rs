//! The answers of helpers that other programs call.
