//! Real shells on a terminal of their own.
//!
//! What a shell's variables are is read from what `env -0` writes to a file: exact bytes, and no reading of screens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_testkit::{Sandbox, wait};

use crate::support::ok;
use crate::terminal::Session;

const LIMIT: Duration = Duration::from_mins(1);
const FNOX: &str = env!("CARGO_BIN_EXE_fnox");

/// A shell in which fnox is activated.
pub(crate) struct Shell {
    session: Session,
    answers: PathBuf,
    count: usize,
}

/// A shell's exported variables.
pub(crate) type Variables = BTreeMap<String, Vec<u8>>;

impl Shell {
    /// Starts a shell in the working folder, with fnox of this build.
    pub(crate) fn start(sandbox: &Sandbox, name: &str) -> Self {
        Self::start_with(sandbox, name, Path::new(FNOX), "")
    }

    /// The same with another path of fnox, and more lines after those of fnox in its start-up file.
    pub(crate) fn start_with(sandbox: &Sandbox, name: &str, fnox: &Path, more: &str) -> Self {
        let fnox = fnox.display();
        let home = sandbox.home();
        let file = |name: &str, text: String| sandbox.write(home.join(name), text + "\n" + more);
        let command = match name {
            "bash" => {
                let file = file("rc.bash", format!("eval \"$({fnox} activate bash)\""));
                format!("bash --noprofile --rcfile {} -i", file.display())
            }
            "zsh" => {
                file(".zshrc", format!("eval \"$({fnox} activate zsh)\""));
                format!("env ZDOTDIR={} zsh -d -i", home.display())
            }
            "fish" => {
                let file = file("rc.fish", format!("{fnox} activate fish | source"));
                format!("fish --no-config -i -C 'source {}'", file.display())
            }
            "elvish" => {
                let file = file("rc.elv", format!("eval ({fnox} activate elvish | slurp)"));
                format!("elvish -rc {}", file.display())
            }
            "xonsh" => {
                let output = format!(
                    "subprocess.check_output([\"{fnox}\", \"activate\", \"xonsh\"], text=True)"
                );
                let file = file("rc.xsh", format!("import subprocess\nexecx({output})"));
                format!("xonsh -i --shell-type readline --rc {}", file.display())
            }
            other => panic!("unknown shell {other}"),
        };
        let answers = sandbox.root().join("answers");
        // Answers of a shell before this one would be taken for this one's.
        let _ = fs::remove_dir_all(&answers);
        fs::create_dir_all(&answers).unwrap();
        let mut shell = Self {
            session: Session::of(sandbox, &command),
            answers,
            count: 0,
        };
        // A line editor may throw away what is typed before it is there; so ask until it answers.
        wait::until("the shell's first answer", LIMIT, || {
            shell.count += 1;
            let path = shell.answers.join(shell.count.to_string());
            shell.types(&format!("echo ready > {}", path.display()));
            wait::within(Duration::from_secs(5), || path.exists().then_some(())).is_some()
        });
        shell
    }

    /// Types a line and Enter.
    pub(crate) fn types(&mut self, line: &str) {
        self.session.types(&format!("{line}\r"));
    }

    /// Types Ctrl-C once a text is on the screen.
    pub(crate) fn interrupts(&mut self) {
        self.session.types("\u{3}");
    }

    /// Goes into a folder.
    pub(crate) fn goes(&mut self, folder: impl AsRef<Path>) {
        let line = format!("cd {}", folder.as_ref().display());
        self.types(&line);
    }

    /// Runs something and waits for it: xonsh runs lines that were typed ahead without prompting between them.
    pub(crate) fn comes_to_a_prompt(&mut self) {
        self.output("echo");
    }

    /// What a command writes to its stdout, once the shell has run it.
    pub(crate) fn output(&mut self, command: &str) -> Vec<u8> {
        self.count += 1;
        let path = self.answers.join(self.count.to_string());
        let draft = path.with_extension("draft");
        let (draft, whole) = (draft.display(), path.display());
        self.types(&format!("{command} > {draft}; mv {draft} {whole}"));
        let screen = || self.session.screen();
        let written = wait::within(LIMIT, || path.exists().then_some(()));
        assert!(written.is_some(), "`{command}` was not run: {}", screen());
        fs::read(&path).unwrap()
    }

    /// The variables that programs get from this shell now.
    pub(crate) fn variables(&mut self) -> Variables {
        parse(&self.output("env -0"))
    }

    /// All that was on the screen.
    pub(crate) fn screen(&self) -> String {
        self.session.screen()
    }
}

/// The output of `env -0`.
pub(crate) fn parse(output: &[u8]) -> Variables {
    let entries = output.split(|byte| *byte == 0);
    let pairs = entries.filter_map(|entry| {
        let end = entry.iter().position(|byte| *byte == b'=')?;
        let name = String::from_utf8(entry[..end].to_vec()).ok()?;
        Some((name, entry[end + 1..].to_vec()))
    });
    pairs.collect()
}

/// A variable as text.
pub(crate) fn text<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables
        .get(name)
        .map(|value| std::str::from_utf8(value).unwrap())
}

/// Writes a folder's configuration and trusts it.
pub(crate) fn trusted(sandbox: &Sandbox, folder: &str, configuration: &str) -> PathBuf {
    let path = sandbox.write(format!("{folder}/fnox.toml"), configuration);
    ok(sandbox, &["trust", folder]);
    path.parent().unwrap().to_owned()
}
