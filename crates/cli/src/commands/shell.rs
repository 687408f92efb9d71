//! `fnox activate`, `fnox hook-env` and `fnox deactivate`

use fnox_core::{Clock as _, SecretString};
use jiff::Timestamp;

use crate::app::App;
use crate::args::{ActivateArgs, HookEnvArgs};
use crate::environment;
use crate::error::CliError;
use crate::shell::change::{self, Outcome, Wanted};
use crate::shell::dialect::{self, Changes, Dialect};
use crate::shell::files::{FilesFolder, ShellProcess};
use crate::shell::load::{Loaded, Loading, load};
use crate::shell::report::{self, Detail, Problem};
use crate::shell::session::{Retry, Session, SessionKey};
use crate::shell::{program, watch};

/// Seconds until what failed is tried again, and the longest such time. Each failure quadruples it.
const FIRST_RETRY: i64 = 15;
const LAST_RETRY: i64 = 60 * 60;

/// A session where none can be kept, so that the hook says so once.
const UNKEPT: &str = "unkept";

pub(crate) fn activate(app: &App, args: &ActivateArgs) -> Result<(), CliError> {
    let named = args.shell.as_deref();
    let login_shell = || app.env.var("SHELL");
    let name = named
        .or_else(|| app.env.var(environment::SHELL))
        .or_else(login_shell);
    let dialect = known(name)?;
    let path = program::path(&app.invoked, &app.env, &app.cwd);
    let Some(program) = path.to_str() else {
        return Err(CliError::usage(format!(
            "the path of this program is not UTF-8: {}",
            path.display()
        )));
    };
    let script = dialect::activation(dialect, program, &app.choice, !args.no_hook_env);
    app.printer.raw(&script)
}

pub(crate) fn hook(app: &App, args: &HookEnvArgs) -> Result<(), CliError> {
    let dialect = known(shell(app, args))?;
    let key = match SessionKey::obtain(&app.folders) {
        Ok(key) => key,
        Err(error) => return without_key(app, dialect, &error),
    };
    let stored = app.env.var(environment::SHELL_SESSION);
    let session = stored.and_then(|text| key.open(text));
    let is_first = session.is_none();
    let session = session.unwrap_or_default();
    let now = app.clock.now();
    let is_unchanged = !is_first
        && session.surroundings == watch::look(app, &session).digest
        && session.files.as_ref().is_none_or(FilesFolder::exists);
    let is_due = session
        .retry
        .as_ref()
        .is_some_and(|retry| is_due(retry, now.as_second()));
    if is_unchanged && !is_due {
        return Ok(());
    }
    Visit {
        app,
        dialect,
        key,
        shell: args.shell_pid.and_then(ShellProcess::of),
        session,
        is_retry: is_unchanged,
        now,
    }
    .run()
}

/// The hook goes through a folder in which something is different.
struct Visit<'a> {
    app: &'a App,
    dialect: &'a dyn Dialect,
    key: SessionKey,
    shell: Option<ShellProcess>,
    session: Session,
    /// Whether only what is missing is to be loaded.
    is_retry: bool,
    now: Timestamp,
}

