//! A profile of the AWS configuration file with `credential_process` (AWS SDKs and Tools Reference Guide, "Process
//! credential provider" and "Shared config and credentials files").

use super::file::Edit;
use super::{is_plain, refused};
use crate::error::CliError;

/// Keys of a profile that would lead to other credentials.
const OTHERS: [&str; 9] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "role_arn",
    "source_profile",
    "credential_source",
    "web_identity_token_file",
    "login_session",
    "aws_account_id",
];

/// The command line as SDKs split it. Some split words by themselves, some give the line to a shell (aws-sdk-go-v2,
/// `processcreds`), so nothing may stand there that one of them reads in another way.
pub(super) fn command(words: &[String]) -> Result<String, CliError> {
    let quoted = |word: &String| {
        if is_plain(word) {
            return Ok(word.clone());
        }
        if word
            .split(' ')
            .all(|part| part.is_empty() || is_plain(part))
        {
            return Ok(format!("\"{word}\""));
        }
        Err(CliError::usage(format!(
            "`{}` has characters that AWS SDKs read differently; move the project or fnox",
            word.escape_debug()
        )))
    };
    let words: Result<Vec<String>, CliError> = words.iter().map(quoted).collect();
    Ok(words?.join(" "))
}

/// The configuration with the profile. `keys` is the text of the file of keys, which wins over the other.
pub(super) fn edited(
    text: &str,
    keys: &str,
    profile: &str,
    command: &str,
) -> Result<Edit, CliError> {
    if !is_plain(profile) {
        return Err(CliError::usage(
            "the profile's name does not fit in the file",
        ));
    }
    if keys.lines().any(|line| section(line) == Some(profile)) {
        return Err(refused(
            "the AWS configuration",
            format!("the profile `{profile}` has keys in the credentials file, which win"),
        ));
    }
    let is_own = |line: &str| match section(line) {
        Some("default") => profile == "default",
        Some(name) => name.strip_prefix("profile ").map(str::trim) == Some(profile),
        None => false,
    };
    let line = format!("credential_process = {command}");
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(start) = lines.iter().position(|line| is_own(line)) else {
        let gap = if text.is_empty() || text.ends_with("\n\n") {
            ""
        } else if text.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        let title = match profile {
            "default" => "default".to_owned(),
            name => format!("profile {name}"),
        };
        return Ok(Edit::of(format!("{text}{gap}[{title}]\n{line}\n")));
    };
    let rest = lines[start + 1..].iter();
    let length = rest.take_while(|line| section(line).is_none()).count();
    let mut place = None;
    for (number, own) in lines.iter().enumerate().skip(start + 1).take(length) {
        let Some((key, value)) = key_and_value(own) else {
            continue;
        };
        if OTHERS.contains(&key.as_str()) || key.starts_with("sso_") {
            return Err(refused(
                "the AWS configuration",
                format!("the profile `{profile}` has `{key}` already"),
            ));
        }
        if key == "credential_process" {
            // Ours from an earlier installation, perhaps at another place.
            if !value.contains(" credential --project ") {
                return Err(refused(
                    "the AWS configuration",
                    format!("the profile `{profile}` has another `credential_process` already"),
                ));
            }
            place = Some(number);
        }
    }
    match place {
        Some(number) => lines[number] = &line,
        None => lines.insert(start + 1, &line),
    }
    Ok(Edit::of(format!("{}\n", lines.join("\n"))))
}

fn section(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix('[')?;
    Some(rest.split(']').next()?.trim())
}

fn key_and_value(line: &str) -> Option<(String, &str)> {
    if line.starts_with([' ', '\t', '#', ';']) {
        return None;
    }
    let (key, value) = line.split_once(['=', ':'])?;
    Some((key.trim().to_ascii_lowercase(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str) -> String {
        edited(text, "", "dev", "fnox x").unwrap().text
    }

    #[test]
    fn a_profile_is_added_at_the_end_or_completed_where_it_is() {
        let line = "credential_process = fnox x\n";
        assert_eq!(edit(""), format!("[profile dev]\n{line}"));
        assert_eq!(
            edit("[default]\nregion=x"),
            format!("[default]\nregion=x\n\n[profile dev]\n{line}")
        );
        assert_eq!(
            edit("# mine\n[profile dev]\nregion = x\n[profile b]\nrole_arn = y\n"),
            format!("# mine\n[profile dev]\n{line}region = x\n[profile b]\nrole_arn = y\n")
        );
        let old = "[profile dev]\nregion=x\ncredential_process = /old/fnox --profile default credential --project /p aws dev\n";
        assert_eq!(edit(old), format!("[profile dev]\nregion=x\n{line}"));
        let again = edit(old);
        assert_eq!(
            edited(&again, "", "default", "f").unwrap().text,
            format!("{again}\n[default]\ncredential_process = f\n")
        );
    }

    #[test]
    fn what_is_not_ours_stays() {
        for (text, keys) in [
            ("[profile dev]\nrole_arn = x\n", ""),
            ("[profile dev]\nsso_session = x\n", ""),
            ("[profile dev]\ncredential_process = vault-tool dev\n", ""),
            ("", "[dev]\naws_access_key_id = A\n"),
        ] {
            let error = edited(text, keys, "dev", "c").unwrap_err().to_string();
            assert!(
                error.contains("dev") && !error.contains("vault-tool"),
                "{error}"
            );
        }
        assert!(edited("", "", "a]b", "c").is_err());
    }

    #[test]
    fn command_lines_mean_the_same_to_everybody() {
        let words = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            command(&words(&["/a/fnox", "/b c", "x"])).unwrap(),
            "/a/fnox \"/b c\" x"
        );
        for bad in ["a$b", "a\"b", "a'b", "a\\b", "a`b", "a\nb", "a;b", "é"] {
            assert!(command(&words(&[bad])).is_err(), "{bad}");
        }
    }
}
