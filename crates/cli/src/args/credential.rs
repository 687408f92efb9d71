//! `credential`: helpers that other programs call, and their installation.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Other programs call these. They never ask anything, reuse a credential while it is good, and mint once however many of them run. `fnox credential install` writes the configuration of the other program."
)]
pub(crate) struct CredentialArgs {
    /// Folder whose configuration counts, as if fnox had been started there
    #[arg(long, global = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    #[command(subcommand)]
    pub command: CredentialCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CredentialCommand {
    /// For AWS SDKs and the AWS CLI (`credential_process`)
    Aws(AwsArgs),
    /// For Google's libraries (executable of an `external_account` file): a JSON Web Token to exchange
    Gcp(TokenArgs),
    /// For kubectl and client-go (`ExecCredential`)
    Kubernetes(KubernetesArgs),
    /// For Docker (`docker-credential-…`)
    Docker(DockerArgs),
    /// For git (gitcredentials)
    Git(GitArgs),
    /// Tell another program to call fnox, after showing what would be written
    Install(InstallArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AwsArgs {
    /// The lease
    #[arg(value_name = "LEASE", add = crate::completion::leases())]
    pub lease: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TokenArgs {
    /// The lease
    #[arg(value_name = "LEASE", add = crate::completion::leases())]
    pub lease: String,
    /// The variable of the lease that is the token, if it makes several
    #[arg(long, value_name = "NAME")]
    pub variable: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct KubernetesArgs {
    #[command(flatten)]
    pub token: TokenArgs,
    /// Answer only for the cluster with this address (needs `provideClusterInfo: true`)
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// The host that gets a credential, and the user.
#[derive(Debug, Clone, Args)]
pub(crate) struct HostArgs {
    #[command(flatten)]
    pub token: TokenArgs,
    /// The only host that gets the credential, over https (default: what the lease's type is for, if that is known)
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// User name (default: what the lease's type wants)
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
}

/// What Docker asks a helper to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DockerOperation {
    /// Give a credential
    Get,
    /// Keep a credential; does nothing
    Store,
    /// Forget a credential; does nothing
    Erase,
    /// Say for which registry there is one
    List,
    /// Print the version
    Version,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DockerArgs {
    #[command(flatten)]
    pub place: HostArgs,
    /// What Docker asks for
    #[arg(value_enum, value_name = "OPERATION", default_value = "get")]
    pub operation: DockerOperation,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct GitArgs {
    #[command(flatten)]
    pub place: HostArgs,
    /// What git asks for; others are ignored
    #[arg(value_name = "OPERATION", default_value = "get")]
    pub operation: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InstallArgs {
    /// Write without asking
    #[arg(short, long, global = true)]
    pub yes: bool,
    #[command(subcommand)]
    pub command: InstallCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum InstallCommand {
    /// A profile in ~/.aws/config
    Aws {
        #[command(flatten)]
        lease: AwsArgs,
        /// Name of the AWS profile (default: the lease's)
        #[arg(long, value_name = "NAME")]
        aws_profile: Option<String>,
    },
    /// A file of application default credentials for workload identity federation
    Gcp {
        #[command(flatten)]
        token: TokenArgs,
        /// The workload identity provider: //iam.googleapis.com/projects/…/providers/…
        #[arg(long, value_name = "NAME")]
        audience: String,
        /// Service account to impersonate
        #[arg(long, value_name = "EMAIL")]
        service_account: Option<String>,
        /// The file to write
        #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
    /// A user in the kubeconfig
    Kubernetes {
        #[command(flatten)]
        command: KubernetesArgs,
        /// Name of the user (default: fnox- and the lease's name)
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// A registry in ~/.docker/config.json, and a program that Docker calls
    Docker {
        #[command(flatten)]
        place: HostArgs,
        /// Folder of the program; must be on PATH (default: ~/.local/bin)
        #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
        bin: Option<PathBuf>,
    },
    /// A host in git's global configuration
    Git {
        #[command(flatten)]
        place: HostArgs,
    },
}
