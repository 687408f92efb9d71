//! HashiCorp Vault's HTTP API.
