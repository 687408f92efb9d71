//! Assignments in POSIX shell syntax, read without a shell.
//!
//! `NAME=word` and `export NAME=word`, one per line or separated by `;`, where a word is made of unquoted,
//! `'…'`, `"…"` and backslash-escaped parts, as XCU 2.2 "Quoting" has it. This is what `fnox export` writes.
//! What only a shell could evaluate (`$NAME`, `$(…)`, backticks, commands) is refused, not guessed.

use std::iter::Peekable;
use std::str::Chars;

use fnox_core::SecretString;
use zeroize::Zeroizing;

use crate::dotenv::DotenvError;

const EVALUATION: &str = "only a shell could evaluate it";

/// Reads the assignments of a text in their order.
///
/// # Errors
/// [`DotenvError`] with the line.
pub fn parse(text: &str) -> Result<Vec<(String, SecretString)>, DotenvError> {
    let mut reader = Reader {
        characters: text
            .strip_prefix('\u{feff}')
            .unwrap_or(text)
            .chars()
            .peekable(),
        line: 1,
    };
    let mut pairs = Vec::new();
    while reader.skip_to_statement() {
        let mut name = reader.name()?;
        if name == "export" {
            reader.skip_blanks();
            name = reader.name()?;
        }
        if reader.advance() != Some('=') || name.is_empty() {
            return Err(reader.error("it is no assignment"));
        }
        let value = reader.word()?;
        pairs.push((name, SecretString::from(value.as_str())));
        reader.end_of_statement()?;
    }
    Ok(pairs)
}

struct Reader<'a> {
    characters: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn error(&self, reason: &'static str) -> DotenvError {
        DotenvError {
            line: self.line,
            reason,
        }
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.characters.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn skip_blanks(&mut self) {
        while matches!(self.characters.peek(), Some(' ' | '\t' | '\r')) {
            self.characters.next();
        }
    }

    fn skip_comment(&mut self) {
        while self.characters.peek().is_some_and(|next| *next != '\n') {
            self.characters.next();
        }
    }

    fn skip_to_statement(&mut self) -> bool {
        loop {
            match self.characters.peek() {
                None => return false,
                Some(' ' | '\t' | '\r' | '\n' | ';') => {
                    self.advance();
                }
                Some('#') => self.skip_comment(),
                Some(_) => return true,
            }
        }
    }

    fn name(&mut self) -> Result<String, DotenvError> {
        let mut name = String::new();
        while let Some(next) = self
            .characters
            .next_if(|next| next.is_ascii_alphanumeric() || *next == '_')
        {
            name.push(next);
        }
        if name.is_empty() {
            return Err(self.error("it is no assignment"));
        }
        Ok(name)
    }

    fn word(&mut self) -> Result<Zeroizing<String>, DotenvError> {
        // Room for most values, so that growing leaves few copies behind.
        let mut word = Zeroizing::new(String::with_capacity(4096));
        loop {
            match self.characters.peek() {
                None | Some(' ' | '\t' | '\r' | '\n' | ';') => return Ok(word),
                Some('\'') => self.single(&mut word)?,
                Some('"') => self.double(&mut word)?,
                Some('\\') => {
                    self.advance();
                    match self.advance() {
                        Some('\n') | None => {}
                        Some(next) => word.push(next),
                    }
                }
                Some('$' | '`' | '(' | ')' | '<' | '>' | '&' | '|') => {
                    return Err(self.error(EVALUATION));
                }
                Some(_) => word.extend(self.advance()),
            }
        }
    }

    fn single(&mut self, word: &mut String) -> Result<(), DotenvError> {
        let opened = self.error("its quote is not closed");
        self.advance();
        loop {
            match self.advance() {
                None => return Err(opened),
                Some('\'') => return Ok(()),
                Some(next) => word.push(next),
            }
        }
    }

    fn double(&mut self, word: &mut String) -> Result<(), DotenvError> {
        let opened = self.error("its quote is not closed");
        self.advance();
        loop {
            match self.advance() {
                None => return Err(opened),
                Some('"') => return Ok(()),
                Some('$' | '`') => return Err(self.error(EVALUATION)),
                Some('\\') => match self.advance() {
                    None => return Err(opened),
                    Some('\n') => {}
                    Some(next @ ('$' | '`' | '"' | '\\')) => word.push(next),
                    Some(next) => {
                        word.push('\\');
                        word.push(next);
                    }
                },
                Some(next) => word.push(next),
            }
        }
    }

    fn end_of_statement(&mut self) -> Result<(), DotenvError> {
        self.skip_blanks();
        match self.characters.peek() {
            None | Some('\n' | ';') => Ok(()),
            Some('#') => {
                self.skip_comment();
                Ok(())
            }
            Some(_) => Err(self.error(EVALUATION)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_quoting_is_read() {
        let text = "# head\nexport A='it'\\''s \n$x'\nB=a\\ b\"c \\\" \\n\"'d'; C=\n";
        let pairs: Vec<_> = parse(text)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("A".to_owned(), "it's \n$x".to_owned()),
                ("B".to_owned(), "a bc \" \\nd".to_owned()),
                ("C".to_owned(), String::new()),
            ]
        );
    }

    #[test]
    fn what_only_a_shell_could_evaluate_is_refused() {
        for text in [
            "A=$(id)", "A=`id`", "A=\"$B\"", "A=1 id", "id", "A=x|y", "if true",
        ] {
            assert_eq!(
                parse(&format!("X=1\n{text}")).unwrap_err().line,
                2,
                "{text}"
            );
        }
        assert_eq!(parse("A=1\nB='x\n\n").unwrap_err().line, 2);
    }
}
