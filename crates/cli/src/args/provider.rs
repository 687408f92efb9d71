//! `provider`.

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ProviderArgs {
    /// Without a command: print the list as a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<ProviderCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Add a provider
    #[command(visible_alias = "a", alias = "set")]
    Add(ProviderAddArgs),
    /// List providers
    #[command(visible_alias = "ls")]
    List {
        /// Print a JSON document
        #[arg(long)]
        json: bool,
        /// Only the names, one a line
        #[arg(long, hide = true)]
        complete: bool,
    },
    /// Remove a provider
    #[command(visible_alias = "rm", alias = "delete")]
    Remove {
        /// Its name
        #[arg(value_name = "NAME", add = crate::completion::providers())]
        name: String,
        /// Remove it from the global file
        #[arg(short, long)]
        global: bool,
    },
    /// Test whether a provider answers
    #[command(visible_alias = "t")]
    Test(ProviderTestArgs),
    /// Hardware keys that open a provider's values
    Keys {
        #[command(subcommand)]
        command: ProviderKeysCommand,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProviderKeysCommand {
    /// Let another hardware key open the values; one that opens them now has to be at hand
    Add {
        /// The provider's name
        #[arg(value_name = "NAME", add = crate::completion::providers())]
        name: String,
        /// What the new key is called, for example safe; by default key-2, and so on
        #[arg(value_name = "KEY")]
        key: Option<String>,
        /// The slot of a YubiKey that answers, 1 or 2; by default that of the first key
        #[arg(long)]
        slot: Option<String>,
    },
    /// List a provider's hardware keys
    #[command(visible_alias = "ls")]
    List {
        /// The provider's name
        #[arg(value_name = "NAME", add = crate::completion::providers())]
        name: String,
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Remove a hardware key from a provider, for example one that was lost
    #[command(visible_alias = "rm")]
    Remove(ProviderKeysRemoveArgs),
    /// Make a new data key, which removed keys do not know; each key has to be at hand
    Rotate {
        /// The provider's name
        #[arg(value_name = "NAME", add = crate::completion::providers())]
        name: String,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProviderKeysRemoveArgs {
    /// The provider's name
    #[arg(value_name = "NAME", add = crate::completion::providers())]
    pub name: String,
    /// The key, as `fnox provider keys list` calls it
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Make a new data key, which the removed key does not know; each key that stays has to be at hand
    #[arg(long)]
    pub rotate: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fnox provider add age age --field recipients=age1…\n  fnox provider add shelf --plugin ./plugins/shelf --field options=url=https://shelf.internal\n\nA plugin or a program is only named: nothing is run or fetched."
)]
pub(crate) struct ProviderAddArgs {
    /// Its name
    pub name: String,
    /// Its type, for example age, keychain or 1password
    #[arg(value_name = "TYPE", required_unless_present = "plugin", add = crate::completion::provider_types())]
    pub kind: Option<String>,
    /// A plugin or a program of somebody else's in the place of a type: a Lua plugin's name or path, NAME for a program
    /// `fnox-provider-NAME` on PATH, or a program's path
    #[arg(long, value_name = "PLUGIN", value_hint = clap::ValueHint::AnyPath)]
    pub plugin: Option<String>,
    /// A key of its configuration; repeat for several, or for several values of a list
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub field: Vec<String>,
    /// What `--field vault=VAULT` says, as the established CLI has it for Proton Pass
    #[arg(long, value_name = "VAULT", hide = true)]
    pub vault: Option<String>,
    /// Write to the global file
    #[arg(short, long)]
    pub global: bool,
}

impl ProviderAddArgs {
    /// The keys that are given, each as `KEY=VALUE`.
    pub(crate) fn fields(&self) -> Vec<String> {
        let vault = self.vault.iter().map(|vault| format!("vault={vault}"));
        self.field.iter().cloned().chain(vault).collect()
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProviderTestArgs {
    /// Its name; by default the default provider
    #[arg(value_name = "NAME", add = crate::completion::providers())]
    pub name: Option<String>,
    /// All of them
    #[arg(short, long)]
    pub all: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}
