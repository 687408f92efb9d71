//! `fnox credential install`: other programs' configuration.
//!
//! What would change is shown first, and only that: nothing else of the file, which may hold secrets, is printed. A
//! file is replaced whole, under the lock file that git and kubectl heed too, and only if it still is what was shown.
//! What stands there already and is not fnox's own is never replaced.

mod aws;
mod diff;
mod docker;
mod file;
mod gcp;
mod git;
mod kubernetes;

use std::path::{Path, PathBuf};

use fnox_config::Config;

use self::file::Change;
use super::place::{Place, Program};
use crate::app::App;
use crate::args::credential::{
    AwsArgs, HostArgs, InstallArgs, InstallCommand, KubernetesArgs, TokenArgs,
};
use crate::error::CliError;

pub(super) fn run(app: &App, folder: Option<&Path>, args: &InstallArgs) -> Result<(), CliError> {
    let app = app.in_folder(folder);
    let installation = Installation {
        config: app.load()?,
        app: &app,
        yes: args.yes,
    };
    match &args.command {
        InstallCommand::Aws { lease, aws_profile } => {
            installation.aws(lease, aws_profile.as_deref())
        }
        InstallCommand::Gcp {
            token,
            audience,
            service_account,
            file,
        } => installation.gcp(token, audience, service_account.as_deref(), file),
        InstallCommand::Kubernetes { command, user } => {
            installation.kubernetes(command, user.as_deref())
        }
        InstallCommand::Docker { place, bin } => installation.docker(place, bin.as_deref()),
        InstallCommand::Git { place } => installation.git(place),
    }
}

struct Installation<'a> {
    app: &'a App,
    config: Config,
    yes: bool,
}

