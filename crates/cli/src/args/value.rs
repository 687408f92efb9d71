//! `get`, `set`, `list`, `remove`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Clone, Args)]
pub(crate) struct GetArgs {
    /// Name of the secret, or of a variable that a lease produces
    #[arg(value_name = "KEY", required_unless_present = "file", add = crate::completion::secrets())]
    pub key: Option<String>,
    /// Print a file of the global configuration's `[files]` instead, exactly
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["key", "base64_decode", "refresh", "json"])]
    pub file: Option<PathBuf>,
    /// The stored value is base64: print what it decodes to
    #[arg(long)]
    pub base64_decode: bool,
    /// Print a JSON document with name and value
    #[arg(long)]
    pub json: bool,
    /// Fetch it anew, even if the daemon has it
    #[arg(long)]
    pub refresh: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The value is taken from the argument, from --from-file, from a pipe, or asked for.\nAn argument is visible to other users while the command runs; a pipe is not."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct SetArgs {
    /// Name of the secret
    #[arg(value_name = "KEY", required_unless_present = "file", add = crate::completion::secrets())]
    pub key: Option<String>,
    /// The value; for a provider that only reads, the reference
    #[arg(
        value_name = "VALUE",
        conflicts_with = "from_file",
        allow_hyphen_values = true
    )]
    pub value: Option<String>,
    /// What the secret is for
    #[arg(short, long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Write to the global file
    #[arg(short, long)]
    pub global: bool,
    /// Name under which the provider keeps it
    #[arg(short, long, value_name = "NAME")]
    pub key_name: Option<String>,
    /// Only say what would be written
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Provider that keeps it
    #[arg(short, long, value_name = "NAME", add = crate::completion::providers())]
    pub provider: Option<String>,
    /// Store the base64 form of the value
    #[arg(long)]
    pub base64_encode: bool,
    /// Value if the provider has none
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub default: Option<String>,
    /// Read the value from a file, exactly as it is
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub from_file: Option<PathBuf>,
    /// Keep a whole file instead, for `[files]` of the global configuration: what --from-file or a pipe brings, else what stands
    /// at this path now
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["key", "value", "base64_encode", "default", "generate"])]
    pub file: Option<PathBuf>,
    /// With --file: file of the configuration folder that gets the ciphertext, so that it stands apart from the configuration
    #[arg(long, value_name = "PATH", requires = "file")]
    pub source: Option<String>,
    /// Make a random value
    #[arg(long, conflicts_with_all = ["value", "from_file"])]
    pub generate: bool,
    /// What `--generate` makes
    #[arg(
        long,
        value_enum,
        value_name = "TYPE",
        default_value = "password",
        requires = "generate",
        conflicts_with_all = NOT_GENERATED
    )]
    pub generate_type: GenerateType,
    /// Characters of a password; random bytes behind hex and base64
    #[arg(long, value_name = "NUMBER", default_value_t = 32, requires = "generate", conflicts_with_all = NOT_GENERATED, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub length: u16,
    /// Replace a value that is there by a generated one
    #[arg(long, requires = "generate", conflicts_with_all = NOT_GENERATED)]
    pub force: bool,
    /// Print the generated value
    #[arg(long, requires = "generate", conflicts_with_all = NOT_GENERATED)]
    pub show: bool,
}

/// Other places of a value. clap does not ask for `--generate`, which excludes them, where one of them is given: so what
/// requires it has to exclude them itself.
const NOT_GENERATED: [&str; 3] = ["value", "from_file", "file"];

impl SetArgs {
    /// `fnox set KEY`, with nothing more.
    pub(crate) fn of(key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            value: None,
            description: None,
            global: false,
            key_name: None,
            dry_run: false,
            provider: None,
            base64_encode: false,
            default: None,
            from_file: None,
            file: None,
            source: None,
            generate: false,
            generate_type: GenerateType::Password,
            length: 32,
            force: false,
            show: false,
        }
    }
}

/// What a generated value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GenerateType {
    /// Letters, digits, `-` and `_`
    Password,
    /// Random bytes in hexadecimal digits
    Hex,
    /// Random bytes in base64
    Base64,
    /// A random UUID
    Uuid,
}

#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct ListArgs {
    /// Do not shorten anything
    #[arg(short, long)]
    pub full: bool,
    /// Show the file that defines each secret
    #[arg(short, long)]
    pub sources: bool,
    /// Resolve and show the values
    #[arg(short = 'V', long)]
    pub values: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    /// Only the names, one a line
    #[arg(long, hide = true)]
    pub complete: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The editor is that of EDITOR, else VISUAL, else vi. It gets a private copy that is removed afterwards."
)]
pub(crate) struct EditArgs {
    /// Edit only this secret's value; without it, the whole file
    #[arg(value_name = "KEY", add = crate::completion::secrets())]
    pub key: Option<String>,
    /// Edit a file of the global configuration's `[files]` as its provider keeps it
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["key", "global"])]
    pub file: Option<PathBuf>,
    /// Edit the global file
    #[arg(short, long, conflicts_with = "key")]
    pub global: bool,
}

/// `copy` and `rename`
#[derive(Debug, Clone, Args)]
pub(crate) struct CopyArgs {
    /// Name of the secret
    #[arg(value_name = "KEY", add = crate::completion::secrets())]
    pub key: String,
    /// Its new name
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Replace a secret of that name
    #[arg(short, long)]
    pub force: bool,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveArgs {
    /// Name of the secret
    #[arg(value_name = "KEY", required_unless_present = "file", add = crate::completion::secrets())]
    pub key: Option<String>,
    /// Remove an entry of the global configuration's `[files]` instead, by its path; the file itself stays
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath, conflicts_with = "key")]
    pub file: Option<PathBuf>,
    /// Remove it from the global file
    #[arg(short, long)]
    pub global: bool,
    /// Only say what would be removed
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

impl RemoveArgs {
    /// `fnox remove KEY`, with nothing more.
    pub(crate) fn of(key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            file: None,
            global: false,
            dry_run: false,
        }
    }
}
