//! The questions of `fnox init`.

use fnox_config::spec::{Capability, PROVIDERS, ProviderSpec};
use fnox_core::prompt::Prompt;
use fnox_core::{ProjectName, ProviderName};
use fnox_providers::Registry;
use indexmap::IndexMap;
use inquire::Select;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use crate::app::{App, block_on};
use crate::args::SetArgs;
use crate::commands::age::{create_identity, recipients_of, usual_file};
use crate::commands::provider::{ask_required, probe};
use crate::error::CliError;
use crate::terminal;

/// The first provider.
pub(super) struct Answers {
    pub(super) name: ProviderName,
    kind: &'static str,
    keys: IndexMap<&'static str, Value>,
    /// The project's name on the team server.
    project: Option<ProjectName>,
}

impl Answers {
    pub(super) fn render(&self) -> String {
        let mut provider = InlineTable::new();
        provider.insert("type", self.kind.into());
        for (key, value) in &self.keys {
            provider.insert(*key, value.clone());
        }
        let mut providers = Table::new();
        providers.insert(self.name.as_str(), toml_edit::value(provider));
        let mut document = DocumentMut::new();
        document.insert("default_provider", toml_edit::value(self.name.as_str()));
        if let Some(project) = &self.project {
            let mut table = Table::new();
            table.insert("name", toml_edit::value(project.as_str()));
            document.insert("project", Item::Table(table));
        }
        document.insert("providers", Item::Table(providers));
        document.to_string()
    }
}

/// `None`: no provider now.
pub(super) fn ask(app: &App) -> Result<Option<Answers>, CliError> {
    let prompt = app.prompt.as_ref();
    if prompt.agree("Set up a place where secrets live?") != Some(true) {
        return Ok(None);
    }
    let Some(spec) = choose_type()? else {
        return Ok(None);
    };
    let Some(name) = ask_name(prompt, spec) else {
        return Ok(None);
    };
    let mut keys = IndexMap::new();
    if spec.name == "age" {
        keys.extend(age_recipients(app)?.map(|recipients| ("recipients", recipients)));
    }
    ask_required(app, spec, &mut keys)?;
    let project = if spec.name == "fnox-server" {
        let Some(project) = ask_project(prompt) else {
            return Ok(None);
        };
        Some(project)
    } else {
        None
    };
    Ok(Some(Answers {
        name,
        kind: spec.name,
        keys,
        project,
    }))
}

fn choose_type() -> Result<Option<&'static ProviderSpec>, CliError> {
    let built: Vec<&'static ProviderSpec> =
        PROVIDERS.iter().filter(|spec| Registry.has(spec)).collect();
    let lines: Vec<String> = built
        .iter()
        .map(|spec| format!("{}: {}", spec.label, purpose(spec)))
        .collect();
    match Select::new("Where?", lines).raw_prompt_skippable() {
        Ok(chosen) => Ok(chosen.and_then(|chosen| built.get(chosen.index).copied())),
        Err(inquire::InquireError::OperationInterrupted) => {
            terminal::interrupt();
            Ok(None)
        }
        Err(error) => Err(CliError::Input {
            what: "the answer".to_owned(),
            reason: error.to_string(),
            help: None,
        }),
    }
}

fn purpose(spec: &ProviderSpec) -> &'static str {
    match (spec.name, spec.capability) {
        ("fnox-server", _) => {
            "values that a team's server cannot read, released after a person said yes"
        }
        ("plain", _) => "values in clear text, for what is no secret",
        (_, Capability::EncryptsInConfig) => "values encrypted in fnox.toml",
        (_, Capability::StoresRemotely) => "values stored there, references in fnox.toml",
        (_, Capability::ReadsOnly) => "values read from there, references in fnox.toml",
    }
}

fn ask_name(prompt: &dyn Prompt, spec: &ProviderSpec) -> Option<ProviderName> {
    loop {
        let answer = prompt.text(&format!("Its name (empty: {})", spec.name))?;
        let answer = answer.trim();
        match ProviderName::parse(if answer.is_empty() { spec.name } else { answer }) {
            Ok(name) => return Some(name),
            Err(error) => prompt.message(&error.to_string()),
        }
    }
}

/// The team server keeps values by project.
fn ask_project(prompt: &dyn Prompt) -> Option<ProjectName> {
    loop {
        let answer = prompt.text("The project's name on the team server, for example my-app")?;
        match ProjectName::parse(answer.trim()) {
            Ok(name) => return Some(name),
            Err(error) => prompt.message(&error.to_string()),
        }
    }
}

/// The recipients of this person's identity, which is made if there is none. `None`: ask for others.
fn age_recipients(app: &App) -> Result<Option<Value>, CliError> {
    let path = usual_file(app);
    let shown = path.display();
    let recipients = if path.is_file() {
        let found = recipients_of(&path);
        let question = format!("Encrypt to the identity in {shown}?");
        if found.is_empty() || app.prompt.agree(&question) != Some(true) {
            return Ok(None);
        }
        found
    } else {
        let question = format!("Make a new age identity in {shown}?");
        if app.prompt.agree(&question) != Some(true) {
            return Ok(None);
        }
        vec![create_identity(app, &path)?]
    };
    Ok(Some(Value::Array(
        recipients.into_iter().collect::<Array>(),
    )))
}

/// Whether the provider answers. A failure is worth a warning, not more: the file is right, the world may
/// not be yet.
pub(super) fn try_out(app: &App, name: &ProviderName) {
    let outcome = app.load().and_then(|config| {
        let resolver = app.resolver(&config);
        block_on(probe(app, &resolver, name))?
    });
    match outcome {
        Ok(()) => app.printer.done(&format!("The provider {name} works")),
        Err(error) => app.printer.warn(&error.to_string()),
    }
}

/// Stores a first secret, if that is wanted.
pub(super) fn offer_example(app: &App, provider: &ProviderName, global: bool) {
    if app.prompt.confirm("Add a first secret?", "yes", Some("no")) != Some(true) {
        return;
    }
    let Some(name) = app.prompt.text("Name of the secret, for example API_KEY") else {
        return;
    };
    let set = SetArgs {
        global,
        provider: Some(provider.to_string()),
        ..SetArgs::of(name.trim())
    };
    if let Err(error) = crate::commands::set::run(app, &set) {
        // The file is made; the secret can be set later.
        app.printer.warn(&error.to_string());
    }
}
