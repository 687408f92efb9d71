//! `fnox vault init`
//!
//! Asks nothing and overwrites nothing: what is there is left as it is and named, what is missing is made. So
//! an init that was interrupted is finished by another.

use std::path::Path;

use fnox_config::trust::create_private_folder;
use fnox_vault::Engine;
use fnox_vault::key_source::KeySourceSpec;
use fnox_vault::policy::{DEFAULT_POLICY, Policy};

use crate::app::{App, block_on};
use crate::args::vault::VaultInitArgs;
use crate::error::CliError;
use crate::vault::assemble::{self, engine_failed, store_failed};
use crate::vault::documents::Initialised;
use crate::vault::place::StorePlace;
use crate::vault::settings::{Overrides, Settings, VaultFile};
use crate::vault::template::vault_toml;
use crate::vault::values::write_private;

pub(super) fn run(app: &App, args: &VaultInitArgs) -> Result<(), CliError> {
    let file = VaultFile::read_or_new(app, args.vault_config.as_deref())?;
    let overrides = Overrides {
        store: args.store.clone(),
        key: args.key.clone(),
        ..Overrides::default()
    };
    let settings = file.settings(app, &overrides)?;
    let mut report = Initialised {
        config: settings.file.display().to_string(),
        policy: settings.policy.display().to_string(),
        store: settings.store.to_string(),
        key: settings.key.to_string(),
        socket: settings.socket.display().to_string(),
        created: Vec::new(),
    };
    if !file.exists() {
        make_folder_of(&settings.file)?;
        write_private(&settings.file, template(&settings).as_bytes())?;
        report.created.push("config");
    }
    if !settings.policy.exists() {
        make_folder_of(&settings.policy)?;
        write_private(&settings.policy, DEFAULT_POLICY.as_bytes())?;
        report.created.push("policy");
    }
    let had_key = matches!(&settings.key, KeySourceSpec::File(path) if path.exists());
    if block_on(create(app, &settings))?? {
        if !had_key {
            report.created.push("key");
        }
        report.created.push("store");
    }
    if args.json {
        return app.printer.json(&report);
    }
    tell(app, &report);
    Ok(())
}

/// Makes key and store. `false`: there is a vault already.
async fn create(app: &App, settings: &Settings) -> Result<bool, CliError> {
    let open = assemble::stores(app, settings, true).await?;
    let ring = open.stores.ring.load().await.map_err(store_failed)?;
    if ring.is_some() {
        return Ok(false);
    }
    let source = assemble::key_source(app, settings).await?;
    let parts = assemble::parts(settings, open.stores, source, Policy::deny_all(), None);
    Engine::create(parts).await.map_err(engine_failed)?;
    Ok(true)
}

fn template(settings: &Settings) -> String {
    let store = match &settings.store {
        StorePlace::Postgres(url) => url.expose_secret().to_owned(),
        other => other.to_string(),
    };
    vault_toml(&[
        ("store", store),
        ("key", settings.key.to_string()),
        ("policy", settings.policy.display().to_string()),
    ])
}

fn make_folder_of(path: &Path) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if folder.is_dir() {
        return Ok(());
    }
    create_private_folder(folder).map_err(|source| CliError::File {
        action: "create",
        path: folder.to_owned(),
        source,
    })
}

fn tell(app: &App, report: &Initialised) {
    let things = [
        ("config", "the configuration", &report.config),
        ("policy", "the policy", &report.policy),
        ("key", "the key", &report.key),
        ("store", "the store", &report.store),
    ];
    for (word, name, place) in things {
        if report.created.contains(&word) {
            app.printer.done(&format!("Made {name}: {place}"));
        } else {
            app.printer
                .note(&format!("There is {name} already: {place}"));
        }
    }
    app.printer.note(&format!(
        "\nNext:\n\
         \x20 fnox vault serve                                    in another terminal, or as a service\n\
         \x20 fnox vault secret set github-token                  store a secret\n\
         \x20 $EDITOR {}    allow somebody to use it\n\
         \x20 fnox vault policy reload\n\
         \x20 fnox vault token create --agent coder-1 -o token    let an agent present itself",
        report.policy
    ));
}
