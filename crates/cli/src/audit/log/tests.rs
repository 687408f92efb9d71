use std::path::{Path, PathBuf};

use fnox_config::Folders;
use fnox_core::Env;
use fnox_core::audit::{Entry, Outcome};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Limits, Log, LogError, Stream, beside, files};

fn log(root: &Path) -> Log {
    limited(root, Limits::default())
}

fn limited(root: &Path, limits: Limits) -> Log {
    let env: Env = [("HOME", root.to_str().unwrap())].into_iter().collect();
    let folders = Folders::from_env(&env);
    Log::new(root.join("logs/audit.log"), &folders, limits)
}

/// A file is full after the first record.
fn one_each(root: &Path, keep: Option<u64>) -> Log {
    limited(root, Limits { max_size: 1, keep })
}

fn entry(secret: &str) -> Entry {
    let mut entry = Entry::new("secret_used", "exec", Outcome::Ok);
    entry.secret = Some(secret.to_owned());
    entry
}

async fn add(log: &Log, secret: &str) -> Result<(), LogError> {
    log.append(vec![entry(secret)], Timestamp::UNIX_EPOCH).await
}

async fn secrets(log: &Log) -> String {
    let records = log.records().await.unwrap();
    let names = records.into_iter().filter_map(|record| record.entry.secret);
    names.collect::<Vec<_>>().join(" ")
}

async fn is_intact(log: &Log) -> bool {
    log.verify().await.is_ok_and(|report| report.is_intact())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // With the permissions, which the key must have.
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_crash_left_is_taken_over_or_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    add(&log, "A").await.unwrap();
    let head = std::fs::read(beside(&log.path, "head")).unwrap();
    add(&log, "B").await.unwrap();
    // The record is there, the head is not yet.
    std::fs::write(beside(&log.path, "head"), &head).unwrap();
    assert!(is_intact(&log).await, "nobody has changed anything");
    let mut text = std::fs::read(&log.path).unwrap();
    text.extend_from_slice(b"{\"sequence\":3,\"ti");
    std::fs::write(&log.path, text).unwrap();
    add(&log, "C").await.unwrap();
    assert_eq!(secrets(&log).await, "A B C");
    assert!(is_intact(&log).await);
}

#[tokio::test]
async fn changes_are_noticed_and_nothing_is_appended_to_a_forged_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    for name in ["A", "B", "C"] {
        add(&log, name).await.unwrap();
    }
    let text = std::fs::read_to_string(&log.path).unwrap();
    std::fs::write(&log.path, text.replace("\"B\"", "\"X\"")).unwrap();
    assert!(!is_intact(&log).await);
    // The newest record is gone.
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&log.path, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    assert!(!is_intact(&log).await);
    let refused = add(&log, "D").await.unwrap_err().to_string();
    assert!(refused.contains("newest records were removed"), "{refused}");
    // A record that somebody without the key added.
    std::fs::write(&log.path, format!("{text}{}\n", lines[2])).unwrap();
    assert!(!is_intact(&log).await);
    let refused = add(&log, "D").await.unwrap_err().to_string();
    assert!(refused.contains("nobody with its key"), "{refused}");
    // Without its head it could have been cut off anywhere.
    std::fs::remove_file(beside(&log.path, "head")).unwrap();
    std::fs::write(&log.path, format!("{}\n", lines[0])).unwrap();
    let refused = add(&log, "D").await.unwrap_err().to_string();
    assert!(refused.contains("head was removed"), "{refused}");
    // A file of something else is left as it is.
    std::fs::write(&log.path, "precious\n").unwrap();
    add(&log, "D").await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&log.path).unwrap(), "precious\n");
}

#[tokio::test]
async fn a_log_whose_key_is_gone_goes_no_further_and_gets_no_other_one() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    add(&log, "A").await.unwrap();
    let elsewhere = folder.path().join("audit.key");
    std::fs::rename(&log.key, &elsewhere).unwrap();
    assert!(log.verify().await.is_err());
    add(&log, "B").await.unwrap_err();
    std::fs::rename(&elsewhere, &log.key).unwrap();
    assert!(is_intact(&log).await);
}

