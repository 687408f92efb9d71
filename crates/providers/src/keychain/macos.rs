//! The login keychain of macOS: generic passwords, found by service and account.
//!
//! The system asks in a window of its own, about a locked keychain and about an entry that another program made, and
//! its calls wait for the answer. They run on a thread of their own; one that is not waited for any more ends with the
//! process. Where there is nobody to ask, the system is told so, for this process and the time of the call, and
//! answers at once with an error instead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fnox_core::{SecretBytes, SecretString};
use security_framework::base::Error;
use security_framework::os::macos::keychain::SecKeychain;
use security_framework::passwords::{
    delete_generic_password, get_generic_password, set_generic_password,
};

use super::Call;
use crate::error::{ErrorKind, ProviderError};

/// Whether the system may ask belongs to the whole process, so one piece of work at a time; and two windows at once
/// would puzzle anybody.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

// Results of the keychain (Security/SecBase.h).
const NOT_AVAILABLE: i32 = -25291;
const AUTHENTICATION_FAILED: i32 = -25293;
const NO_SUCH_KEYCHAIN: i32 = -25294;
const NOT_FOUND: i32 = -25300;
const NO_DEFAULT_KEYCHAIN: i32 = -25307;
const INTERACTION_NOT_ALLOWED: i32 = -25308;
const CANCELED: i32 = -128;

pub(super) async fn read(
    call: Call<'_>,
    service: &str,
    accounts: &[&str],
) -> Result<Vec<Result<SecretString, ProviderError>>, ProviderError> {
    let service = service.to_owned();
    let accounts: Vec<String> = accounts.iter().map(|&account| account.to_owned()).collect();
    // One after the other, so that a locked keychain asks once.
    on_a_thread(call, move || {
        let read = |account: &String| read_one(&service, account);
        Ok(accounts.iter().map(read).collect())
    })
    .await
}

pub(super) async fn write(
    call: Call<'_>,
    service: &str,
    account: &str,
    value: &SecretString,
) -> Result<(), ProviderError> {
    let (service, account, value) = (service.to_owned(), account.to_owned(), value.clone());
    on_a_thread(call, move || {
        set_generic_password(&service, &account, value.expose_secret().as_bytes())
            .map_err(|error| failure(error, &service, &account))
    })
    .await
}

pub(super) async fn delete(
    call: Call<'_>,
    service: &str,
    account: &str,
) -> Result<(), ProviderError> {
    let (service, account) = (service.to_owned(), account.to_owned());
    on_a_thread(call, move || {
        delete_generic_password(&service, &account)
            .map_err(|error| failure(error, &service, &account))
    })
    .await
}

/// Whether there is a default keychain. It is opened by whoever needs an entry: the system tells nobody whether it is
/// locked without asking for one.
pub(super) async fn check(call: Call<'_>) -> Result<(), ProviderError> {
    on_a_thread(call, || {
        SecKeychain::default()
            .map(|_| ())
            .map_err(|error| failure(error, "", ""))
    })
    .await
}

fn read_one(service: &str, account: &str) -> Result<SecretString, ProviderError> {
    let bytes =
        get_generic_password(service, account).map_err(|error| failure(error, service, account))?;
    SecretBytes::new(bytes).into_string().map_err(|_| {
        ProviderError::misconfigured(format!(
            "the entry `{}` is not UTF-8 text",
            account.escape_debug()
        ))
    })
}

/// Does a piece of work on a thread that nobody has to wait for at the end of the process.
async fn on_a_thread<T: Send + 'static>(
    call: Call<'_>,
    work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (interactive, asking) = (call.interactive, Arc::clone(&call.asking));
    std::thread::Builder::new()
        .name("keychain".to_owned())
        .spawn(move || {
            let _nobody_waits = tell.send(asked(interactive, &asking, work));
        })
        .map_err(|error| {
            ProviderError::unavailable(format!(
                "no thread can be started for the keychain: {error}"
            ))
        })?;
    told.await.unwrap_or_else(|_| {
        Err(ProviderError::unavailable(
            "the work on the keychain ended without an answer",
        ))
    })
}

fn asked<T>(
    interactive: bool,
    asking: &AtomicBool,
    work: impl FnOnce() -> Result<T, ProviderError>,
) -> Result<T, ProviderError> {
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // Held until the work is done.
    let _silence = if interactive {
        // The system does not say when it asks: whoever runs out of time has probably been asked.
        asking.store(true, Ordering::Relaxed);
        None
    } else {
        let silence = SecKeychain::disable_user_interaction();
        Some(silence.map_err(|error| failure(error, "", ""))?)
    };
    work()
}

fn failure(error: Error, service: &str, account: &str) -> ProviderError {
    match error.code() {
        NOT_FOUND => ProviderError::new(
            ErrorKind::NotFound,
            format!(
                "there is no entry with service `{}` and account `{}`",
                service.escape_debug(),
                account.escape_debug()
            ),
        ),
        INTERACTION_NOT_ALLOWED => ProviderError::authentication(
            "the keychain is locked, or wants to ask whether fnox may read the entry",
        )
        .with_remedy(
            "run the command in a terminal of a desktop session, or unlock it: `security unlock-keychain`",
        ),
        AUTHENTICATION_FAILED | CANCELED => {
            ProviderError::authentication("the keychain's question was dismissed")
                .with_remedy("run the command again and allow the access")
        }
        NOT_AVAILABLE | NO_SUCH_KEYCHAIN | NO_DEFAULT_KEYCHAIN => {
            ProviderError::authentication("there is no keychain for this session").with_remedy(
                "run the command in a session of the person whose keychain it is, or use another provider",
            )
        }
        code => {
            let text = error.message().unwrap_or_default();
            ProviderError::unavailable(format!("the keychain failed: {text} ({code})"))
        }
    }
}
