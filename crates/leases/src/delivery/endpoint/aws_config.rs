//! The user's AWS configuration without anything that leads to a credential.
//!
//! Regions, endpoints, retries and the like stay as they are. A profile that a program names outright then has no
//! credentials of its own, so the SDK goes on to the container's, which is the lease. Which keys lead to credentials:
//! AWS SDKs and Tools Reference Guide, "Standardized credential providers" and "Settings reference".

use fnox_aws::profile_files;
use fnox_core::{Env, SecretString};
use zeroize::Zeroizing;

/// Keys that lead to credentials, or say how to get some.
const CREDENTIALS: [&str; 17] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_security_token",
    "aws_credential_expiration",
    "credential_process",
    "credential_source",
    "source_profile",
    "role_arn",
    "role_session_name",
    "external_id",
    "mfa_serial",
    "web_identity_token_file",
    "login_session",
    "assume_role_arn",
    "granted_sso_start_url",
    "aws_account_id",
];

/// The configuration file as a program may see it. Empty if there is none that can be read.
pub(super) fn without_credentials(env: &Env) -> SecretString {
    let text = profile_files::config(env)
        .and_then(|path| std::fs::read_to_string(path).ok())
        .map(Zeroizing::new);
    SecretString::new(text.map(|text| cleaned(&text)).unwrap_or_default())
}

fn cleaned(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Sections that are about logins as a whole, and what is nested below a key that is left out.
    let (mut in_login, mut below) = (false, false);
    for line in text.lines() {
        if let Some(section) = line.trim_start().strip_prefix('[') {
            in_login = section.trim_start().starts_with("sso-session");
            below = false;
        } else if line.starts_with([' ', '\t']) {
            if below {
                continue;
            }
        } else if line.starts_with(['#', ';']) {
            // A comment may be a key that was put out of use.
            continue;
        } else if let Some((key, _)) = line.split_once(['=', ':']) {
            let key = key.trim().to_ascii_lowercase();
            below = CREDENTIALS.contains(&key.as_str()) || key.starts_with("sso_");
            if below {
                continue;
            }
        }
        if !in_login {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_and_credentials_go() {
        let text = "[default]\nregion = eu-west-1\nAWS_ACCESS_KEY_ID=AKIA\naws_secret_access_key : x\n\
                    sso_session = s\n# aws_secret_access_key = old\ns3 =\n  addressing_style = path\n\
                    credential_process = p\n  more = p\n[sso-session s]\nsso_region = x\n[profile a]\n\
                    role_arn=arn\noutput = json\n";
        assert_eq!(
            cleaned(text),
            "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n[profile a]\noutput = json\n"
        );
    }

    #[test]
    fn no_file_is_an_empty_one() {
        let env: Env = [("AWS_CONFIG_FILE", "/nonexistent/config")]
            .into_iter()
            .collect();
        assert!(without_credentials(&env).is_empty());
    }
}