#[tokio::test]
async fn writers_at_once_leave_one_whole_chain_over_many_files() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        max_size: 2000,
        keep: None,
    };
    let tasks = (0..8).map(|number| {
        let log = limited(folder.path(), limits);
        tokio::spawn(async move {
            for _ in 0..5 {
                add(&log, &format!("S{number}")).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let log = limited(folder.path(), limits);
    assert_eq!(secrets(&log).await.split(' ').count(), 40);
    assert!(files::former(&log.path).unwrap().len() > 2);
    assert!(is_intact(&log).await);
}

#[tokio::test]
async fn a_full_file_is_set_aside_and_the_next_one_names_its_last_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = one_each(folder.path(), None);
    for name in ["A", "B", "C"] {
        add(&log, name).await.unwrap();
    }
    assert_eq!(secrets(&log).await, "A B C");
    assert!(is_intact(&log).await);
    let former = files::former(&log.path).unwrap();
    let numbers: Vec<u64> = former.iter().map(|former| former.last).collect();
    // A; continued, B; continued, C.
    assert_eq!(numbers, [1, 3]);
    let second = files::read(&former[1].path).unwrap();
    let first = files::read(&former[0].path).unwrap();
    let detail = second[0].entry.detail.as_ref().unwrap();
    assert!(detail.contains(&hex::encode(first[0].mac)), "{detail}");
}

#[tokio::test]
async fn files_are_given_up_by_number_and_only_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = one_each(folder.path(), Some(2));
    for name in ["A", "B", "C", "D", "E"] {
        add(&log, name).await.unwrap();
    }
    assert_eq!(secrets(&log).await, "C D E");
    assert!(is_intact(&log).await);
    // One that somebody takes away is missing for ever, however often the log goes on in new files.
    let oldest = files::former(&log.path).unwrap().remove(0);
    std::fs::remove_file(&oldest.path).unwrap();
    assert!(!is_intact(&log).await);
    let keeping = one_each(folder.path(), None);
    for name in ["F", "G", "H"] {
        add(&keeping, name).await.unwrap();
        assert!(!is_intact(&log).await);
    }
}

#[tokio::test]
async fn a_log_whose_newest_files_are_gone_goes_no_further() {
    let folder = tempfile::tempdir().unwrap();
    let log = one_each(folder.path(), None);
    for name in ["A", "B", "C"] {
        add(&log, name).await.unwrap();
    }
    std::fs::remove_file(&log.path).unwrap();
    assert!(!is_intact(&log).await);
    add(&log, "D").await.unwrap_err();
    // The file before it in its place.
    let newest = files::former(&log.path).unwrap().pop().unwrap();
    std::fs::rename(&newest.path, &log.path).unwrap();
    assert!(!is_intact(&log).await);
}

/// Each state that a process may leave that is killed while it begins a new file, and what the next one makes of it.
#[tokio::test]
async fn a_kill_between_any_two_steps_of_a_rotation_loses_nothing() {
    let before = tempfile::tempdir().unwrap();
    for name in ["A", "B", "C"] {
        add(&one_each(before.path(), Some(1)), name).await.unwrap();
    }
    let after = tempfile::tempdir().unwrap();
    copy(before.path(), after.path());
    add(&one_each(after.path(), Some(1)), "D").await.unwrap();
    let new = std::fs::read(&one_each(after.path(), None).path).unwrap();
    let head = beside(&one_each(after.path(), None).path, "head");
    let new_head = std::fs::read(head).unwrap();
    // The file is set aside, and so many bytes of the next one are written; `None`: it is not made yet.
    let written = std::iter::once(None).chain((0..=new.len()).step_by(7).map(Some));
    for written in written.chain([Some(new.len())]) {
        for has_head in [false, written == Some(new.len())] {
            let killed = tempfile::tempdir().unwrap();
            copy(before.path(), killed.path());
            let log = one_each(killed.path(), Some(1));
            std::fs::rename(&log.path, beside(&log.path, "000000000005")).unwrap();
            if let Some(length) = written {
                std::fs::write(&log.path, &new[..length]).unwrap();
            }
            if has_head {
                std::fs::write(beside(&log.path, "head"), &new_head).unwrap();
            }
            let what = format!("{written:?} {has_head}");
            assert!(is_intact(&log).await, "{what}");
            add(&log, "E").await.unwrap();
            let names = secrets(&log).await;
            assert!(names.ends_with(" E") || names == "E", "{what}: {names}");
            assert!(!names.contains('A'), "{what}: {names}");
            assert!(is_intact(&log).await, "{what}");
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_set_aside_takes_no_record_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let log = one_each(folder.path(), None);
    add(&log, "A").await.unwrap();
    // A folder is in the way of the name.
    std::fs::create_dir(beside(&log.path, "000000000001")).unwrap();
    add(&log, "B").await.unwrap_err();
    std::fs::remove_dir(beside(&log.path, "000000000001")).unwrap();
    assert_eq!(secrets(&log).await, "A");
    add(&log, "B").await.unwrap();
    assert_eq!(secrets(&log).await, "A B");
    assert!(is_intact(&log).await);
}

#[tokio::test]
async fn a_stream_and_others_write_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        max_size: 3000,
        keep: None,
    };
    let log = limited(folder.path(), limits);
    let streams = [Stream::new(log.clone()), Stream::new(log.clone())];
    for round in 0..20 {
        let both = streams.iter().map(|stream| stream.record(entry("S")));
        let written = futures_util::future::join_all(both).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        if round % 5 == 0 {
            add(&log, "L").await.unwrap();
        }
        // Also before the head knows.
        assert!(is_intact(&log).await, "{round}");
    }
    streams[0].finish().await.unwrap();
    drop(streams);
    add(&log, "L").await.unwrap();
    assert_eq!(secrets(&log).await.split(' ').count(), 45);
    assert!(is_intact(&log).await);
}

/// What is done to a log.
#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Stream(usize),
    Settle,
    /// The process ends without a word, and another one goes on.
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1_usize..4).prop_map(Step::Append),
        3 => (1_usize..6).prop_map(Step::Stream),
        1 => Just(Step::Settle),
        1 => Just(Step::Kill),
    ];
    vec(step, 1..20)
}