impl Visit<'_> {
    fn run(mut self) -> Result<(), CliError> {
        let env = change::without_session(&self.app.env, &self.key, &self.session.variables);
        let app = self.app.with_env(env);
        let missing = self.session.retry.take();
        let only = missing.as_ref().filter(|_| self.is_retry);
        let mut loaded = load(&app, only.map(|retry| retry.names.as_slice()));
        let mut wanted = Vec::new();
        if let Some(retry) = only {
            let kept = self.session.variables.iter().map(|owned| &owned.name);
            let kept = kept.filter(|name| !retry.names.contains(name));
            wanted.extend(kept.map(|name| (name.clone(), Wanted::Kept)));
        }
        for loading in std::mem::take(&mut loaded.values) {
            match self.deliver(loading) {
                Ok(one) => wanted.push(one),
                Err(error) => loaded.problems.push(Problem::Files(error)),
            }
        }
        let owned = std::mem::take(&mut self.session.variables);
        let mut outcome = change::compare(&self.app.env, &self.key, owned, wanted);
        self.drop_files(&outcome);
        let refused = outcome.refused.drain(..);
        loaded
            .problems
            .extend(refused.map(|(name, reason)| Problem::Refused(name, reason)));
        let failures = only.map_or(0, |retry| retry.failures);
        self.session.retry = self.retry(&loaded, failures);
        self.finish(loaded, outcome)
    }

    /// A value as the variable's text; one that the program gets as a file is written.
    fn deliver(&mut self, loading: Loading) -> std::io::Result<(String, Wanted)> {
        let Loading {
            name,
            value,
            as_file,
        } = loading;
        if !as_file {
            return Ok((name, Wanted::Value(value)));
        }
        let content = self.key.digest(&name, value.expose_secret().as_bytes());
        let usable = self.session.files.take();
        let usable = usable.filter(|folder| folder.is_of(self.shell.as_ref()));
        let folder = if let Some(folder) = usable {
            folder
        } else {
            let shell = self.shell.clone().ok_or_else(|| {
                std::io::Error::other("the hook was called without `--shell-pid`")
            })?;
            FilesFolder::create(&self.app.folders, shell)?
        };
        let known = self
            .session
            .variables
            .iter()
            .find(|owned| owned.name == name);
        let is_known = known.is_some_and(|owned| owned.content.as_ref() == Some(&content));
        let path = if is_known && folder.file(&name).is_file() {
            folder.file(&name)
        } else {
            folder.write(&name, &value)?
        };
        self.session.files = Some(folder);
        let path = SecretString::from(path.to_string_lossy().as_ref());
        Ok((name, Wanted::File(path, content)))
    }

    /// Removes the files of secrets that left.
    fn drop_files(&mut self, outcome: &Outcome) {
        let Some(folder) = self.session.files.take() else {
            return;
        };
        let is_ours = folder.is_of(self.shell.as_ref());
        if outcome.owned.iter().any(|owned| owned.content.is_some()) {
            if is_ours {
                outcome
                    .removed
                    .iter()
                    .for_each(|name| folder.remove_file(name));
            }
            self.session.files = Some(folder);
        } else if is_ours {
            folder.remove();
        }
    }

    fn retry(&self, loaded: &Loaded, failures: u32) -> Option<Retry> {
        if loaded.failed.is_empty() {
            return None;
        }
        // What was waited for in vain does not count as part of the wait.
        Some(Retry {
            at: self.app.clock.now().as_second() + wait(failures),
            failures: failures.saturating_add(1),
            names: loaded.failed.clone(),
        })
    }

    fn finish(mut self, loaded: Loaded, mut outcome: Outcome) -> Result<(), CliError> {
        let mut problems = loaded.problems;
        self.session.variables = std::mem::take(&mut outcome.owned);
        self.session.profiles = loaded.profiles;
        self.session.watched = loaded.watched;
        let look = watch::look(self.app, &self.session);
        let is_certain = !look.overlaps(self.now, self.app.clock.now());
        // An empty digest is none, so the next prompt loads again.
        self.session.surroundings = if is_certain {
            look.digest
        } else {
            String::new()
        };
        let (sealed, given_up) = self.key.seal(&mut self.session)?;
        if !given_up.is_empty() {
            problems.push(Problem::GivenUp(given_up));
        }
        let undo = change::undo(&self.session.variables);
        outcome
            .changes
            .set
            .push((environment::SHELL_SESSION.to_owned(), sealed.into()));
        let script = self.dialect.script(&outcome.changes, Some(&undo));
        self.app.printer.raw(&script)?;
        self.report(&outcome, &problems);
        Ok(())
    }

    fn report(&self, outcome: &Outcome, problems: &[Problem]) {
        let detail = Detail::of(&self.app.env);
        if detail == Detail::None {
            return;
        }
        let retry = self.session.retry.as_ref();
        let again_in = retry.map(|retry| wait(retry.failures.saturating_sub(1)));
        let mut lines = report::lines(outcome, problems, again_in);
        if detail == Detail::Debug {
            let count = self.session.variables.len();
            let why = if self.is_retry {
                "trying again what failed"
            } else {
                "looked anew"
            };
            lines.push(format!("{why}; {count} variables are fnox's now"));
        }
        report::print(self.app.printer, &self.app.env, outcome, &lines);
    }
}

