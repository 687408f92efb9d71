//! Which cluster is asked, and as whom: a context of a kubeconfig, or the pod's own account.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use fnox_core::{Env, SecretString};
use fnox_http::{Tls, Url, address};

use super::Choice;
use super::exec;
use super::kubeconfig::{Cluster, Found, Kubeconfig, User, decoded};
use crate::error::ProviderError;
use crate::{jwt, token_file};

/// Where a cluster is.
pub struct Place {
    /// As the kubeconfig has it.
    pub(super) configured_server: String,
    pub(super) server: Url,
    pub(super) tls_server_name: Option<String>,
    /// What messages call the certificates, and the certificates in PEM.
    pub(super) authority: Option<(String, Vec<u8>)>,
    pub(super) is_unchecked: bool,
}

/// Whom a call is made as.
pub(super) enum Who {
    /// A user of the kubeconfig in a context.
    User { context: String, user: String },
    /// The pod's own service account.
    Pod,
}

/// What is known before anybody logs in.
pub struct Target {
    /// Where the cluster is.
    pub place: Place,
    /// The namespace that is meant where none is named.
    pub namespace: String,
    pub(super) who: Who,
    kubeconfig: Kubeconfig,
}

/// A way to call the cluster.
pub struct Access {
    /// How the server is recognised, and the caller's certificate.
    pub tls: Tls,
    /// The caller's token.
    pub token: Option<SecretString>,
    /// As whom, for messages.
    pub described: String,
}

impl Target {
    /// Finds it. `None`: there is neither a kubeconfig nor a pod.
    ///
    /// # Errors
    /// [`ProviderError`] for files and entries that cannot be used.
    pub fn find(choice: &Choice, env: &Env) -> Result<Option<Self>, ProviderError> {
        let home = choice.home.as_deref();
        let kubeconfig = Kubeconfig::read(choice.kubeconfig.as_deref(), env, home)?;
        if kubeconfig.is_empty() {
            if choice.context.is_some() || env.var("KUBECONFIG").is_some() {
                return Ok(None);
            }
            return pod(choice, env);
        }
        let name = choice.context.as_deref();
        let name = name
            .or_else(|| kubeconfig.current_context())
            .ok_or_else(|| {
                ProviderError::authentication(format!(
                    "{} has no current-context",
                    kubeconfig.names()
                ))
                .with_remedy("set `context`, or run `kubectl config use-context`")
            })?;
        let lacks = |what: &str, name: &str| {
            let name = name.escape_debug();
            ProviderError::authentication(format!("{} has no {what} `{name}`", kubeconfig.names()))
        };
        let context = kubeconfig
            .context(name)
            .ok_or_else(|| lacks("context", name))?
            .entry;
        let cluster = kubeconfig
            .cluster(&context.cluster)
            .ok_or_else(|| lacks("cluster", &context.cluster))?;
        let place = place(&cluster)?;
        if !context.user.is_empty() {
            let user = kubeconfig.user(&context.user);
            check(user.ok_or_else(|| lacks("user", &context.user))?.entry)?;
        }
        let of_context = context.namespace.as_deref().filter(|name| !name.is_empty());
        let namespace = choice.namespace.as_deref().or(of_context);
        Ok(Some(Self {
            place,
            namespace: namespace.unwrap_or("default").to_owned(),
            who: Who::User {
                context: name.to_owned(),
                user: context.user.clone(),
            },
            kubeconfig,
        }))
    }

    /// Logs in, as far as that needs something: files are read and programs are run. What is `hidden` is in no message.
    ///
    /// # Errors
    /// [`ProviderError`] for files that cannot be used and programs that give nothing.
    pub async fn open(
        &self,
        choice: &Choice,
        env: &Env,
        hidden: &[SecretString],
    ) -> Result<Access, ProviderError> {
        let mut access = Access {
            tls: Tls {
                only: self.place.authority.clone(),
                resolved: self.place.resolved().await?,
                is_unchecked_if_local: self.place.is_unchecked,
                identity: None,
            },
            token: None,
            described: "nobody (the context has no user)".to_owned(),
        };
        match &self.who {
            Who::Pod => {
                let folder = &choice.service_account_folder;
                access.token = Some(token_file::read(&folder.join("token"))?);
                "the pod's service account".clone_into(&mut access.described);
            }
            Who::User {
                context: name,
                user,
            } => {
                if let Some(found) = self.kubeconfig.user(user) {
                    self.log_in(&found, env, hidden, &mut access).await?;
                    access.described = format!("user `{user}` of context `{name}`");
                }
            }
        }
        if let Some(token) = access
            .token
            .as_ref()
            .filter(|token| jwt::claims(token).is_some())
        {
            access.described = format!("{}; {}", access.described, jwt::described(token));
        }
        Ok(access)
    }

