//! `fnox agent run`: the value is nowhere in the program, also not in its memory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use fnox_testkit::Canary;
use fnox_testkit::wait::until;

use crate::agent_support::{Project, VALUE};

/// A program that sends its placeholder to what repeats it, keeps everything that it got, and waits to be looked at.
const PROGRAM: &str = r#"
import os, time, urllib.request
received = []
for path in ("/echo", "/reflect/a"):
    headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
    request = urllib.request.Request(os.environ["URL"] + path, headers=headers)
    with urllib.request.urlopen(request) as answer:
        received.append(str(answer.headers).encode() + answer.read())
with open("received", "wb") as file:
    file.write(b"".join(received))
with open("part", "w") as file:
    file.write(f"{os.getpid()} {os.getppid()}")
os.rename("part", "ready")
while not os.path.exists("go"):
    time.sleep(0.1)
"#;

/// Everything that a process can write to: its heap, stacks and data.
fn memory(process: &str) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let file = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut region = vec![0; usize::try_from(end - start).unwrap()];
        // What belongs to a device cannot be read.
        if file.read_exact_at(&mut region, start).is_ok() {
            all.append(&mut region);
        }
    }
    all
}

#[test]
fn the_value_is_nowhere_in_the_programs_memory_environment_and_files() {
    let project = Project::new("");
    let text = project.sandbox.read("fnox.toml");
    let declared = text.replace(&format!("{{ default = \"{VALUE}\" }}"), "{}");
    assert_ne!(declared, text);
    project.sandbox.write("fnox.toml", declared);
    project.sandbox.write("program.py", PROGRAM);
    let arguments = [
        "agent",
        "run",
        "--",
        "sh",
        "-c",
        "python3 program.py; exit $?",
    ];
    let run = project.sandbox.run(arguments);
    let mut run = run
        .env("URL", project.upstream.url(""))
        .env("TOKEN", VALUE)
        .start();
    let ready = project.sandbox.project().join("ready");
    until("the program's requests", Duration::from_mins(1), || {
        ready.exists() || !run.is_running()
    });
    assert!(ready.exists(), "{}", run.stderr_so_far());
    let processes = project.sandbox.read("ready");
    let processes: Vec<&str> = processes.split(' ').collect();
    let seen: Vec<(Vec<u8>, Vec<u8>)> = processes
        .iter()
        .map(|process| {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap();
            (memory(process), environment)
        })
        .collect();
    project.sandbox.write("go", "");
    let run = run.finish().succeeds();

    let environment = String::from_utf8_lossy(&seen[0].1).into_owned();
    let mut variables = environment.split('\0');
    let placeholder = variables.find_map(|it| it.strip_prefix("TOKEN=")).unwrap();
    let planted = Canary::new(VALUE);
    for (memory, environment) in &seen {
        let places = [("memory", memory.as_slice()), ("environment", environment)];
        planted.assert_absent(&places, &[]);
        let found = Canary::new(placeholder).sightings(&places, &[]);
        assert_eq!(found.len(), 2, "the placeholder is in both: {found:?}");
    }
    let output = [
        ("stdout", run.stdout.as_bytes()),
        ("stderr", run.stderr.as_bytes()),
    ];
    planted.assert_absent(&output, &[project.sandbox.root()]);
    let received = fs::read(project.sandbox.project().join("received")).unwrap();
    let came_back = Canary::new(placeholder).sightings(&[("received", &received)], &[]);
    assert_eq!(came_back.len(), 1);
    let bearer = format!("Bearer {VALUE}");
    let sent = project.upstream.received();
    assert_eq!(sent.len(), 2);
    assert!(
        sent.iter()
            .all(|one| one.header("authorization") == Some(&bearer))
    );
}
