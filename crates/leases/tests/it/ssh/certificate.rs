//! Certificates as `ssh-keygen` reads them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::{Acquired, Held};

use super::{Authority, lease, run, value};
use crate::support::{Project, cached, minted, skipped};

/// The lines of `ssh-keygen -L`.
pub(super) fn shown(held: &Held) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key-cert.pub");
    std::fs::write(&path, value(held, "FNOX_SSH_CERTIFICATE")).unwrap();
    let text = run(Command::new("ssh-keygen")
        .arg("-L")
        .arg("-f")
        .arg(&path)
        .env("TZ", "UTC"));
    text.lines().map(|line| line.trim().to_owned()).collect()
}

pub(super) fn has(lines: &[String], wanted: &str) {
    assert!(
        lines.iter().any(|line| line == wanted),
        "{wanted}: {lines:#?}"
    );
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn a_certificate_says_what_was_asked_for() {
    let authority = Authority::ed25519();
    let project = authority.project(
        "principals = ['deploy', 'backup']\nkey_id = 'night job'\nforce_command = '/bin/sync --all'\n\
         source_addresses = ['10.1.0.0/16', '2001:db8::1']\n\
         extensions = ['permit-pty', 'permit-port-forwarding', 'login@example.com=me']",
    );
    let held = minted(project.exec("x").await.unwrap());
    let lines = shown(&held);
    has(
        &lines,
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate",
    );
    has(&lines, "Key ID: \"night job\"");
    let (_, digits) = held.credential.id.rsplit_once('-').unwrap();
    let serial = u64::from_str_radix(digits, 16).unwrap();
    has(&lines, &format!("Serial: {serial}"));
    let now = project.clock.now();
    let valid = format!(
        "Valid: from {} to {}",
        (now - jiff::SignedDuration::from_secs(60)).strftime("%Y-%m-%dT%H:%M:%S"),
        (now + jiff::SignedDuration::from_mins(10)).strftime("%Y-%m-%dT%H:%M:%S"),
    );
    has(&lines, &valid);
    let from = |line: &str| {
        let start = lines.iter().position(|one| one == line).unwrap();
        lines[start + 1..].to_vec()
    };
    assert_eq!(from("Principals:")[..2], ["deploy", "backup"]);
    assert_eq!(
        from("Critical Options:")[..2],
        [
            "force-command /bin/sync --all",
            "source-address 10.1.0.0/16,2001:db8::1"
        ]
    );
    let extensions = from("Extensions:");
    assert!(
        extensions[0].starts_with("login@example.com"),
        "{extensions:?}"
    );
    assert_eq!(extensions[1..], ["permit-port-forwarding", "permit-pty"]);
    // The end is the certificate's, to the second.
    let end = held.credential.expires_at.unwrap();
    assert_eq!(end.as_second(), now.as_second() + 600);
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn authorities_of_every_kind_sign() {
    for (options, wanted) in [
        (["-t", "ed25519", "-b", "256"], "ssh-ed25519"),
        (["-t", "ecdsa", "-b", "256"], "ecdsa-sha2-nistp256"),
        (["-t", "ecdsa", "-b", "384"], "ecdsa-sha2-nistp384"),
        (["-t", "rsa", "-b", "3072"], "rsa-sha2-512"),
    ] {
        let authority = Authority::new(&options);
        let held = minted(
            authority
                .project("principals = ['a']")
                .exec("x")
                .await
                .unwrap(),
        );
        let fingerprint = run(Command::new("ssh-keygen")
            .arg("-lf")
            .arg(authority.public_key_file()));
        let fingerprint = fingerprint.split(' ').nth(1).unwrap();
        let lines = shown(&held);
        let signed = lines.iter().find(|line| line.starts_with("Signing CA:"));
        let signed = signed.unwrap();
        assert!(signed.contains(fingerprint), "{signed}");
        assert!(signed.ends_with(&format!("(using {wanted})")), "{signed}");
        has(&lines, "Key ID: \"fnox-exec-x\"");
        has(&lines, "permit-pty");
    }
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn the_key_in_hand_is_the_one_that_was_certified_and_each_is_new() {
    let authority = Authority::ed25519();
    let project = authority.project("principals = ['a']");
    let held = minted(project.exec("x").await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, value(&held, "FNOX_SSH_PRIVATE_KEY")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let fingerprint = run(Command::new("ssh-keygen").arg("-lf").arg(&path));
    let fingerprint = fingerprint.split(' ').nth(1).unwrap().to_owned();
    let public = shown(&held);
    let public = public.iter().find(|line| line.starts_with("Public key:"));
    assert!(public.unwrap().ends_with(&fingerprint), "{public:?}");

    assert_eq!(
        value(
            &cached(project.exec("x").await.unwrap()),
            "FNOX_SSH_PRIVATE_KEY"
        ),
        value(&held, "FNOX_SSH_PRIVATE_KEY")
    );
    let other = minted(project.create("x", |_| {}).await.unwrap());
    assert_ne!(
        value(&other, "FNOX_SSH_PRIVATE_KEY"),
        value(&held, "FNOX_SSH_PRIVATE_KEY")
    );
    for name in ["FNOX_SSH_CA_KEY", "SSH_AUTH_SOCK", "SSH_AGENT_PID"] {
        assert!(held.withhold.iter().any(|one| one == name), "{name}");
    }
}

/// The lease fails like that, with a word on what to do, and tells nothing of the key.
async fn fails(project: &Project, key: &str, wanted: &str) {
    let error = match project.exec("x").await {
        Err(error) => error,
        Ok(other) => panic!("{wanted}: {other:?}"),
    };
    let told = format!("{error} {error:?} {:?}", error.help());
    assert_eq!(
        error.exit_status(),
        ExitStatus::AuthenticationNeeded,
        "{told}"
    );
    assert!(told.contains(wanted), "{wanted}: {told}");
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
    // Lines of the key itself, not of its frame.
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!told.contains(line), "{told}");
    }
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn keys_that_cannot_sign_are_told_apart() {
    let protected = Authority::new(&["-t", "ed25519", "-N", "a passphrase"]);
    let pem = Authority::new(&["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    let short = Authority::new(&["-t", "rsa", "-b", "1024"]);
    let unknown = Authority::new(&["-t", "ecdsa", "-b", "521"]);
    let good = Authority::ed25519().key();
    let half = good.lines().take(3).collect::<Vec<&str>>().join("\n");
    for (key, wanted) in [
        (protected.key(), "protected by a passphrase"),
        (pem.key(), "no private key in OpenSSH's format"),
        (short.key(), "an RSA key of 1024 bits"),
        (unknown.key(), "ecdsa-sha2-nistp521"),
        (half, "no private key in OpenSSH's format"),
        (
            "anything at all".to_owned(),
            "no private key in OpenSSH's format",
        ),
    ] {
        let project = Project::with_env(&lease("principals = ['a']"), &[("FNOX_SSH_CA_KEY", &key)]);
        fails(&project, &key, wanted).await;
    }
    let missing = Project::new(&lease("principals = ['a']"));
    let skip = skipped(missing.exec("x").await.unwrap());
    assert!(skip.message.contains("FNOX_SSH_CA_KEY"), "{}", skip.message);
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn a_key_without_its_last_newline_or_with_those_of_another_system_is_read() {
    let key = Authority::ed25519().key();
    for key in [key.trim().to_owned(), key.replace('\n', "\r\n")] {
        let project = Project::with_env(&lease("principals = ['a']"), &[("FNOX_SSH_CA_KEY", &key)]);
        let outcome = project.exec("x").await;
        assert!(matches!(outcome, Ok(Acquired::Minted(_))), "{outcome:?}");
    }
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn a_key_file_is_read_if_nobody_else_may_and_is_a_part_of_who_signs() {
    let (one, other) = (Authority::ed25519(), Authority::ed25519());
    let path = one.key_file();
    let keys = format!("principals = ['a']\nca_key_file = '{}'", path.display());
    let project = Project::new(&lease(&keys));
    let held = minted(project.exec("x").await.unwrap());
    cached(project.exec("x").await.unwrap());

    // A certificate of an authority that is not the lease's any more is not handed out.
    std::fs::copy(other.key_file(), &path).unwrap();
    let replaced = minted(project.exec("x").await.unwrap());
    assert_ne!(held.credential.id, replaced.credential.id);

    let fresh = Project::new(&lease(&keys));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    fails(&fresh, &other.key(), "others may read it (mode 0640)").await;
    std::fs::remove_file(&path).unwrap();
    let skip = skipped(fresh.exec("x").await.unwrap());
    assert!(skip.message.contains("does not exist"), "{}", skip.message);
}

#[tokio::test]
#[ignore = "needs ssh-keygen"]
async fn no_file_of_the_project_has_the_authoritys_key() {
    let authority = Authority::ed25519();
    let project = authority.project("principals = ['a']");
    minted(project.exec("x").await.unwrap());
    let key = authority.key();
    let secret = key.lines().nth(2).unwrap().as_bytes();
    let mut folders = vec![project.root.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let content = std::fs::read(&path).unwrap();
            let found = content.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{}", path.display());
        }
    }
    assert!(files > 1, "{files}");
}
