//! Which master there is.
//!
//! The order of the places is that of Google's Application Default Credentials, after what the lease itself names.

use std::path::PathBuf;

use fnox_core::Env;

use super::settings::Settings;
use super::{APPLICATION_CREDENTIALS, KEY};
use crate::mint::MintContext;

/// A master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// An OIDC token for `workload_identity_provider`.
    Federation,
    /// A file, and what names it.
    File {
        path: PathBuf,
        named_by: &'static str,
    },
    /// JSON in `GCP_SERVICE_ACCOUNT_KEY`.
    Key,
    /// The service account of the machine.
    Instance { host: String },
}

/// The metadata server (Compute Engine, "About VM metadata"): by its address, so that no name server can lead elsewhere.
const METADATA_SERVER: &str = "169.254.169.254";

impl Source {
    /// The master, if anything is configured or present.
    pub(super) fn find(settings: &Settings, context: &MintContext) -> Option<Self> {
        let env = &context.env;
        if let Some(federation) = &settings.federation {
            return federation.token.is_present(env).then_some(Self::Federation);
        }
        let file = |path, named_by| Self::File { path, named_by };
        if let Some(path) = &settings.credentials_file {
            return Some(file(path.clone(), "credentials_file"));
        }
        if let Some(text) = env.var(KEY) {
            // A secret with `as_file` comes as the path of a file that holds it.
            return Some(if text.starts_with('/') {
                file(PathBuf::from(text), KEY)
            } else {
                Self::Key
            });
        }
        if let Some(path) = env.var(APPLICATION_CREDENTIALS) {
            return Some(file(PathBuf::from(path), APPLICATION_CREDENTIALS));
        }
        if let Some(path) = of_gcloud(env).filter(|path| path.is_file()) {
            return Some(file(path, "gcloud"));
        }
        instance(context).map(|host| Self::Instance { host })
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Federation => "the OIDC token".to_owned(),
            Self::File { path, named_by } => format!("{} ({named_by})", path.display()),
            Self::Key => KEY.to_owned(),
            Self::Instance { .. } => "the machine's service account".to_owned(),
        }
    }
}

fn of_gcloud(env: &Env) -> Option<PathBuf> {
    let folder = match env.var("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env.home()?).join(".config/gcloud"),
    };
    Some(folder.join("application_default_credentials.json"))
}

fn instance(context: &MintContext) -> Option<String> {
    if context.env.switch("NO_GCE_CHECK") == Some(true) {
        return None;
    }
    if let Some(host) = context.env.var("GCE_METADATA_HOST") {
        return Some(host.to_owned());
    }
    std::fs::read_to_string(&context.firmware_vendor)
        .is_ok_and(|vendor| vendor.trim() == "Google")
        .then(|| METADATA_SERVER.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{context, settings};
    use super::*;

    fn found(toml: &str, env: &[(&str, &str)]) -> Option<String> {
        Source::find(&settings(toml), &context(env)).map(|source| source.name())
    }

    #[test]
    fn each_master_is_found_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("application_default_credentials.json");
        let all = [
            (KEY, "{}"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/adc.json"),
            ("CLOUDSDK_CONFIG", folder.path().to_str().unwrap()),
            ("GCE_METADATA_HOST", "127.0.0.1:1"),
        ];
        let configured = found("credentials_file = '/key.json'", &all);
        assert_eq!(configured.as_deref(), Some("/key.json (credentials_file)"));
        assert_eq!(found("", &all).as_deref(), Some(KEY));
        assert_eq!(
            found("", &all[1..]).as_deref(),
            Some("/adc.json (GOOGLE_APPLICATION_CREDENTIALS)")
        );
        assert!(found("", &all[2..]).unwrap().contains("machine"));
        std::fs::write(&file, "{}").unwrap();
        assert!(found("", &all[2..]).unwrap().ends_with("json (gcloud)"));
        assert!(found("", &all[3..]).unwrap().contains("machine"));
        assert_eq!(found("", &[]), None);
        let off = [all[3], ("NO_GCE_CHECK", "true")];
        assert_eq!(found("", &off), None);
    }

    #[test]
    fn a_key_that_is_a_file_is_read_from_it() {
        let source = Source::find(&settings(""), &context(&[(KEY, "/run/x/key")])).unwrap();
        assert!(matches!(source, Source::File { named_by: KEY, .. }));
    }

    #[test]
    fn a_machine_of_google_is_known_by_its_firmware() {
        let vendor = tempfile::NamedTempFile::new().unwrap();
        let mut context = context(&[]);
        context.firmware_vendor = vendor.path().to_owned();
        std::fs::write(vendor.path(), "Amazon EC2\n").unwrap();
        assert_eq!(Source::find(&settings(""), &context), None);
        std::fs::write(vendor.path(), "Google\n").unwrap();
        let host = METADATA_SERVER.to_owned();
        assert_eq!(
            Source::find(&settings(""), &context),
            Some(Source::Instance { host })
        );
    }
}
