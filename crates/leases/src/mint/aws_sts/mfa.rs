//! The code of an MFA device, from the person at the terminal.

use crate::mint::{MintContext, MintError};

/// Asks for the device's code.
pub(super) fn ask_for_code(serial: &str, context: &MintContext) -> Result<String, MintError> {
    let needed = |what: String| {
        MintError::authentication(what)
            .with_remedy("run `fnox lease create` on a terminal; `exec` then uses that lease")
    };
    let code = context
        .prompt
        .text(&format!("MFA code for {}", serial.escape_debug()))
        .ok_or_else(|| {
            needed(format!(
                "the code of the MFA device {} is needed, and nobody can be asked",
                serial.escape_debug()
            ))
        })?;
    let code = code.trim();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(needed("an MFA code has 6 digits".to_owned()));
    }
    Ok(code.to_owned())
}
