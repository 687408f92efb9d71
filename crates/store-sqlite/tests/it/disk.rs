//! Disks that are full, folders that cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fnox_vault::store::{AuditLog as _, LeaseStore as _, StoreError};
use fnox_vault_wire::LeaseId;

use crate::child;
use crate::support::{Place, grant, is_unavailable, lease, open, spend, verify};

/// A file system in memory of its own, if this user may mount one.
pub(crate) struct SmallDisk {
    pub(crate) place: Place,
}

impl SmallDisk {
    pub(crate) fn mount() -> Option<Self> {
        let place = Place::new();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"])
            .arg(place.folder.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self { place })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg(self.place.folder.path())
            .output();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_healed() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("no small disk can be mounted here; the limit on file sizes is tested instead");
        return;
    };
    let place = &disk.place;
    let ballast = place.beside("ballast");
    fs::write(&ballast, vec![0; 200 * 1024]).unwrap();
    let store = place.open().await;
    let mut granted: Vec<LeaseId> = Vec::new();
    let error = loop {
        let one = lease("a");
        match grant(&store, &one).await {
            Ok(()) => granted.push(one.id),
            Err(error) => break error,
        }
        assert!(granted.len() < 100_000, "the disk never was full");
    };
    let is_clear =
        matches!(&error, StoreError::NotWritten { problem, .. } if problem.contains("disk"));
    assert!(is_clear, "{error}");
    assert!(
        grant(&store, &lease("a")).await.is_err(),
        "it is still full"
    );
    // Reading still works, and what was answered is there.
    let head = store.head().await.unwrap().unwrap().sequence;
    assert_eq!(head, granted.len() as u64);
    fs::remove_file(&ballast).unwrap();
    let one = lease("a");
    grant(&store, &one).await.unwrap();
    granted.push(one.id);
    spend(&store, one.id).await.unwrap();
    assert!(verify(&store).await.is_intact());
    drop(store);
    let store = place.open().await;
    let report = verify(&store).await;
    assert!(report.is_intact(), "{:?}", report.flaws);
    assert_eq!(report.records, granted.len() as u64 + 1);
    for id in granted {
        assert!(store.lease(id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_limit_on_file_sizes_is_a_full_disk() {
    let place = Place::new();
    drop(place.open().await);
    // The limit makes writes fail with EFBIG once the signal that comes with it is ignored.
    let child = child::command("fill", &place.path());
    let program = child.get_program().to_owned();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""])
        .arg(program)
        .args(child.get_args())
        .envs(
            child
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("full "));
    let (_, told) = line.unwrap_or_else(|| panic!("{text}"));
    let (granted, rest) = told.split_once(' ').unwrap();
    assert!(rest.starts_with("true "), "{told}");
    let granted: u64 = granted.parse().unwrap();
    assert!(granted > 0);
    let store = place.open().await;
    let report = verify(&store).await;
    assert!(report.is_intact(), "{:?}", report.flaws);
    assert_eq!(report.records, granted);
    grant(&store, &lease("a")).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said() {
    let place = Place::new();
    drop(place.open().await);
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root but a file system that is read-only.
        let Some(disk) = SmallDisk::mount() else {
            return;
        };
        let place = &disk.place;
        drop(place.open().await);
        let remounted = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(place.folder.path())
            .output()
            .unwrap();
        assert!(remounted.status.success());
        let error = open(&place.path()).await.unwrap_err();
        assert!(is_unavailable(&error), "{error}");
        return;
    }
    let set = |mode| fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(mode));
    set(0o500).unwrap();
    let error = open(&place.path()).await.unwrap_err();
    set(0o700).unwrap();
    assert!(is_unavailable(&error), "{error}");
    open(&place.path()).await.unwrap();
}
