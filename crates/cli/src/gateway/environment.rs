//! What a program needs in its environment in order to use the gateway and to believe it.
//!
//! Some tools add an authority to those that they know, others know only what the variable's file has: these get a bundle of
//! the system's authorities and the gateway's.

use std::path::Path;

use fnox_core::SecretString;
use fnox_core::proxy_variables::{
    ADDED_AUTHORITIES, EXCEPTIONS, FOR_NODE, PROXIES, REPLACED_AUTHORITIES,
};

/// Variables that lead a program to the gateway. `authority` has the gateway's certificate, `bundle` that and the system's.
pub(crate) fn variables(
    port: u16,
    password: &str,
    authority: &Path,
    bundle: &Path,
) -> Vec<(String, SecretString)> {
    let url = format!(
        "http://{}:{password}@127.0.0.1:{port}",
        fnox_gateway::proxy::USER
    );
    let text = |path: &Path| SecretString::from(path.to_string_lossy().into_owned());
    let mut out = Vec::new();
    for name in PROXIES {
        out.push((name.to_owned(), SecretString::from(url.as_str())));
    }
    for name in EXCEPTIONS {
        out.push((name.to_owned(), SecretString::from("")));
    }
    for name in REPLACED_AUTHORITIES {
        out.push((name.to_owned(), text(bundle)));
    }
    for name in ADDED_AUTHORITIES {
        out.push((name.to_owned(), text(authority)));
    }
    out.push((FOR_NODE.0.to_owned(), FOR_NODE.1.into()));
    out.push(("FNOX_NON_INTERACTIVE".to_owned(), "1".into()));
    out
}
