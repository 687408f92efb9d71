//! Where a token comes from: a file, a pipe, QEMU's `fw_cfg`, a systemd credential.
//!
//! Never an argument or a variable: other processes of the guest can read those (proc(5), `cmdline`, `environ`),
//! and every program that the agent starts would inherit the variable.

use std::fs::File;
use std::io::{Read as _, stdin};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fnox_core::{Env, SecretBytes, SecretString};
use zeroize::Zeroizing;

use crate::error::AgentError;

/// Where Linux shows what a hypervisor put into `fw_cfg` (Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg).
pub const FW_CFG: &str = "/sys/firmware/qemu_fw_cfg/by_name";

/// Longest file that is taken for a token.
const LIMIT: usize = 4096;

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file that others cannot read.
    File(PathBuf),
    /// An open descriptor: a pipe, which is empty afterwards, so that no program finds the token there.
    Descriptor(u32),
    /// An entry of `fw_cfg`, for example `opt/fnox/token`.
    FwCfg(String),
    /// A credential that systemd hands to the service (systemd.exec(5), `LoadCredential=`).
    Credential(String),
}

impl TokenSource {
    /// Reads the token. `fw_cfg` is the folder of that name, [`FW_CFG`].
    ///
    /// # Errors
    /// [`AgentError::Token`], without what was read.
    pub fn read(&self, env: &Env, fw_cfg: &Path) -> Result<SecretString, AgentError> {
        let failed = |reason: String| AgentError::Token {
            from: self.to_string(),
            reason,
        };
        let path = self.path(env, fw_cfg).map_err(failed)?;
        self.read_from(&path).map_err(failed)
    }

    fn path(&self, env: &Env, fw_cfg: &Path) -> Result<PathBuf, String> {
        Ok(match self {
            Self::File(path) => path.clone(),
            Self::Descriptor(number) => PathBuf::from(format!("/dev/fd/{number}")),
            Self::FwCfg(name) => {
                // QEMU keeps what is not below `opt/` for itself (docs/specs/fw_cfg).
                if !name.starts_with("opt/") || !is_plain(name) {
                    return Err("a name begins with `opt/` and has no `..`".to_owned());
                }
                fw_cfg.join(name).join("raw")
            }
            Self::Credential(name) => {
                if name.contains('/') || !is_plain(name) {
                    return Err("the name of a credential has no `/`".to_owned());
                }
                let folder = env.var("CREDENTIALS_DIRECTORY").ok_or(
                    "CREDENTIALS_DIRECTORY is not set: systemd sets it for services with LoadCredential=",
                )?;
                Path::new(folder).join(name)
            }
        })
    }

    fn read_from(&self, path: &Path) -> Result<SecretString, String> {
        let file = match self {
            // Not opened anew: the pipe may be of another user, who started this one.
            Self::Descriptor(0) => stdin().as_fd().try_clone_to_owned().map(File::from),
            _ => File::open(path),
        };
        let file = file.map_err(|error| error.to_string())?;
        let about = file.metadata().map_err(|error| error.to_string())?;
        match self {
            Self::File(_) if about.is_file() && about.permissions().mode() & 0o007 != 0 => {
                return Err("everybody can get at the file; `chmod 600` it".to_owned());
            }
            Self::Descriptor(_) if !about.file_type().is_fifo() => {
                return Err("it is not a pipe; use --token-file for files".to_owned());
            }
            _ => {}
        }
        // Room for all at once, and for the probe at the end: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT + 64));
        file.take(LIMIT as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        let text = SecretBytes::new(std::mem::take(&mut *bytes))
            .into_string()
            .map_err(|error| error.to_string())?;
        // One line end, and the NUL that some hypervisors put behind a string.
        let token = text.expose_secret().trim_end_matches('\0');
        let token = token.strip_suffix('\n').unwrap_or(token);
        let token = token.strip_suffix('\r').unwrap_or(token);
        let fits = !token.is_empty()
            && token.len() <= LIMIT
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| token.into())
            .ok_or_else(|| "there is no token in it".to_owned())
    }
}

/// Whether a name leads nowhere but below.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\0')
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

impl std::fmt::Display for TokenSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Descriptor(number) => write!(formatter, "file descriptor {number}"),
            Self::FwCfg(name) => write!(formatter, "the fw_cfg entry {}", name.escape_debug()),
            Self::Credential(name) => {
                write!(formatter, "the systemd credential {}", name.escape_debug())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;

    fn refusal(source: &TokenSource, env: &Env, folder: &Path) -> String {
        source.read(env, folder).unwrap_err().to_string()
    }

    #[test]
    fn fw_cfg_and_systemd_are_read_where_they_put_it() {
        let folder = tempfile::tempdir().unwrap();
        let entry = folder.path().join("opt/fnox/token");
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join("raw"), "fxv_one\0").unwrap();
        fs::write(folder.path().join("fnox-token"), "fxv_two\r\n").unwrap();
        let here = OsString::from(folder.path());
        let env: Env = [(OsString::from("CREDENTIALS_DIRECTORY"), here)]
            .into_iter()
            .collect();
        for (source, token) in [
            (TokenSource::FwCfg("opt/fnox/token".to_owned()), "fxv_one"),
            (TokenSource::Credential("fnox-token".to_owned()), "fxv_two"),
        ] {
            let read = source.read(&env, folder.path()).unwrap();
            assert_eq!(read.expose_secret(), token);
        }
        for name in ["etc/e820", "opt/../../x", "opt//x", "opt/"] {
            let source = TokenSource::FwCfg(name.to_owned());
            assert!(refusal(&source, &env, folder.path()).contains("begins with `opt/`"));
        }
        for name in ["../x", "a/b", "", ".."] {
            let source = TokenSource::Credential(name.to_owned());
            assert!(refusal(&source, &env, folder.path()).contains("has no `/`"));
        }
        let source = TokenSource::Credential("fnox-token".to_owned());
        let told = refusal(&source, &Env::default(), folder.path());
        assert!(told.contains("LoadCredential="), "{told}");
    }

    #[test]
    fn a_file_for_everybody_and_a_file_without_a_token_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = TokenSource::File(path.clone());
        let read = || source.read(&Env::default(), folder.path());
        fs::write(&path, "fxv_token\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read().unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read().unwrap().expose_secret(), "fxv_token");
        for text in ["", "\n", "two words", "two\nlines\n", "\u{e4}"] {
            fs::write(&path, text).unwrap();
            let told = read().unwrap_err().to_string();
            assert!(told.ends_with("there is no token in it"), "{told}");
        }
        fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(read().is_err());
    }
}
