//! Google's IAM Credentials, Security Token Service and OAuth token endpoints.
