//! stdin and stdout, for messages alone.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

/// Takes stdin and stdout away from everything else: from now on nobody finds input, and what anybody prints goes to
/// stderr.
///
/// # Errors
/// If one of them is closed.
pub(crate) fn take() -> io::Result<(tokio::fs::File, tokio::fs::File)> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let input = File::from(stdin.as_fd().try_clone_to_owned()?);
    let output = File::from(stdout.as_fd().try_clone_to_owned()?);
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nowhere)?;
    // Without stderr nobody hears it.
    if rustix::stdio::dup2_stdout(io::stderr()).is_err() {
        rustix::stdio::dup2_stdout(&nowhere)?;
    }
    Ok((input.into(), output.into()))
}
