//! Projects with leases, and the STS stand-in that they mint from.

use std::fmt::Write as _;

use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Account;
use fnox_testkit::{Invocation, Run, Sandbox};

use crate::support::sandbox;

/// The three variables of an AWS session.
pub(crate) const SESSION: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// A sandbox with a project, and an STS.
pub(crate) struct World {
    pub(crate) sts: Sts,
    pub(crate) sandbox: Sandbox,
}

impl World {
    /// The lease `aws` and nothing that it could be minted from.
    pub(crate) fn bare() -> Self {
        let world = Self {
            sts: Sts::start(),
            sandbox: sandbox(),
        };
        world.configure(&world.lease(""));
        world
    }

    /// The lease `aws`, and the keys of alice as secrets that programs would get.
    pub(crate) fn with_secrets() -> Self {
        let world = Self::bare();
        world.configure(&format!("{}{}", world.secrets("alice"), world.lease("")));
        world
    }

    /// `fnox.toml`
    pub(crate) fn configure(&self, text: &str) {
        self.sandbox.write("fnox.toml", text);
    }

    /// The lease `aws` with more keys.
    pub(crate) fn lease(&self, more: &str) -> String {
        format!(
            "[leases.aws]\ntype = \"aws-sts\"\nregion = \"eu-central-1\"\nendpoint = \"{}\"\n\
             role_arn = \"{}\"\nduration = \"1h\"\n{more}\n",
            self.sts.url(),
            Account::DEV_ROLE
        )
    }

    /// A user's keys as plain secrets.
    pub(crate) fn secrets(&self, user: &str) -> String {
        let mut text = "[providers]\nplain = { type = \"plain\" }\n[secrets]\n".to_owned();
        for (name, value) in self.keys(user) {
            writeln!(
                text,
                "{name} = {{ provider = \"plain\", value = \"{value}\" }}"
            )
            .unwrap();
        }
        text
    }

    /// A user's keys as variables.
    pub(crate) fn keys(&self, user: &str) -> [(&'static str, String); 2] {
        let key = self.sts.change(|account| account.user(user).clone());
        [(SESSION[0], key.id), (SESSION[1], key.secret)]
    }

    /// The values of the session that was issued last.
    pub(crate) fn issued(&self) -> [String; 3] {
        let key = self
            .sts
            .change(|account| account.issued().last().cloned())
            .expect("a session that was issued");
        [key.id, key.secret, key.session_token.unwrap()]
    }

    /// How many sessions were asked for.
    pub(crate) fn mints(&self) -> usize {
        self.sts.count("AssumeRole")
    }

    /// `fnox exec -- env`
    pub(crate) fn exec(&self) -> Invocation {
        self.sandbox.run(["exec", "--", "env"])
    }

    /// `fnox exec` of a program that leaves a mark, which must not start: fnox ends with `code`.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, flags: &[&str]) -> Run {
        self.refused_with(code, flags, &[])
    }

    /// The same with variables.
    #[track_caller]
    pub(crate) fn refused_with(
        &self,
        code: i32,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Run {
        refused(&self.sandbox, code, "exec", flags, variables)
    }

    /// All records of the ledger.
    pub(crate) fn listed(&self) -> Vec<serde_json::Value> {
        listed(&self.sandbox)
    }
}

/// fnox with a program that leaves a mark, which must not start.
#[track_caller]
pub(crate) fn refused(
    sandbox: &Sandbox,
    code: i32,
    command: &str,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Run {
    let mark = sandbox.root().join("started");
    let mut arguments = vec![command];
    arguments.extend(flags);
    arguments.extend(["--", "touch", mark.to_str().unwrap()]);
    let run = sandbox
        .run(&arguments)
        .envs(variables.iter().copied())
        .finish();
    assert!(!mark.exists(), "the program started: {run}");
    run.exits_with(code)
}

/// `fnox lease list --json`
#[track_caller]
pub(crate) fn listed(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let run = sandbox.run(["lease", "list", "--json"]).finish().succeeds();
    serde_json::from_str(&run.stdout).unwrap()
}

/// The value of a variable in the output of `env`.
pub(crate) fn variable<'a>(run: &'a Run, name: &str) -> Option<&'a str> {
    run.stdout
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// The values of a session in the output of `env`.
#[track_caller]
pub(crate) fn session(run: &Run) -> [String; 3] {
    SESSION.map(|name| {
        variable(run, name)
            .unwrap_or_else(|| panic!("no {name} in {run}"))
            .to_owned()
    })
}
