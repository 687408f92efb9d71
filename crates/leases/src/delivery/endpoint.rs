//! Addresses on loopback where SDKs fetch credentials as often as they like.
