//! Finding the program that the configuration names.

use std::env::consts::EXE_SUFFIX;
use std::path::Path;

use fnox_core::Env;

use crate::error::ProviderError;

/// What programs on PATH begin with.
pub const PREFIX: &str = "fnox-provider-";

/// The absolute path of a program: of `fnox-provider-NAME` on PATH, or what is an absolute path already.
///
/// # Errors
/// `Misconfigured` if the text is neither, `Unavailable` if no such program is there.
pub fn find(text: &str, env: &Env) -> Result<String, ProviderError> {
    if Path::new(text).is_absolute() {
        if fnox_system::is_program(Path::new(text)) {
            return Ok(text.to_owned());
        }
        return Err(ProviderError::unavailable(format!(
            "there is no program `{}`",
            text.escape_debug()
        ))
        .with_remedy("install it there and make it executable, or correct `program`")
        .at_key("program"));
    }
    if !is_name(text) {
        return Err(ProviderError::misconfigured(format!(
            "`program` cannot be `{}`",
            text.escape_debug()
        ))
        .with_remedy("write the NAME of a program `fnox-provider-NAME` on PATH, or an absolute path; a relative one would be another program in another folder")
        .at_key("program"));
    }
    let name = format!("{PREFIX}{text}");
    let path = env.var("PATH").unwrap_or_default();
    // What an empty or relative entry means depends on the folder in which fnox runs.
    let found = std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("{name}{EXE_SUFFIX}")))
        .find(|program| fnox_system::is_program(program));
    let found = found.and_then(|program| program.into_os_string().into_string().ok());
    found.ok_or_else(|| {
        ProviderError::unavailable(format!("the program `{name}` is not on PATH"))
            .with_remedy(format!("install `{name}`, or correct `program`"))
            .at_key("program")
    })
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn only_names_and_absolute_paths_are_programs() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("fnox-provider-here");
        std::fs::write(&program, "").unwrap();
        let shown = program.display().to_string();
        let path = format!(":.:relative:{}", folder.path().display());
        let env: Env = [("PATH", path.as_str())].into_iter().collect();
        let kind = |text: &str| find(text, &env).map_err(|error| error.kind);
        assert_eq!(kind("here"), Err(ErrorKind::Unavailable), "not executable");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(kind("here"), Ok(shown.clone()));
        assert_eq!(kind(&shown), Ok(shown.clone()));
        assert_eq!(kind("gone"), Err(ErrorKind::Unavailable));
        assert_eq!(kind("/no/such/program"), Err(ErrorKind::Unavailable));
        for text in ["./here", "bin/here", "../x", "", "-x", "a b", "~/x", "x\n"] {
            assert_eq!(kind(text), Err(ErrorKind::Misconfigured), "{text}");
        }
    }
}
