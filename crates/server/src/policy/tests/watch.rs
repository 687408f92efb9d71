//! A policy file that changes under a running server.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::policy::WatchedPolicy;

#[test]
fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, GITHUB_RULE).unwrap();
    let watched = WatchedPolicy::open(&path, &issuers()).unwrap();
    assert!(watched.reload_if_changed().is_none());
    let before = watched.current();
    std::fs::write(&path, "").unwrap();
    assert!(watched.reload_if_changed().unwrap().is_ok());
    assert!(watched.reload_if_changed().is_none());
    assert!(ask(&watched.current(), &github()).is_err());
    assert!(
        ask(&before, &github()).is_ok(),
        "a decision under way ends as it began"
    );
}

#[test]
fn a_broken_or_missing_file_keeps_the_policy_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, GITHUB_RULE).unwrap();
    let watched = WatchedPolicy::open(&path, &issuers()).unwrap();
    std::fs::write(&path, "[[rule]]\nissuer = ").unwrap();
    let error = watched
        .reload_if_changed()
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("{}:2:", path.display())),
        "{error}"
    );
    assert!(watched.reload_if_changed().is_none());
    assert!(ask(&watched.current(), &github()).is_ok());
    std::fs::remove_file(&path).unwrap();
    let error = watched
        .reload_if_changed()
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be read"), "{error}");
    assert!(watched.reload_if_changed().is_none());
    assert!(ask(&watched.current(), &github()).is_ok());
    std::fs::write(&path, GITHUB_RULE).unwrap();
    assert!(watched.reload_if_changed().unwrap().is_ok());
}

#[test]
fn a_file_that_replaces_another_of_the_same_size_and_time_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let other = folder.path().join("new");
    std::fs::write(&path, GITHUB_RULE).unwrap();
    std::fs::write(&other, GITHUB_RULE.replace("NPM_*", "AWS_*")).unwrap();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let handle = std::fs::File::options().write(true).open(&other).unwrap();
    handle.set_modified(modified).unwrap();
    let watched = WatchedPolicy::open(&path, &issuers()).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(watched.reload_if_changed().unwrap().is_ok());
    assert!(ask(&watched.current(), &github()).is_err());
}

#[test]
fn a_server_does_not_start_without_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let error = WatchedPolicy::open(&folder.path().join("none"), &issuers()).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(WatchedPolicy::open(&path, &issuers()).is_err());
}

#[test]
fn a_file_that_everybody_may_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let chmod = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).unwrap();
    };
    std::fs::write(&path, GITHUB_RULE).unwrap();
    chmod(0o666);
    let error = WatchedPolicy::open(&path, &issuers()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("everybody may write to it"), "{error}");
    chmod(0o664);
    let watched = WatchedPolicy::open(&path, &issuers()).unwrap();
    std::fs::write(&path, "").unwrap();
    chmod(0o646);
    let error = watched.reload_if_changed().unwrap().unwrap_err();
    assert!(error.to_string().contains("mode 0646"), "{error}");
    assert!(ask(&watched.current(), &github()).is_ok());
    chmod(0o644);
    assert!(watched.reload_if_changed().unwrap().is_ok());
    assert!(ask(&watched.current(), &github()).is_err());
}