impl Installation<'_> {
    fn aws(&self, args: &AwsArgs, profile: Option<&str>) -> Result<(), CliError> {
        let lease = self.lease(&args.lease)?;
        let profile = profile.unwrap_or(lease);
        let path = self.place_of(&["AWS_CONFIG_FILE"], ".aws/config")?;
        let keys = self.place_of(&["AWS_SHARED_CREDENTIALS_FILE"], ".aws/credentials")?;
        let keys = file::read(&keys)?.unwrap_or_default();
        let command = aws::command(&self.words("aws", &[lease]))?;
        self.change(&path, |text| aws::edited(text, &keys, profile, &command))?;
        self.app.printer.note(&format!(
            "Programs use it with AWS_PROFILE={profile} or `--profile {profile}`."
        ));
        Ok(())
    }

    fn gcp(
        &self,
        args: &TokenArgs,
        audience: &str,
        service_account: Option<&str>,
        path: &Path,
    ) -> Result<(), CliError> {
        let lease = self.lease(&args.lease)?;
        let mut words = vec![lease];
        if let Some(variable) = &args.variable {
            words.extend(["--variable", variable]);
        }
        let document = gcp::document(&self.words("gcp", &words), audience, service_account)?;
        let path = self.app.cwd.join(path);
        self.change(&path, |text| gcp::edited(text, &document))?;
        self.app.printer.note(&format!(
            "Programs use it with GOOGLE_APPLICATION_CREDENTIALS={} and GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1.",
            path.display()
        ));
        Ok(())
    }

    fn kubernetes(&self, args: &KubernetesArgs, user: Option<&str>) -> Result<(), CliError> {
        let lease = self.lease(&args.token.lease)?;
        let own_name = format!("fnox-{lease}");
        let user = user.unwrap_or(&own_name);
        let mut words = vec![lease];
        if let Some(variable) = &args.token.variable {
            words.extend(["--variable", variable]);
        }
        if let Some(server) = &args.server {
            words.extend(["--server", server]);
        }
        let path = match self.app.env.var("KUBECONFIG") {
            // A list; kubectl writes to the first one that exists (kubernetes.io, "kubeconfig").
            Some(list) => {
                let mut paths =
                    std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty());
                let paths: Vec<PathBuf> = paths.by_ref().collect();
                let existing = paths.iter().find(|path| path.is_file()).or(paths.first());
                self.app
                    .cwd
                    .join(existing.ok_or_else(|| CliError::usage("KUBECONFIG names no file"))?)
            }
            None => self.place_of(&[], ".kube/config")?,
        };
        let words = self.words("kubernetes", &words);
        let is_asked = args.server.is_some();
        self.change(&path, |text| {
            kubernetes::edited(text, user, &words, is_asked)
        })?;
        self.app.printer.note(&format!(
            "A context uses it after `kubectl config set-context CONTEXT --user={user}`."
        ));
        Ok(())
    }

    fn docker(&self, args: &HostArgs, bin: Option<&Path>) -> Result<(), CliError> {
        let lease = self.lease(&args.token.lease)?;
        let place = Place::of(&self.config, args, Program::Docker)?;
        let folder = self.place_of(&["DOCKER_CONFIG"], ".docker")?;
        let name = format!("fnox-{}", lease.to_ascii_lowercase());
        let program = match bin {
            Some(bin) => self.app.cwd.join(bin),
            None => self.place_of(&[], ".local/bin")?,
        };
        let program = program.join(format!("docker-credential-{name}"));
        let script = docker::script(&self.host_words("docker", lease, args, &place));
        let mut program_change =
            Change::plan(&program, |text| docker::edited_script(text, &script))?;
        program_change.is_program = true;
        let mut changes = vec![program_change];
        let host = docker::key(&place.host);
        let path = folder.join("config.json");
        changes.push(Change::plan(&path, |text| {
            docker::edited(text, &host, &name)
        })?);
        self.apply(changes)?;
        if !self.is_on_path(program.parent()) {
            let folder = program.parent().unwrap_or(&program).display();
            self.app.printer.warn(&format!(
                "{folder} is not on PATH, where Docker looks for the program"
            ));
        }
        Ok(())
    }

    fn git(&self, args: &HostArgs) -> Result<(), CliError> {
        let lease = self.lease(&args.token.lease)?;
        let place = Place::of(&self.config, args, Program::Git)?;
        let path = git::global_file(&self.app.env, self.app.folders.home())
            .ok_or_else(|| CliError::usage("there is no home folder for git's configuration"))?;
        let helper = git::helper(&self.host_words("git", lease, args, &place));
        let url = format!("https://{}", place.host);
        self.change(&path, |text| {
            git::edited(text, &url, &helper, &self.app.env)
        })
    }

    /// A lease by its name, which must fit in every program's configuration.
    fn lease<'n>(&self, name: &'n str) -> Result<&'n str, CliError> {
        self.config.lease(name)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.bytes().all(fits) {
            return Ok(name);
        }
        Err(CliError::Usage {
            message: format!(
                "the name `{}` does not fit in the configuration of every program",
                name.escape_debug()
            ),
            help: Some("give the lease a name of letters, digits, `.`, `_` and `-`".to_owned()),
        })
    }

    /// The command line that means this configuration from everywhere.
    fn words(&self, helper: &str, rest: &[&str]) -> Vec<String> {
        let mut words = vec![executable(self.app).display().to_string()];
        let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        if let Some(file) = self.app.explicit_file() {
            add("--config", file.display().to_string());
        }
        // Also without a profile: the shell in which the program runs may have one active.
        let profiles = &self.config.selected_profiles;
        let names: Vec<String> = profiles.iter().map(ToString::to_string).collect();
        let names = if names.is_empty() {
            "default".to_owned()
        } else {
            names.join(",")
        };
        add("--profile", names);
        if self.app.no_defaults {
            words.push("--no-defaults".to_owned());
        }
        words.push("credential".to_owned());
        let folder = self.config.project_dir.display().to_string();
        words.extend(["--project".to_owned(), folder, helper.to_owned()]);
        words.extend(rest.iter().map(|word| (*word).to_owned()));
        words
    }

    fn host_words(&self, helper: &str, lease: &str, args: &HostArgs, place: &Place) -> Vec<String> {
        let host = place.host.to_string();
        let mut rest = vec![lease, "--host", &host, "--username", &place.username];
        if let Some(variable) = &args.token.variable {
            rest.extend(["--variable", variable]);
        }
        self.words(helper, &rest)
    }

    /// A file or folder that a variable names, or its usual place below the home folder.
    fn place_of(&self, variables: &[&str], usual: &str) -> Result<PathBuf, CliError> {
        let home = self.app.folders.home();
        if let Some((_, path)) = self.app.env.first(variables) {
            let below_home = path.strip_prefix("~/").zip(home);
            return Ok(match below_home {
                Some((rest, home)) => home.join(rest),
                None => self.app.cwd.join(path),
            });
        }
        home.map(|home| home.join(usual)).ok_or_else(|| {
            CliError::usage(format!("there is no home folder for ~/{usual}: set HOME"))
        })
    }

    fn is_on_path(&self, folder: Option<&Path>) -> bool {
        let path = self.app.env.var_os("PATH").unwrap_or_default();
        std::env::split_paths(path).any(|one| Some(one.as_path()) == folder)
    }

    fn change(
        &self,
        path: &Path,
        edit: impl FnOnce(&str) -> Result<file::Edit, CliError>,
    ) -> Result<(), CliError> {
        self.apply(vec![Change::plan(path, edit)?])
    }

    /// Shows changes, asks, and makes them.
    fn apply(&self, mut changes: Vec<Change>) -> Result<(), CliError> {
        changes.retain(|change| !change.is_none());
        if changes.is_empty() {
            self.app.printer.note("Nothing to do: it is there already.");
            return Ok(());
        }
        for change in &changes {
            self.app.printer.say(change.shown().trim_end());
        }
        if !self.yes {
            let answer = self.app.prompt.confirm("Write this?", "yes", Some("no"));
            match answer {
                Some(true) => {}
                Some(false) => return Err(CliError::failed("nothing was written")),
                None => {
                    return Err(CliError::Usage {
                        message: "nothing was written: there is nobody to ask".to_owned(),
                        help: Some("add `--yes` to write without asking".to_owned()),
                    });
                }
            }
        }
        for change in &changes {
            change.make()?;
            let path = change.path.display();
            self.app.printer.done(&format!("wrote {path}"));
        }
        Ok(())
    }
}

/// This program, by the name under which it is on PATH if it is there: that name outlives updates.
fn executable(app: &App) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("fnox"));
    let Ok(real) = own.canonicalize() else {
        return own;
    };
    let path = app.env.var_os("PATH").unwrap_or_default();
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("fnox"))
        .find(|candidate| candidate.canonicalize().is_ok_and(|other| other == real))
        .unwrap_or(own)
}

/// A word that every shell and every splitter of words takes as it is.
fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_./:=@%+,-".contains(&byte))
}

/// A word for `sh`.
fn shell_quoted(word: &str) -> String {
    if is_plain(word) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn refused(path: &str, reason: impl Into<String>) -> CliError {
    CliError::Usage {
        message: format!("{path} is left as it is: {}", reason.into()),
        help: None,
    }
}