    async fn log_in(
        &self,
        found: &Found<'_, User>,
        env: &Env,
        hidden: &[SecretString],
        access: &mut Access,
    ) -> Result<(), ProviderError> {
        let user = found.entry;
        access.tls.identity = identity(found)?;
        // "If both Token and TokenFile are specified, the TokenFile will be periodically read and the last successfully read
        // content takes precedence over Token."
        let file = user.token_file.as_ref().filter(|file| !file.is_empty());
        let token = user.token.as_ref().filter(|token| !token.0.is_empty());
        access.token = match (file, token) {
            (Some(file), _) => Some(token_file::read(&found.path(file))?),
            (None, Some(token)) => Some(token.0.clone()),
            (None, None) => None,
        };
        let (None, Some(exec)) = (&access.token, &user.exec) else {
            return Ok(());
        };
        let login = exec::run(found, exec, &self.place, env, hidden).await?;
        access.token = login.token;
        if let Some((certificate, key)) = login.certificate {
            let pem = SecretString::new(format!("{certificate}\n{}", key.expose_secret()));
            access.tls.identity = Some((format!("`{}`", exec.command), pem));
        }
        Ok(())
    }

    /// What names the principal besides a configuration's keys: digests of what is secret, and not of what changes by itself.
    #[must_use]
    pub fn principal(&self) -> Vec<String> {
        let mut parts = vec![self.place.server.to_string(), self.namespace.clone()];
        let Who::User {
            context,
            user: name,
        } = &self.who
        else {
            parts.push("pod".to_owned());
            return parts;
        };
        parts.extend([context.clone(), name.clone()]);
        let Some(found) = self.kubeconfig.user(name) else {
            return parts;
        };
        let user = found.entry;
        let digest = |text: &str| blake3::hash(text.as_bytes()).to_string();
        parts.extend(
            user.token
                .iter()
                .map(|token| digest(token.0.expose_secret())),
        );
        parts.extend(user.token_file.clone());
        parts.extend(user.client_certificate_data.as_deref().map(digest));
        parts.extend(user.client_certificate.clone());
        if let Some(exec) = &user.exec {
            parts.push(exec.command.clone());
            parts.extend(exec.args.iter().flatten().cloned());
            for variable in exec.env.iter().flatten() {
                parts.push(digest(&format!(
                    "{}={}",
                    variable.name,
                    variable.value.0.expose_secret()
                )));
            }
        }
        parts
    }