pub(crate) fn deactivate(app: &App, args: &HookEnvArgs) -> Result<(), CliError> {
    let name = shell(app, args);
    if name.is_none() {
        return Err(CliError::Usage {
            message: "fnox is not activated in this shell".to_owned(),
            help: Some("`fnox activate --help` shows how it would be".to_owned()),
        });
    }
    let dialect = known(name)?;
    let shell = args.shell_pid.and_then(ShellProcess::of);
    let mut changes = Changes::default();
    if let Some(text) = app.env.var(environment::SHELL_SESSION) {
        let key = SessionKey::obtain(&app.folders)?;
        let session = key.open(text).unwrap_or_default();
        let nothing = Vec::new();
        changes = change::compare(&app.env, &key, session.variables, nothing).changes;
        if let Some(folder) = session.files.filter(|folder| folder.is_of(shell.as_ref())) {
            folder.remove();
        }
    }
    for name in [environment::SHELL_SESSION, environment::SHELL] {
        changes.unset.push(name.to_owned());
    }
    let script = dialect.script(&changes, None);
    app.printer.raw(&script)
}

/// Nothing is loaded where it could not be taken away again. Said once: the variable remembers.
fn without_key(app: &App, dialect: &dyn Dialect, error: &CliError) -> Result<(), CliError> {
    if app.env.var(environment::SHELL_SESSION) == Some(UNKEPT) {
        return Ok(());
    }
    let mut changes = Changes::default();
    let session = (environment::SHELL_SESSION.to_owned(), UNKEPT.into());
    changes.set.push(session);
    app.printer
        .say(&format!("fnox: nothing is loaded in this shell: {error}"));
    app.printer.raw(&dialect.script(&changes, None))
}

/// Seconds until the next attempt.
fn wait(failures: u32) -> i64 {
    FIRST_RETRY
        .saturating_mul(4_i64.saturating_pow(failures))
        .min(LAST_RETRY)
}

/// `now` in seconds. A time that is further away than any wait comes from a clock that was set back since.
fn is_due(retry: &Retry, now: i64) -> bool {
    now >= retry.at || now < retry.at - LAST_RETRY
}

fn shell<'a>(app: &'a App, args: &'a HookEnvArgs) -> Option<&'a str> {
    args.shell
        .as_deref()
        .or_else(|| app.env.var(environment::SHELL))
}

fn known(name: Option<&str>) -> Result<&'static dyn Dialect, CliError> {
    let names = || dialect::names().collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        return Err(CliError::Usage {
            message: "which shell this is cannot be told".to_owned(),
            help: Some(format!("name it: {}", names())),
        });
    };
    dialect::named(name).ok_or_else(|| CliError::Usage {
        message: format!("the shell `{}` is not known", name.escape_debug()),
        help: Some(format!("these are: {}", names())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_a_clock_that_was_set_back_ends_them() {
        assert_eq!(
            [0, 1, 2, 3, 4, 99].map(wait),
            [15, 60, 240, 960, 3600, 3600]
        );
        let retry = Retry {
            at: 10_000,
            failures: 1,
            names: Vec::new(),
        };
        assert!(!is_due(&retry, 9_999) && is_due(&retry, 10_000));
        assert!(is_due(&retry, 10_000 - LAST_RETRY - 1));
    }
}
