//! Whose files will be, as `chown` takes it: names of the guest's own files of users and groups, or numbers.
//!
//! passwd(5) and group(5) are read, and no other directory of users: a small guest has no other.

use std::path::Path;

use crate::error::AgentError;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

impl Owner {
    /// Finds `USER[:GROUP]`. Without a group it is the user's own.
    ///
    /// # Errors
    /// `Usage` if there is no such user or group, or if this process is not root's, who alone may give files away.
    pub fn find(text: &str) -> Result<Self, AgentError> {
        if !rustix::process::geteuid().is_root() {
            return Err(AgentError::Usage {
                message: "--owner: only root can give files to somebody".to_owned(),
                help: "run fnox-agent as the user whose files these will be, and leave --owner out",
            });
        }
        let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        Self::find_in(text, &read("/etc/passwd"), &read("/etc/group"))
    }

    fn find_in(text: &str, users: &str, groups: &str) -> Result<Self, AgentError> {
        let wrong = |message: String| AgentError::Usage {
            message,
            help: "name one of /etc/passwd and /etc/group, or write numbers: --owner 1000:1000",
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let known = entry(users, user, 3);
        let number = |fields: &[&str], at: usize| fields.get(at)?.parse::<u32>().ok();
        let user_number = user
            .parse()
            .ok()
            .or_else(|| number(known.as_deref()?, 2))
            .ok_or_else(|| {
                wrong(format!(
                    "--owner: there is no user `{}`",
                    user.escape_debug()
                ))
            })?;
        let group_number = match group {
            Some(group) => group
                .parse()
                .ok()
                .or_else(|| number(&entry(groups, group, 2)?, 2))
                .ok_or_else(|| {
                    wrong(format!(
                        "--owner: there is no group `{}`",
                        group.escape_debug()
                    ))
                })?,
            None => known
                .as_deref()
                .and_then(|fields| number(fields, 3))
                .ok_or_else(|| {
                    wrong(format!("--owner: which group has the user {user_number}?"))
                })?,
        };
        Ok(Self {
            user: user_number,
            group: group_number,
        })
    }
}

/// The line of a name, or of a number, in its fields; at least those up to `last`.
fn entry<'a>(file: &'a str, name: &str, last: usize) -> Option<Vec<&'a str>> {
    let lines = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut lines = lines.filter(|fields| fields.len() > last);
    lines.find(|fields| fields[0] == name || fields[2] == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\n# comment\ncoder:x:1000:1001::/home/coder:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\ncoder:x:1001:\nbuild:x:2000:coder\n";

    fn find(text: &str) -> Option<(u32, u32)> {
        let found = Owner::find_in(text, USERS, GROUPS).ok()?;
        Some((found.user, found.group))
    }

    #[test]
    fn users_and_groups_have_names_and_numbers() {
        assert_eq!(find("coder"), Some((1000, 1001)));
        assert_eq!(find("coder:build"), Some((1000, 2000)));
        assert_eq!(find("1000"), Some((1000, 1001)));
        assert_eq!(find("4711:4712"), Some((4711, 4712)));
        for wrong in [
            "",
            "nobody-here",
            "coder:none",
            "4711",
            ":build",
            "coder:",
            "-1:0",
        ] {
            assert_eq!(find(wrong), None, "{wrong}");
        }
    }
}
