//! Which program the shell calls.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use fnox_core::Env;

/// The path by which fnox was called, with its links: a package manager's link outlives the file that it
/// points to today. `invoked`: the first word of the command line.
pub(crate) fn path(invoked: &OsStr, env: &Env, cwd: &Path) -> PathBuf {
    let invoked = Path::new(invoked);
    if invoked.components().count() > 1 {
        return cwd.join(invoked);
    }
    let folders = env.var_os("PATH").map(std::env::split_paths);
    folders
        .into_iter()
        .flatten()
        .map(|folder| cwd.join(folder).join(invoked))
        .find(|path| fnox_system::is_program(path))
        .or_else(|| std::env::current_exe().ok())
        .unwrap_or_else(|| cwd.join(invoked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_kept_and_a_bare_name_is_looked_up() {
        let root = tempfile::tempdir().unwrap();
        let (bin, link) = (root.path().join("bin"), root.path().join("bin/fnox"));
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        let env: Env = [("PATH", bin.to_str().unwrap())].into_iter().collect();
        let here = root.path();
        assert_eq!(path("fnox".as_ref(), &env, here), link);
        assert_eq!(path("bin/fnox".as_ref(), &env, here), link);
        assert_eq!(path("./fnox".as_ref(), &env, &bin), bin.join("./fnox"));
        assert_eq!(path("/a/fnox".as_ref(), &env, here), Path::new("/a/fnox"));
    }
}
