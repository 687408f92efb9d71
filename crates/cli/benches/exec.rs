//! The parts of one `fnox exec` in process: loading a configuration, and resolving age secrets. Whole
//! processes are timed by `scripts/bench-exec`.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use fnox_config::{Config, Folders, Loader};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_core::{Env, SecretName, age};
use fnox_providers::NoAccounts;
use fnox_providers::resolve::{Options, Resolver};

struct Project {
    folder: tempfile::TempDir,
    env: Env,
}

impl Project {
    fn with_age_secrets(count: usize) -> Self {
        let nobody: Arc<dyn Prompt> = Arc::new(NoPrompt);
        let (identity, recipient) = age::generate();
        let recipients = [age::Recipient::parse(&recipient).expect("a fresh recipient")];
        let mut text = format!(
            "root = true\n[providers]\nage = {{ type = \"age\", recipients = [\"{recipient}\"] }}\n[secrets]\n"
        );
        for number in 0..count {
            let value = format!("value {number}");
            let sealed = age::encrypt(&recipients, value.as_bytes(), &nobody).expect("encryption");
            let sealed = base64(&sealed);
            text += &[
                "S",
                &number.to_string(),
                " = { provider = \"age\", value = \"",
                &sealed,
                "\" }
",
            ]
            .concat();
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("fnox.toml"), text).expect("writing");
        let home = folder.path().to_str().expect("a UTF-8 path").to_owned();
        let env = [
            ("HOME", home.as_str()),
            ("FNOX_AGE_KEY", identity.expose_secret()),
        ]
        .into_iter()
        .collect();
        Self { folder, env }
    }

    fn load(&self) -> Config {
        let folders = Folders::from_env(&self.env);
        let cwd: &Path = self.folder.path();
        let loader = Loader {
            env: &self.env,
            folders: &folders,
            cwd,
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        };
        loader.load().expect("a valid configuration")
    }

    fn resolve(&self, config: &Config) -> usize {
        let options = Options {
            env: self.env.clone(),
            folders: Folders::from_env(&self.env),
            prompt: Arc::new(NoPrompt),
            accounts: Arc::new(NoAccounts),
            if_missing: None,
            prompt_auth: false,
            time_limit: Duration::from_secs(10),
            failures_are_final: false,
            offline: false,
            required: std::collections::BTreeSet::new(),
            kept: None,
            uses: None,
            answers: Arc::default(),
        };
        let wanted: Vec<SecretName> = config.secrets.keys().cloned().collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let resolver = Resolver::new(config, options);
        runtime
            .block_on(resolver.resolve(&wanted))
            .expect("all values")
            .values
            .len()
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn benches(criterion: &mut Criterion) {
    for count in [10, 100] {
        let project = Project::with_age_secrets(count);
        let config = project.load();
        criterion.bench_function(&format!("load, {count} secrets"), |bencher| {
            bencher.iter(|| black_box(project.load()));
        });
        criterion.bench_function(&format!("resolve, {count} age secrets"), |bencher| {
            bencher.iter(|| black_box(project.resolve(&config)));
        });
    }
}

criterion_group!(exec, benches);
criterion_main!(exec);
