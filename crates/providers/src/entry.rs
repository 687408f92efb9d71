//! Entries of stores that a person also uses by hand: `pass`, `gopass` and their like.

use fnox_core::{SecretBytes, SecretString};
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Request};

/// The name of an entry as an argument: it cannot be taken for an option and does not leave the store.
pub(crate) fn checked_name(
    program: &str,
    reference: &str,
    name: String,
) -> Result<String, ProviderError> {
    let why = if reference.is_empty() || name.ends_with('/') {
        "names no entry".to_owned()
    } else if name.starts_with('-') {
        format!("starts with `-`, which `{program}` takes for an option")
    } else if name.split('/').any(|part| part == "..") {
        "leaves the store".to_owned()
    } else if name.contains(char::is_control) {
        "has a control character".to_owned()
    } else {
        return Ok(name);
    };
    Err(ProviderError::misconfigured(format!(
        "the entry `{}` {why}",
        name.escape_debug()
    )))
}

/// gpg's options of a person, and without one at the terminal that it must not ask for a passphrase. A key that its agent
/// has unlocked still works.
pub(crate) fn gpg_options(own: &str, context: &Context) -> String {
    let unattended = if context.prompt.is_interactive() {
        ""
    } else {
        " --batch --pinentry-mode=error"
    };
    format!("{own}{unattended}").trim().to_owned()
}

/// The value of the entry `name`, of which this was printed.
pub(crate) fn value(name: &str, printed: SecretBytes) -> Result<SecretString, ProviderError> {
    let text = printed.into_string().map_err(|_| {
        ProviderError::misconfigured(format!(
            "the entry `{}` is not UTF-8 text",
            name.escape_debug()
        ))
    })?;
    Ok(without_typed_end(text))
}

fn is_one_line_with_end(text: &str) -> bool {
    text.find('\n').is_some_and(|at| at + 1 == text.len())
}

/// An entry of one line without the newline that `insert` puts behind what a person types; any other to
/// the byte.
fn without_typed_end(text: SecretString) -> SecretString {
    if is_one_line_with_end(text.expose_secret()) {
        return SecretString::from(text.expose_secret().trim_end_matches('\n'));
    }
    text
}

/// Refuses what [`without_typed_end`] would not give back.
pub(crate) fn refuse_typed_end(
    program: &str,
    store: &str,
    value: &SecretString,
) -> Result<(), ProviderError> {
    if !is_one_line_with_end(value.expose_secret()) {
        return Ok(());
    }
    Err(ProviderError::misconfigured(format!(
        "a value of one line with a newline at its end cannot be kept in {store}: it could not be told \
         from an entry that `{program} insert` made"
    ))
    .with_remedy("store it without the newline"))
}

/// Reads one entry after the other until a key is unlocked, then `concurrent` at a time. Once nobody unlocks
/// it, the rest is not tried.
pub(crate) async fn read_unlocking_first<'a, R, F>(
    requests: &'a [Request],
    concurrent: usize,
    read: R,
) -> Vec<Result<SecretString, ProviderError>>
where
    R: Fn(&'a Request) -> F,
    F: Future<Output = Result<SecretString, ProviderError>>,
{
    let mut answers = Vec::with_capacity(requests.len());
    let mut rest = requests.iter();
    while let Some(request) = rest.next() {
        let answer = read(request).await;
        let unlocked = answer.is_ok();
        let refused = match &answer {
            Err(error) if error.kind == ErrorKind::AuthenticationNeeded => Some(error.clone()),
            _ => None,
        };
        answers.push(answer);
        if let Some(error) = refused {
            answers.extend(rest.by_ref().map(|_| Err(error.clone())));
        } else if unlocked {
            let reads: Vec<_> = rest.by_ref().map(&read).collect();
            let others: Vec<_> = stream::iter(reads).buffered(concurrent).collect().await;
            answers.extend(others);
        }
    }
    answers
}
