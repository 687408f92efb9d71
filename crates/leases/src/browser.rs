//! Opening the person's browser, where there is one.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use fnox_core::Env;

/// Opens links with the program of the person's choice, given the library and function that do.
const OPENER_OF_WINDOWS: &str = "rundll32";

/// How to open a page, if this machine shows pages to a person.
#[derive(Debug)]
pub struct Browser<'a> {
    env: &'a Env,
    wanted: bool,
}

impl<'a> Browser<'a> {
    /// `wanted` is what the person or the configuration says.
    #[must_use]
    pub fn new(env: &'a Env, wanted: bool) -> Self {
        Self { env, wanted }
    }

    /// Opens the page and answers whether that began. The address is no secret: state, nonce and challenge are worth
    /// nothing without the verifier, which stays here.
    #[must_use]
    pub fn open(&self, url: &str) -> bool {
        let Some(program) = self.program() else {
            return false;
        };
        let mut command = Command::new(&program);
        if program == OPENER_OF_WINDOWS {
            command.arg("url.dll,FileProtocolHandler");
        }
        command
            .arg(url)
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(|mut child| {
                // It ends by itself; whoever waits for it must not keep the login from going on.
                std::thread::spawn(move || child.wait());
            })
            .is_ok()
    }

    fn program(&self) -> Option<OsString> {
        // Over SSH a browser would open where nobody sits.
        if !self.wanted || self.env.var("SSH_CONNECTION").is_some() || self.env.var("CI").is_some()
        {
            return None;
        }
        if let Some(program) = self.env.var_os("BROWSER").filter(|text| !text.is_empty()) {
            return Some(program.to_owned());
        }
        if cfg!(target_os = "macos") {
            return Some("open".into());
        }
        if cfg!(windows) {
            return Some(OPENER_OF_WINDOWS.into());
        }
        let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
            .into_iter()
            .any(|name| self.env.var(name).is_some());
        has_screen.then(|| "xdg-open".into())
    }

    /// A browser is no place for what opens fnox.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        self.env
            .iter()
            .filter(|(name, _)| !name.to_string_lossy().starts_with("FNOX_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(pairs: &[(&str, &str)], wanted: bool) -> Option<OsString> {
        let env: Env = pairs.iter().copied().collect();
        Browser::new(&env, wanted).program()
    }

    #[test]
    fn no_browser_opens_where_nobody_sits() {
        let (opener, without_screen) = if cfg!(target_os = "macos") {
            ("open", Some("open".into()))
        } else {
            ("xdg-open", None)
        };
        assert_eq!(program(&[("DISPLAY", ":0")], true), Some(opener.into()));
        assert_eq!(program(&[("BROWSER", "ff")], true), Some("ff".into()));
        assert_eq!(program(&[], true), without_screen);
        assert_eq!(program(&[("DISPLAY", ":0")], false), None);
        for remote in ["SSH_CONNECTION", "CI"] {
            assert_eq!(program(&[("DISPLAY", ":0"), (remote, "1")], true), None);
        }
    }
}
