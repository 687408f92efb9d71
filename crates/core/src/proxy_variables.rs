//! Variables by which programs find a proxy and the authorities that they trust. Whoever leads programs to a gateway sets
//! them, on a laptop and in a guest alike.

/// Where tools look for a proxy.
pub const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Where tools look for hosts that they reach without one. Empty: loopback goes through the gateway too, where
/// `allow_private` decides.
pub const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Authorities that replace what a tool knows: curl, Python's requests and ssl, git, cargo, Deno, the AWS CLI and boto3, pip,
/// gcloud, Nix, gRPC, npm, Ruby and Go (`SSL_CERT_FILE`).
pub const REPLACED_AUTHORITIES: [&str; 11] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "NIX_SSL_CERT_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "npm_config_cafile",
];

/// Authorities that are added to what a tool knows: Node, and Deno.
pub const ADDED_AUTHORITIES: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Tells Node.js, from 22.21 and 24.0 on, to look at the variables above.
pub const FOR_NODE: (&str, &str) = ("NODE_USE_ENV_PROXY", "1");
