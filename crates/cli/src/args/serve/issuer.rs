//! `serve issuer`

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The key set goes into an [[issuer]] of server.toml:\n\n  [[issuer]]\n  name = \"github\"               # or a name with preset = \"generic\"\n  url = \"https://ci.example.com\"\n  jwks_file = \"issuer/jwks.json\"\n  algorithms = [\"EdDSA\"]"
)]
pub(crate) struct IssuerGroup {
    #[command(subcommand)]
    pub command: IssuerCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum IssuerCommand {
    /// Make the two files: the key, and the key set for server.toml
    Init {
        /// Folder for both
        #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Sign a token and print it
    Token(IssuerTokenArgs),
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A token opens one session. Whoever has the key can be any job: keep it where no job runs."
)]
pub(crate) struct IssuerTokenArgs {
    /// Folder of the two files
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: PathBuf,
    /// `iss`: the issuer's url in server.toml
    #[arg(long, value_name = "URL")]
    pub issuer: String,
    /// `aud`: the issuer's audience in server.toml, by default the server's public URL
    #[arg(long, value_name = "TEXT")]
    pub audience: String,
    /// JSON file with the other claims; `-` reads stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub claims: PathBuf,
    /// How long the token is good
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub ttl: String,
}
