//! `fnox vault secret`

use std::collections::BTreeMap;

use fnox_core::SecretBytes;
use fnox_vault_wire::methods::{
    DeleteSecret, GetMetadata, ListSecrets, PruneSecrets, SealAlgorithm, SecretKind,
    SecretMetadata, StoreSecret, UpdateSecret,
};
use fnox_vault_wire::{Client, Code, SecretValue};

use crate::app::{App, block_on};
use crate::args::vault::{
    ClientArgs, SecretCommand, SecretGroup, SecretImportArgs, SecretSetArgs, VaultAlgorithm,
    VaultKind,
};
use crate::commands::import::read_pairs;
use crate::error::CliError;
use crate::output::Table;
use crate::vault::connect::{ask, call, client};
use crate::vault::documents::{DeletedSecret, ImportedSecret};
use crate::vault::error::VaultFailure;
use crate::vault::values::{self, count, shown};

pub(super) fn run(app: &App, group: &SecretGroup) -> Result<(), CliError> {
    let connection = &group.client.connection;
    match &group.command {
        SecretCommand::Set(args) => set(app, group, args),
        SecretCommand::GetMetadata { name } => {
            let name = name.clone();
            let secret = ask(app, connection, &GetMetadata { name })?;
            if group.client.json {
                return app.printer.json(&secret);
            }
            describe(app, &secret)
        }
        SecretCommand::List => list(app, group),
        SecretCommand::Delete { names } => delete(app, group, names),
        SecretCommand::Import(args) => import(app, group, args),
        SecretCommand::Prune { name, keep } => {
            let (name, keep) = (name.clone(), *keep);
            let pruned = ask(app, connection, &PruneSecrets { name, keep })?;
            if group.client.json {
                return app.printer.json(&pruned);
            }
            let versions = count(pruned.versions, "old version");
            app.printer.done(&format!("Dropped {versions}"));
            Ok(())
        }
    }
}

fn set(app: &App, group: &SecretGroup, args: &SecretSetArgs) -> Result<(), CliError> {
    let tags = tags(&args.tags)?;
    let value = if args.keep_value {
        None
    } else {
        Some(values::read(app, args.file.as_deref(), &args.name)?)
    };
    let stored = block_on(async {
        let client = client(app, &group.client.connection).await?;
        match value {
            Some(value) if args.new => store(&client, args, tags, value).await,
            value => update_or_store(&client, args, tags, value).await,
        }
    })??;
    if group.client.json {
        return app.printer.json(&stored);
    }
    app.printer.done(&format!(
        "Stored {} (version {})",
        stored.name, stored.version
    ));
    Ok(())
}

async fn update_or_store(
    client: &Client,
    args: &SecretSetArgs,
    tags: BTreeMap<String, String>,
    value: Option<SecretBytes>,
) -> Result<SecretMetadata, CliError> {
    let update = UpdateSecret {
        name: args.name.clone(),
        plaintext: value.clone().map(SecretValue),
        kind: args.kind.map(kind),
        description: args.description.clone(),
        tags: (!tags.is_empty()).then(|| tags.clone()),
        algorithm: args.algorithm.map(algorithm),
        if_version: args.if_version,
    };
    let known = client
        .call(&GetMetadata {
            name: args.name.clone(),
        })
        .await;
    match (known, value) {
        // Two vaults on one store may both find nothing; the second store is refused, and nothing is lost.
        (Err(error), Some(value))
            if error.known_code() == Some(Code::SecretNotFound) && args.if_version.is_none() =>
        {
            store(client, args, tags, value).await
        }
        (Err(error), _) => Err(VaultFailure::from(error).into()),
        (Ok(_), _) => call(client, &update).await,
    }
}

async fn store(
    client: &Client,
    args: &SecretSetArgs,
    tags: BTreeMap<String, String>,
    value: SecretBytes,
) -> Result<SecretMetadata, CliError> {
    let secret = StoreSecret {
        name: args.name.clone(),
        plaintext: SecretValue(value),
        kind: args.kind.map_or(SecretKind::Opaque, kind),
        description: args.description.clone(),
        tags,
        algorithm: args.algorithm.map(algorithm),
    };
    call(client, &secret).await
}

