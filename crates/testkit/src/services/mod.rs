//! Real services and programs that tests run against.
//!
//! `./scripts/test` installs and starts them and says by variables where they are. A test that needs one
//! is marked `#[ignore = "needs moto"]` (or whatever it needs), so that `cargo test` alone passes
//! everywhere; where it is asked to run and the service is absent, it fails here.

pub mod dbus;

use std::path::PathBuf;

use fnox_core::Env;

pub use dbus::Session;

/// A moto server, which answers as AWS does.
#[derive(Debug, Clone)]
pub struct Moto {
    /// Its URL, without a slash at the end.
    pub url: String,
}

impl Moto {
    /// What AWS clients need in order to talk to it instead of AWS. Both region variables, because AWS CLI
    /// version 1 and boto3 read only `AWS_DEFAULT_REGION`.
    #[must_use]
    pub fn client_variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_DEFAULT_REGION", "eu-central-1".to_owned()),
            ("no_proxy", "*".to_owned()),
        ]
    }
}

/// The moto server that `./scripts/test` started.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn moto() -> Moto {
    let url = variable("FNOX_TEST_MOTO_URL");
    Moto {
        url: url.trim_end_matches('/').to_owned(),
    }
}

/// The AWS CLI.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn aws_cli() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_AWS_CLI")))
}

/// A Python interpreter that has boto3.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn boto3_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_BOTO3_PYTHON")))
}

/// A Python interpreter that has `SQLCipher` and cryptography.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn sqlcipher_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_SQLCIPHER_PYTHON")))
}

/// A Python interpreter that has aioboto3 and FastAPI.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn aioboto3_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_AIOBOTO3_PYTHON")))
}

/// A Python interpreter that has requests, websockets, gRPC and boto3.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn gateway_clients_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_GATEWAY_CLIENTS_PYTHON")))
}

/// A folder of packages for Node.js that has undici.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn fetch_node_modules() -> PathBuf {
    let folder = PathBuf::from(variable("FNOX_TEST_FETCH_NODE_MODULES"));
    existing(folder.join("undici/package.json"));
    folder
}

/// A Python interpreter that has AWS's iam-rolesanywhere-session.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn rolesanywhere_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_ROLESANYWHERE_PYTHON")))
}

/// A Python interpreter that has google-auth.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn google_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_GOOGLE_PYTHON")))
}

/// A Python interpreter that has azure-identity.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn azure_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_AZURE_PYTHON")))
}

/// A Python interpreter that has PyGithub.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn github_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_GITHUB_PYTHON")))
}

/// A Python interpreter that has Apprise.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn apprise_python() -> PathBuf {
    existing(PathBuf::from(variable("FNOX_TEST_APPRISE_PYTHON")))
}

/// A program on PATH.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let env = Env::of_process();
    let path = env.var_os("PATH").unwrap_or_default();
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("this test needs the program `{name}`: run ./scripts/test"))
}

fn variable(name: &str) -> String {
    Env::of_process()
        .var(name)
        .unwrap_or_else(|| panic!("this test needs {name}: run ./scripts/test"))
        .to_owned()
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(
        path.is_file(),
        "{} is not there: run ./scripts/test",
        path.display()
    );
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_program_that_is_there() {
        assert!(program("sh").is_absolute());
    }

    #[test]
    #[should_panic(expected = "needs the program `no-such-program`: run ./scripts/test")]
    fn a_missing_program_fails_the_test() {
        drop(program("no-such-program"));
    }
}
