//! Where fnox keeps its own files.

use std::path::{Path, PathBuf};

use fnox_core::Env;

/// fnox's folders. Variables that are empty or relative count as unset.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The home folder, if the environment names one: `$HOME`, on Windows else `%USERPROFILE%`.
    pub home: Option<PathBuf>,
    /// `$FNOX_CONFIG_DIR`, `$XDG_CONFIG_HOME/fnox` or `~/.config/fnox`.
    pub config: PathBuf,
    /// `$FNOX_STATE_DIR`, `$XDG_STATE_HOME/fnox` or `~/.local/state/fnox`.
    pub state: PathBuf,
    /// `$FNOX_DATA_DIR`, `$XDG_DATA_HOME/fnox` or `~/.local/share/fnox`.
    pub data: PathBuf,
    /// `$FNOX_PLUGINS_DIR`, or `plugins` of the data folder: installed Lua plugins.
    pub plugins: PathBuf,
    /// `$XDG_RUNTIME_DIR/fnox`, or `run` of the state folder.
    pub runtime: PathBuf,
}

impl Folders {
    /// Reads the folders from the environment.
    #[must_use]
    pub fn from_env(env: &Env) -> Self {
        let absolute = |name: &str| {
            env.var(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = env
            .home()
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        // Without a home folder nothing is lost silently: what is there is refused by the system.
        let base = home.clone().unwrap_or_else(|| PathBuf::from(NOWHERE));
        let folder = |own: &str, xdg: &str, fallback: &str| {
            absolute(own)
                .or_else(|| absolute(xdg).map(|path| path.join("fnox")))
                .unwrap_or_else(|| base.join(fallback).join("fnox"))
        };
        let state = folder("FNOX_STATE_DIR", "XDG_STATE_HOME", ".local/state");
        let data = folder("FNOX_DATA_DIR", "XDG_DATA_HOME", ".local/share");
        Self {
            plugins: absolute("FNOX_PLUGINS_DIR").unwrap_or_else(|| data.join("plugins")),
            data,
            config: folder("FNOX_CONFIG_DIR", "XDG_CONFIG_HOME", ".config"),
            runtime: absolute("XDG_RUNTIME_DIR")
                .map_or_else(|| state.join("run"), |path| path.join("fnox")),
            state,
            home,
        }
    }

    /// The global configuration file.
    #[must_use]
    pub fn global_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }
}

/// A folder that nobody can make, not even an administrator, and that says in messages what is the matter: the kernel
/// makes the folders of proc(5). macOS, without one, lets nobody make any beside `/`.
const NOWHERE: &str = if cfg!(windows) {
    r"\\?\HOME-is-not-set"
} else {
    "/proc/self/HOME-is-not-set"
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variables_win_over_xdg_over_home_and_relative_ones_do_not_count() {
        let env: Env = [
            ("HOME", "/home/u"),
            ("FNOX_STATE_DIR", "relative"),
            ("XDG_STATE_HOME", "/xdg"),
            ("FNOX_CONFIG_DIR", "/own"),
            ("XDG_CONFIG_HOME", "/xdg"),
        ]
        .into_iter()
        .collect();
        let folders = Folders::from_env(&env);
        assert_eq!(folders.config, Path::new("/own"));
        assert_eq!(folders.state, Path::new("/xdg/fnox"));
        assert_eq!(folders.data, Path::new("/home/u/.local/share/fnox"));
        assert_eq!(folders.plugins, folders.data.join("plugins"));
        assert_eq!(folders.runtime, Path::new("/xdg/fnox/run"));
    }
}