fn list(app: &App, group: &SecretGroup) -> Result<(), CliError> {
    let secrets = block_on(async {
        let client = client(app, &group.client.connection).await?;
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = call(&client, &ListSecrets { after, limit: None }).await?;
            all.extend(page.secrets);
            after = page.next;
            if after.is_none() {
                return Ok::<_, CliError>(all);
            }
        }
    })??;
    if group.client.json {
        return app.printer.json(&secrets);
    }
    if secrets.is_empty() {
        app.printer.note("No secrets.");
        return Ok(());
    }
    let mut table = Table::new(
        &["NAME", "KIND", "VERSION", "UPDATED", "DESCRIPTION"],
        false,
    );
    for secret in &secrets {
        let (kind, version, updated) = match mint_of(secret) {
            Some(kind) => (format!("made by {kind}"), "-".to_owned(), "-".to_owned()),
            None => (
                kind_word(&secret.kind).to_owned(),
                secret.version.to_string(),
                shown(secret.updated_at),
            ),
        };
        let description = secret.description.clone().unwrap_or_default();
        table.row(vec![
            secret.name.clone(),
            kind,
            version,
            updated,
            description,
        ]);
    }
    app.printer.line(&table.render())
}

/// The type of the mint that makes it. What is stored is sealed, whatever its tags say.
fn mint_of(secret: &SecretMetadata) -> Option<&str> {
    let is_stored = secret.algorithm.is_some();
    let kind = secret.tags.get("mint").filter(|_| !is_stored)?;
    Some(kind)
}

fn describe(app: &App, secret: &SecretMetadata) -> Result<(), CliError> {
    let mut rows = vec![("name", secret.name.clone())];
    match mint_of(secret) {
        Some(kind) => rows.push((
            "made by",
            format!("a mint of type {kind}, when a lease is used"),
        )),
        None => rows.extend([
            ("kind", kind_word(&secret.kind).to_owned()),
            ("version", secret.version.to_string()),
            ("created", shown(secret.created_at)),
            ("updated", shown(secret.updated_at)),
        ]),
    }
    if let Some(description) = &secret.description {
        rows.push(("description", description.clone()));
    }
    for (key, value) in &secret.tags {
        rows.push(("tag", format!("{key}={value}")));
    }
    if let Some(algorithm) = secret.algorithm {
        let word = match algorithm {
            SealAlgorithm::Aes256Gcm => "AES-256-GCM",
            SealAlgorithm::XChaCha20Poly1305 => "XChaCha20-Poly1305",
        };
        rows.push(("sealed with", word.to_owned()));
    }
    rows.push(("id", secret.id.to_string()));
    let mut table = Table::new(&["", ""], true);
    for (name, value) in rows {
        table.row(vec![name.to_owned(), value]);
    }
    app.printer.line(table.render().trim_start_matches('\n'))
}

fn delete(app: &App, group: &SecretGroup, names: &[String]) -> Result<(), CliError> {
    let mut deleted = Vec::new();
    let outcome = block_on(async {
        let client = client(app, &group.client.connection).await?;
        for name in names {
            let name = name.clone();
            call(&client, &DeleteSecret { name: name.clone() }).await?;
            deleted.push(DeletedSecret { name });
        }
        Ok::<_, CliError>(())
    })?;
    if group.client.json {
        app.printer.json(&deleted)?;
    } else {
        for secret in &deleted {
            let name = secret.name.escape_debug();
            app.printer
                .done(&format!("Deleted {name} and withdrew its leases"));
        }
    }
    outcome
}

fn import(app: &App, group: &SecretGroup, args: &SecretImportArgs) -> Result<(), CliError> {
    let file = args.file.as_ref().map(|path| app.cwd.join(path));
    let pairs = read_pairs(app, file.as_deref(), args.format)?;
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let secrets = pairs.into_iter().map(|(name, value)| StoreSecret {
        name: format!("{prefix}{name}"),
        plaintext: SecretValue(SecretBytes::new(value.expose_secret().as_bytes().to_vec())),
        kind: SecretKind::Opaque,
        description: None,
        tags: BTreeMap::new(),
        algorithm: None,
    });
    let import = Import {
        secrets: secrets.collect(),
        replace: args.replace,
        dry_run: args.dry_run,
    };
    import.run(app, &group.client)
}

