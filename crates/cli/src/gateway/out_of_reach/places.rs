//! Where programs keep credentials, below the home folder.
//!
//! Of a folder that holds much else, such as a cache of packages, only the files with credentials are here: a tool goes on
//! without its login, not without what it has downloaded.

use std::path::{Path, PathBuf};

use fnox_core::Env;

use super::paths::What;

/// Folders of which everything is hidden.
const FOLDERS: &[&str] = &[
    // Keys, and agents that hold them.
    ".ssh",
    ".gnupg",
    ".age",
    ".config/age",
    ".config/sops",
    ".config/fnox",
    ".local/state/fnox",
    ".local/share/fnox",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".kde/share/apps/kwallet",
    ".pki",
    ".putty",
    ".yubico",
    ".config/Yubico",
    // Password managers.
    ".password-store",
    ".local/share/password-store",
    ".local/share/gopass",
    ".config/gopass",
    ".1password",
    ".config/1Password",
    ".config/op",
    ".op",
    ".config/Bitwarden",
    ".config/Bitwarden CLI",
    ".config/bws",
    ".config/rbw",
    ".cache/rbw",
    ".local/share/rbw",
    ".config/keepassxc",
    ".cache/keepassxc",
    ".keeper",
    ".config/protonpass",
    ".config/proton-pass-cli",
    ".local/share/proton-pass-cli",
    ".local/share/Enpass",
    ".config/foks",
    ".local/share/foks",
    ".doppler",
    ".infisical",
    // Clouds.
    ".aws",
    ".azure",
    ".oci",
    ".aliyun",
    ".bluemix",
    ".config/gcloud",
    ".config/doctl",
    ".config/hcloud",
    ".config/linode-cli",
    ".config/scw",
    ".config/openstack",
    ".config/rclone",
    ".config/s3cmd",
    ".fly",
    ".config/flyctl",
    ".config/heroku",
    ".local/share/heroku",
    ".config/netlify",
    ".config/vercel",
    ".local/share/com.vercel.cli",
    ".config/.wrangler",
    ".wrangler",
    ".config/railway",
    ".railway",
    ".pulumi",
    ".config/tailscale",
    ".cloudflared",
    // Clusters and containers.
    ".kube",
    ".docker",
    ".config/containers",
    ".config/argocd",
    ".config/helm",
    // Sockets of container engines: whoever reaches one is root of the machine.
    ".rd",
    ".colima",
    ".lima",
    ".orbstack",
    ".local/share/containers/podman/machine",
    // Forges.
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/tea",
    ".config/git-credential-manager",
    ".gcm",
    ".git-credential-cache",
    ".cache/git/credential",
    // Browsers and mail: sessions and saved passwords.
    ".mozilla",
    ".thunderbird",
    ".librewolf",
    ".config/mozilla",
    ".config/google-chrome",
    ".config/google-chrome-beta",
    ".config/google-chrome-unstable",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/microsoft-edge-beta",
    ".config/opera",
    ".config/vivaldi",
    "snap/firefox",
    "snap/chromium",
    "snap/brave",
    "snap/opera",
    "snap/thunderbird",
    "snap/bitwarden",
    "snap/1password",
    "snap/bw",
    ".var/app",
    // Messengers and other programs that keep a login.
    ".config/Signal",
    ".config/Slack",
    ".config/discord",
    ".config/skypeforlinux",
    ".config/Element",
    ".local/share/TelegramDesktop",
    ".config/github-copilot",
    ".jfrog",
    ".config/stripe",
    ".config/ngrok",
    ".ngrok2",
    ".subversion/auth",
    ".config/snowflake",
    ".snowflake",
];