/// Does it, and answers with how many records there must be.
async fn carry_out(log: &Log, steps: &[Step]) -> usize {
    let mut stream = Stream::new(log.clone());
    let mut count = 0;
    for step in steps {
        match step {
            Step::Append(number) => {
                let entries = (0..*number).map(|_| entry("A")).collect();
                log.append(entries, Timestamp::UNIX_EPOCH).await.unwrap();
                count += number;
            }
            Step::Stream(number) => {
                let all = (0..*number).map(|_| stream.record(entry("S")));
                for written in futures_util::future::join_all(all).await {
                    written.unwrap();
                }
                count += number;
            }
            Step::Settle => stream.finish().await.unwrap(),
            Step::Kill => stream = Stream::new(log.clone()),
        }
    }
    count
}

fn files_of(log: &Log) -> Vec<PathBuf> {
    log.paths().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_chain_goes_on_over_all_files_whatever_is_done(
        steps in steps(),
        max_size in 1_u64..3000,
        keep in proptest::option::of(0_u64..3),
    ) {
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let log = limited(folder.path(), Limits { max_size, keep });
            let count = carry_out(&log, &steps).await;
            let records = log.records().await.unwrap();
            for pair in records.windows(2) {
                prop_assert_eq!(pair[0].sequence + 1, pair[1].sequence);
            }
            let found = records.iter().filter(|record| record.entry.secret.is_some()).count();
            if keep.is_none() {
                prop_assert_eq!(found, count);
            }
            let report = log.verify().await.unwrap();
            prop_assert!(report.is_intact(), "{:?}", report);
            Ok(())
        })?;
    }

    #[test]
    fn no_byte_of_any_file_can_be_changed_and_no_file_taken_away(
        steps in steps(),
        max_size in 1_u64..1500,
        place in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
    ) {
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let log = limited(folder.path(), Limits { max_size, keep: None });
            let count = carry_out(&log, &steps).await;
            if count == 0 {
                return Ok(());
            }
            // So that the head knows of everything.
            add(&log, "last").await.unwrap();
            let files = files_of(&log);
            let path = &files[place.index(files.len())];
            let before = std::fs::read(path).unwrap();
            let mut after = before.clone();
            let at = byte.index(after.len());
            after[at] ^= 1;
            std::fs::write(path, &after).unwrap();
            prop_assert!(!is_intact(&log).await, "byte {} of {}", at, path.display());
            std::fs::remove_file(path).unwrap();
            prop_assert!(!is_intact(&log).await, "without {}", path.display());
            std::fs::write(path, &before).unwrap();
            prop_assert!(is_intact(&log).await);
            Ok(())
        })?;
    }
}
