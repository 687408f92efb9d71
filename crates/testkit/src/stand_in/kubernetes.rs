//! The Kubernetes API's TokenRequest.
