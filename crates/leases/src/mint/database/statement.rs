//! Statements of the configuration in which `{{ user }}` stands for the new user.
//!
//! Nothing else is interpolated: no expressions, no filters, no other names. So a statement is, but for the user's
//! name, what the configuration's author wrote and a reviewer read.

/// A statement with places for the user's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// What stands before, between and after the places.
    pieces: Vec<String>,
}

/// Words that would end or divide the transaction in which the statements run, so that a failure could not undo all of them.
const TRANSACTION_WORDS: [&str; 9] = [
    "abort",
    "begin",
    "commit",
    "end",
    "prepare",
    "release",
    "rollback",
    "savepoint",
    "start",
];

impl Statement {
    /// Reads a statement. The error is a reason that follows the key's name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches(';').trim_end();
        if text.is_empty() {
            return Err("has an empty statement".to_owned());
        }
        let first = text
            .split(|c: char| !c.is_ascii_alphabetic())
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if TRANSACTION_WORDS.contains(&first.as_str()) {
            return Err(format!(
                "has `{first}`: the statements run in one transaction, which fnox begins and ends"
            ));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err("has `{{` without `}}`".to_owned());
            };
            if name.trim() != "user" {
                return Err(format!(
                    "has `{{{{{}}}}}`; only `{{{{ user }}}}` is known",
                    name.escape_debug()
                ));
            }
            pieces.push(before.to_owned());
            rest = after;
        }
        pieces.push(rest.to_owned());
        Ok(Self { pieces })
    }

    /// The statement for a user, whose name is given as the server quotes it.
    pub(super) fn for_user(&self, quoted: &str) -> String {
        self.pieces.join(quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_put_in_wherever_it_stands() {
        let statement = Statement::parse(" GRANT a TO {{ user }}; ").unwrap();
        assert_eq!(statement.for_user("\"x\""), "GRANT a TO \"x\"");
        let statement = Statement::parse("{{user}} b {{  user  }}").unwrap();
        assert_eq!(statement.for_user("x"), "x b x");
        let statement = Statement::parse("SELECT 1 } {% if user %}").unwrap();
        assert_eq!(statement.for_user("x"), "SELECT 1 } {% if user %}");
    }

    #[test]
    fn nothing_else_is_interpolated() {
        for (wrong, wanted) in [
            ("GRANT a TO {{ password }}", "only `{{ user }}`"),
            ("GRANT a TO {{ user | upper }}", "only `{{ user }}`"),
            ("GRANT a TO {{ user", "without"),
            ("  ; ", "empty"),
            ("COMMIT", "one transaction"),
            ("rollback;", "one transaction"),
            ("Start Transaction", "one transaction"),
        ] {
            let reason = Statement::parse(wrong).unwrap_err();
            assert!(reason.contains(wanted), "{wrong}: {reason}");
        }
    }
}
