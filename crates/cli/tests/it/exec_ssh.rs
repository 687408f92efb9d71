//! The SSH agent of a program, through `fnox exec`.

use std::os::unix::net::UnixListener;
use std::process::Command;

use fnox_testkit::{Run, Sandbox};

use crate::support::sandbox;

/// A project whose authority `ssh-keygen` made, and leases of these names with more keys.
fn project(leases: &[(&str, &str)]) -> Sandbox {
    let sandbox = sandbox();
    let key = sandbox.home().join("ca");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-t", "ed25519", "-C", "authority", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let tables: Vec<String> = leases
        .iter()
        .map(|(name, more)| {
            format!(
                "[leases.{name}]\ntype = \"ssh\"\nprincipals = [\"{name}\"]\nduration = \"10m\"\nca_key_file = \"{}\"\n{more}\n",
                key.display()
            )
        })
        .collect();
    sandbox.write("fnox.toml", tables.concat());
    sandbox
}

fn shell(sandbox: &Sandbox, script: &str) -> Run {
    sandbox
        .run(["exec", "--", "sh", "-c", script])
        .env("SSH_AUTH_SOCK", "/nonexistent/of-the-person")
        .env("SSH_AGENT_PID", "1")
        .finish()
}

#[test]
fn a_program_has_an_agent_with_one_certificate() {
    let sandbox = project(&[("deploy", "key_id = \"nightly\"")]);
    let script = "ssh-add -L > key.pub && ssh-add -T key.pub && ssh-keygen -L -f key.pub && echo $SSH_AUTH_SOCK";
    let run = shell(&sandbox, script).succeeds();
    let listed = sandbox.read("key.pub");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(
        listed.starts_with("ssh-ed25519-cert-v01@openssh.com "),
        "{listed}"
    );
    for wanted in ["Key ID: \"nightly\"", "                deploy"] {
        assert!(run.stdout.contains(wanted), "{run}");
    }
    let socket = run.stdout.lines().last().unwrap();
    assert!(socket.starts_with('/') && !socket.contains("of-the-person"));
    assert!(!std::path::Path::new(socket).exists(), "after the program");
}

#[test]
fn neither_the_persons_agent_nor_the_key_reaches_the_program() {
    let sandbox = project(&[("deploy", "")]);
    let run = shell(&sandbox, "env; ssh-add -D 2>&1; ssh-add $HOME/ca 2>&1").exits_with(1);
    assert!(!run.stdout.contains("of-the-person"), "{run}");
    assert!(!run.stdout.contains("SSH_AGENT_PID"), "{run}");
    assert!(!run.stdout.contains("FNOX_SSH_"), "{run}");
    assert!(run.stdout.contains("agent refused operation"), "{run}");
    assert!(!run.stdout.contains("Identity added"), "{run}");
}

#[test]
fn two_agents_are_an_error_unless_one_of_them_overrides() {
    let sandbox = project(&[("one", ""), ("two", "")]);
    let run = shell(&sandbox, "true").exits_with(3);
    assert!(
        run.stderr.contains("`one` and `two` make `SSH_AUTH_SOCK`"),
        "{run}"
    );
    let sandbox = project(&[("one", "override = true"), ("two", "")]);
    let run = shell(&sandbox, "ssh-add -L > key.pub; ssh-keygen -L -f key.pub").succeeds();
    assert!(run.stdout.contains("                one"), "{run}");
}

#[test]
fn the_agent_can_be_asked_for_by_its_variable() {
    let sandbox = project(&[("deploy", "")]);
    let only = ["exec", "--only", "SSH_AUTH_SOCK", "--", "ssh-add", "-l"];
    sandbox.run(only).finish().succeeds();
}

#[test]
fn a_program_without_such_a_lease_keeps_the_persons_agent() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[secrets]\n");
    let socket = sandbox.root().join("agent");
    let _listener = UnixListener::bind(&socket).unwrap();
    let run = sandbox
        .run(["exec", "--", "sh", "-c", "echo $SSH_AUTH_SOCK"])
        .env("SSH_AUTH_SOCK", &socket)
        .finish()
        .succeeds();
    assert_eq!(run.stdout.trim_end(), socket.to_str().unwrap());
}