/// Secrets on their way into the vault, together.
pub(super) struct Import {
    pub secrets: Vec<StoreSecret>,
    /// Give those that exist their next version, instead of refusing all.
    pub replace: bool,
    /// Only say what would be stored.
    pub dry_run: bool,
}

impl Import {
    pub(super) fn run(self, app: &App, args: &ClientArgs) -> Result<(), CliError> {
        let verb = if self.dry_run {
            "Would store"
        } else {
            "Stored"
        };
        let stored = if self.dry_run {
            let names = self.secrets.into_iter().map(|secret| secret.name);
            names
                .map(|name| ImportedSecret {
                    name,
                    version: None,
                })
                .collect()
        } else {
            block_on(async {
                let client = client(app, &args.connection).await?;
                import_all(&client, self.replace, self.secrets).await
            })??
        };
        if args.json {
            return app.printer.json(&stored);
        }
        for secret in &stored {
            app.printer.line(&secret.name.escape_debug().to_string())?;
        }
        app.printer
            .done(&format!("{verb} {}", count(stored.len() as u64, "secret")));
        Ok(())
    }
}

/// Names that exist are looked for first, so that a refusal comes before anything is changed.
async fn import_all(
    client: &Client,
    replace: bool,
    secrets: Vec<StoreSecret>,
) -> Result<Vec<ImportedSecret>, CliError> {
    let mut existing = std::collections::BTreeSet::new();
    for secret in &secrets {
        let name = secret.name.clone();
        match client.call(&GetMetadata { name: name.clone() }).await {
            Ok(_) if replace => {
                existing.insert(name);
            }
            Ok(_) => {
                return Err(CliError::Input {
                    what: "the input".to_owned(),
                    reason: format!(
                        "the vault has a secret `{}` already; nothing was stored",
                        name.escape_debug()
                    ),
                    help: Some(
                        "delete it first; `secret import` can also --replace it, or --prefix names"
                            .to_owned(),
                    ),
                });
            }
            Err(error) if error.known_code() == Some(Code::SecretNotFound) => {}
            Err(error) => return Err(VaultFailure::from(error).into()),
        }
    }
    let mut stored = Vec::new();
    for new in secrets {
        let secret = if existing.contains(&new.name) {
            let update = UpdateSecret {
                name: new.name,
                plaintext: Some(new.plaintext),
                kind: None,
                description: None,
                tags: None,
                algorithm: None,
                if_version: None,
            };
            call(client, &update).await?
        } else {
            let secret = call(client, &new).await?;
            existing.insert(new.name);
            secret
        };
        stored.push(ImportedSecret {
            name: secret.name,
            version: Some(secret.version),
        });
    }
    Ok(stored)
}

fn tags(pairs: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    pairs
        .iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                CliError::usage(format!("--tag: `{}` is not KEY=VALUE", pair.escape_debug()))
            })?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

pub(super) fn algorithm(word: VaultAlgorithm) -> SealAlgorithm {
    match word {
        VaultAlgorithm::Aes256Gcm => SealAlgorithm::Aes256Gcm,
        VaultAlgorithm::XChaCha20Poly1305 => SealAlgorithm::XChaCha20Poly1305,
    }
}

fn kind(word: VaultKind) -> SecretKind {
    match word {
        VaultKind::Pat => SecretKind::Pat,
        VaultKind::Oauth2 => SecretKind::OAuth2 {
            refresh_ciphertext: None,
            refresh_nonce: None,
        },
        VaultKind::ApiKey => SecretKind::ApiKey,
        VaultKind::BasicAuth => SecretKind::BasicAuth,
        VaultKind::SshKey => SecretKind::SshKey,
        VaultKind::ClientCert => SecretKind::ClientCert,
        VaultKind::Opaque => SecretKind::Opaque,
    }
}

fn kind_word(kind: &SecretKind) -> &'static str {
    match kind {
        SecretKind::Pat => "pat",
        SecretKind::OAuth2 { .. } => "oauth2",
        SecretKind::ApiKey => "api-key",
        SecretKind::BasicAuth => "basic-auth",
        SecretKind::SshKey => "ssh-key",
        SecretKind::ClientCert => "client-cert",
        SecretKind::Opaque => "opaque",
    }
}