    /// The master's name, for people.
    #[must_use]
    pub fn master(&self, choice: &Choice) -> String {
        match &self.who {
            Who::Pod => choice
                .service_account_folder
                .join("token")
                .display()
                .to_string(),
            Who::User { context, user } => format!("user `{user}` of context `{context}`"),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Target")
            .field("place", &self.place)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("described", &self.described)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Place")
            .field("server", &self.configured_server)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// The URL of a call, below the server's. With `tls-server-name` that name stands in it, and nobody is asked where it is.
    #[must_use]
    pub fn base(&self) -> Url {
        let mut url = self.server.clone();
        if let Some(name) = &self.tls_server_name {
            // A name that is none was refused before.
            let _ = url.set_host(Some(name));
        }
        url
    }

    async fn resolved(&self) -> Result<Option<(String, Vec<SocketAddr>)>, ProviderError> {
        let Some(name) = &self.tls_server_name else {
            return Ok(None);
        };
        let host = self.server.host_str().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        let port = self.server.port_or_known_default().unwrap_or(443);
        let addresses = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| {
                ProviderError::unavailable(format!(
                    "Kubernetes cannot be reached at {host}: {error}"
                ))
            })?;
        Ok(Some((name.clone(), addresses.collect())))
    }
}

fn place(found: &Found<'_, Cluster>) -> Result<Place, ProviderError> {
    let cluster = found.entry;
    let refused =
        |reason: String| ProviderError::authentication(format!("the kubeconfig's {reason}"));
    let server =
        address::parse(&cluster.server).map_err(|reason| refused(format!("`server` {reason}")))?;
    if cluster
        .proxy_url
        .as_ref()
        .is_some_and(|url| !url.is_empty())
    {
        return Err(refused("`proxy-url` is not supported".to_owned())
            .with_remedy("set HTTPS_PROXY in its place"));
    }
    if cluster.insecure_skip_tls_verify && !address::is_loopback(&server) {
        return Err(refused(
            "`insecure-skip-tls-verify` would send the master to whoever pretends to be the cluster"
                .to_owned(),
        )
        .with_remedy("name the cluster's certificate with `certificate-authority`"));
    }
    let name = cluster
        .tls_server_name
        .clone()
        .filter(|name| !name.is_empty());
    if let Some(name) = &name {
        let mut url = server.clone();
        if url.scheme() != "https" || url.set_host(Some(name)).is_err() {
            return Err(refused(
                "`tls-server-name` is no name of a server with TLS".to_owned(),
            ));
        }
    }
    let authority = match (
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
    ) {
        (Some(data), _) if !data.is_empty() => {
            let key = "certificate-authority-data";
            let pem = decoded(key, data)?;
            Some((key.to_owned(), pem.expose_secret().as_bytes().to_vec()))
        }
        (_, Some(path)) if !path.is_empty() => Some(file(&found.path(path))?),
        _ => None,
    };
    Ok(Place {
        configured_server: cluster.server.clone(),
        server,
        tls_server_name: name,
        authority,
        is_unchecked: cluster.insecure_skip_tls_verify,
    })
}

fn file(path: &Path) -> Result<(String, Vec<u8>), ProviderError> {
    let shown = path.display().to_string();
    match std::fs::read(path) {
        Ok(pem) => Ok((shown, pem)),
        Err(error) => Err(ProviderError::authentication(format!(
            "the certificates of {shown} cannot be used: {error}"
        ))),
    }
}

/// What must not be left out silently: the call would be made as somebody else than kubectl makes it.
fn check(user: &User) -> Result<(), ProviderError> {
    let unsupported = [
        (user.username.is_some(), "username"),
        (user.auth_provider.is_some(), "auth-provider"),
        (user.acts_as.is_some(), "as"),
        (user.as_uid.is_some(), "as-uid"),
        (user.as_groups.is_some(), "as-groups"),
        (user.as_user_extra.is_some(), "as-user-extra"),
    ];
    match unsupported.into_iter().find(|(is_there, _)| *is_there) {
        None => Ok(()),
        Some((_, key)) => Err(ProviderError::authentication(format!(
            "the kubeconfig's user has `{key}`, which fnox does not support"
        ))
        .with_remedy("name a context whose user has a token, a certificate or `exec`")),
    }
}

/// Certificate and key of a user. Inline ones count before files.
fn identity(found: &Found<'_, User>) -> Result<Option<(String, SecretString)>, ProviderError> {
    let user = found.entry;
    let text = |path: &str| -> Result<SecretString, ProviderError> {
        let (shown, pem) = file(&found.path(path))?;
        let pem = zeroize::Zeroizing::new(pem);
        std::str::from_utf8(&pem)
            .map(SecretString::from)
            .map_err(|_| ProviderError::authentication(format!("{shown} is not PEM")))
    };
    let certificate = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => Some(decoded("client-certificate-data", data)?),
        (None, Some(path)) => Some(text(path)?),
        (None, None) => None,
    };
    let key = match (&user.client_key_data, &user.client_key) {
        (Some(data), _) => Some(decoded("client-key-data", data.0.expose_secret())?),
        (None, Some(path)) => Some(text(path)?),
        (None, None) => None,
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let pem = format!("{}\n{}", certificate.expose_secret(), key.expose_secret());
            Ok(Some((
                "the kubeconfig's user".to_owned(),
                SecretString::new(pem),
            )))
        }
        (None, None) => Ok(None),
        _ => Err(ProviderError::authentication(
            "the kubeconfig's user has a client certificate without its key, or a key alone",
        )),
    }
}

/// The pod's own account ("Accessing the Kubernetes API from a Pod").
fn pod(choice: &Choice, env: &Env) -> Result<Option<Target>, ProviderError> {
    let (Some(host), Some(port)) = (
        env.var("KUBERNETES_SERVICE_HOST"),
        env.var("KUBERNETES_SERVICE_PORT"),
    ) else {
        return Ok(None);
    };
    let folder = &choice.service_account_folder;
    if !folder.join("token").exists() {
        return Ok(None);
    }
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let configured_server = format!("https://{host}:{port}");
    let server = address::parse(&configured_server).map_err(|reason| {
        ProviderError::authentication(format!("KUBERNETES_SERVICE_HOST and its port: {reason}"))
    })?;
    let namespace = match &choice.namespace {
        Some(name) => name.clone(),
        None => std::fs::read_to_string(folder.join("namespace"))
            .map(|name| name.trim().to_owned())
            .unwrap_or_default(),
    };
    Ok(Some(Target {
        place: Place {
            configured_server,
            server,
            tls_server_name: None,
            authority: Some(file(&folder.join("ca.crt"))?),
            is_unchecked: false,
        },
        namespace: if namespace.is_empty() {
            "default".to_owned()
        } else {
            namespace
        },
        who: Who::Pod,
        kubeconfig: Kubeconfig::default(),
    }))
}