/// Files with credentials, in folders that hold much else.
const FILES: &[&str] = &[
    ".netrc",
    ".authinfo",
    ".authinfo.gpg",
    ".git-credentials",
    ".config/git/credentials",
    ".pypirc",
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".config/pypoetry/auth.toml",
    ".local/share/uv/credentials/credentials.toml",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".config/pnpm/rc",
    ".config/pnpm/auth.ini",
    ".bunfig.toml",
    ".cargo/credentials.toml",
    ".cargo/credentials",
    ".gem/credentials",
    ".local/share/gem/credentials",
    ".bundle/config",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".sbt/.credentials",
    ".ivy2/.credentials",
    ".composer/auth.json",
    ".config/composer/auth.json",
    ".nuget/NuGet/NuGet.Config",
    ".config/NuGet/NuGet.Config",
    ".hex/hex.config",
    ".config/hatch/config.toml",
    ".terraformrc",
    ".terraform.d/credentials.tfrc.json",
    ".config/opentofu/credentials.tfrc.json",
    ".vault-token",
    ".pgpass",
    ".my.cnf",
    ".mylogin.cnf",
    ".s3cfg",
    ".boto",
    ".fetchmailrc",
    ".msmtprc",
    ".config/msmtp/config",
    ".smbcredentials",
    ".env.keys",
    ".env.vault",
    ".databrickscfg",
    ".snowsql/config",
    ".config/hf/token",
    ".huggingface/token",
    ".cache/huggingface/token",
    ".cache/huggingface/stored_tokens",
    ".kaggle/kaggle.json",
    ".config/kaggle/kaggle.json",
    ".netlify/config.json",
    ".circleci/cli.yml",
    ".travis/config.yml",
    ".config/sentry/token",
    ".sentryclirc",
    ".dockercfg",
    ".config/nix/netrc",
    ".dbt/profiles.yml",
    ".edgerc",
    // What was typed, with whatever stood on command lines.
    ".bash_history",
    ".zsh_history",
    ".zhistory",
    ".local/share/fish/fish_history",
    ".psql_history",
    ".mysql_history",
    ".python_history",
    ".Xauthority",
    ".ICEauthority",
];

/// Variables by which a folder of the home folder is somewhere else.
const MOVED: [(&str, &str); 6] = [
    (".config", "XDG_CONFIG_HOME"),
    (".local/share", "XDG_DATA_HOME"),
    (".local/state", "XDG_STATE_HOME"),
    (".cache", "XDG_CACHE_HOME"),
    (".cargo", "CARGO_HOME"),
    (".gradle", "GRADLE_USER_HOME"),
];

/// All of them, below `home` and where variables say that they are.
pub(super) fn below(home: &Path, env: &Env) -> Vec<(PathBuf, What)> {
    let folders = FOLDERS.iter().map(|place| (*place, What::Folder));
    let files = FILES.iter().map(|place| (*place, What::File));
    let mut out = Vec::new();
    for (place, what) in folders.chain(files) {
        out.push((home.join(place), what));
        let moved = MOVED.iter().filter_map(|(usual, variable)| {
            let rest = Path::new(place).strip_prefix(usual).ok()?;
            let folder = Path::new(env.var(variable)?);
            (folder.is_absolute() && !rest.as_os_str().is_empty()).then(|| folder.join(rest))
        });
        out.extend(moved.map(|path| (path, what)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_variable_moves_is_known_at_both_places() {
        let env: Env = [("XDG_CONFIG_HOME", "/x"), ("CARGO_HOME", "relative")]
            .into_iter()
            .collect();
        let found = below(Path::new("/home/u"), &env);
        for path in [
            "/home/u/.config/gh",
            "/x/gh",
            "/home/u/.cargo/credentials.toml",
        ] {
            assert!(found.iter().any(|(it, _)| it == Path::new(path)), "{path}");
        }
        assert!(found.iter().all(|(it, _)| it.is_absolute()));
    }

    #[test]
    fn no_place_is_inside_of_another_one() {
        let home = Path::new("/home/u");
        let found = below(home, &Env::default());
        for (path, _) in &found {
            let inside = found
                .iter()
                .find(|(other, _)| path != other && path.starts_with(other));
            assert_eq!(inside, None, "{}", path.display());
        }
    }
}
