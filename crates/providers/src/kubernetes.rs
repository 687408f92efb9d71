//! Reaching a Kubernetes cluster: kubeconfig files as kubectl reads them, programs that log in, and a pod's own account.
//!
//! Guarantees: a server whose certificate cannot be checked gets nothing, but on this machine; who is named in the kubeconfig is asked as and
//! nobody else (what fnox does not support is an error).
//!
//! Facts are from "Organizing Cluster Access Using kubeconfig Files", "kubeconfig (v1)", "client-go credential plugins" and "Accessing the Kubernetes
//! API from a Pod".

mod access;
mod exec;
mod kubeconfig;

use std::path::PathBuf;

pub use self::access::{Access, Place, Target};

/// Where Kubernetes puts the account of a pod.
pub const SERVICE_ACCOUNT_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What a configuration says about which cluster is asked.
#[derive(Debug, Clone)]
pub struct Choice {
    /// A context of the kubeconfig; else the current one.
    pub context: Option<String>,
    /// A namespace; else the context's, else the pod's, else `default`.
    pub namespace: Option<String>,
    /// The kubeconfig; else those in `KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The folder of a pod's account, see [`SERVICE_ACCOUNT_FOLDER`].
    pub service_account_folder: PathBuf,
    /// The home folder.
    pub home: Option<PathBuf>,
}
