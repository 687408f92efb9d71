//! The seeds of the fuzz targets, in the ordinary test run: what once was found stays found.

use std::path::{Path, PathBuf};

#[expect(
    unreachable_pub,
    reason = "the targets, where it is reachable, are another crate"
)]
#[path = "../../../../fuzz/bodies.rs"]
mod bodies;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

#[test]
fn every_seed_of_every_target_holds() {
    for (target, body) in bodies::BODIES {
        let mut count = 0;
        for seed in std::fs::read_dir(corpus().join(target)).unwrap() {
            let data = std::fs::read(seed.unwrap().path()).unwrap();
            body(&data);
            // What is cut off somewhere, and what has a byte too many.
            for end in (0..data.len()).step_by(data.len() / 50 + 1) {
                body(&data[..end]);
            }
            body(&[data.as_slice(), b"\0"].concat());
            count += 1;
        }
        assert!(count >= 5, "{target} has {count} seeds");
    }
}

#[test]
fn every_method_has_its_line_in_the_target() {
    for method in fnox_vault_wire::Method::ALL {
        let id = "01939b6e-7e1c-7c3a-9f5e-3a1d5f6b7c8d";
        let request = format!(
            r#"{{"id":"{id}","method":"{}","params":{{}}}}"#,
            method.name()
        );
        bodies::envelope(request.as_bytes());
    }
}

#[test]
fn every_folder_of_seeds_has_its_target() {
    for folder in std::fs::read_dir(corpus()).unwrap() {
        let name = folder.unwrap().file_name();
        let is_known = bodies::BODIES.iter().any(|(target, _)| *target == name);
        assert!(is_known, "{} has no target", name.display());
    }
}
