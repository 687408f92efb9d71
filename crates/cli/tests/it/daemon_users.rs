//! Who else gets values from the daemon: shells, agents' tools, programs behind the gateway.

use serde_json::json;

use crate::daemon_support::{CONFIG, World};
use crate::mcp_support::Client;

/// What the hook of a shell without a session prints.
fn prompt(world: &World) -> serde_json::Value {
    let pid = std::process::id().to_string();
    let hook = ["hook-env", "-s", "xonsh", "--shell-pid", &pid];
    serde_json::from_str(&world.ok(&hook).stdout).unwrap()
}

#[test]
fn a_prompt_after_cd_asks_no_provider_for_what_is_kept() {
    let world = World::new();
    world.ok(&["trust"]);
    assert_eq!(prompt(&world)["set"]["A"], "value-of-a");
    assert_eq!((world.asked("a"), world.asked("b")), (1, 1));
    // Another shell, and a command, have the same surroundings.
    let second = prompt(&world);
    assert_eq!(second["set"]["B"], "value-of-b");
    assert_eq!(world.get("A"), "value-of-a");
    assert_eq!((world.asked("a"), world.asked("b")), (1, 1));

    // In a shell that has the values, and one that prints more and waits less, they are still the same values.
    let pid = std::process::id().to_string();
    let mut hook = world.run(&["hook-env", "-s", "xonsh", "--shell-pid", &pid]);
    for (name, value) in second["set"].as_object().unwrap() {
        hook = hook.env(name, value.as_str().unwrap());
    }
    let hook = hook.env("FNOX_SHELL_OUTPUT", "debug");
    let hook = hook.env("FNOX_SHELL_TIMEOUT", "20s");
    hook.env("FNOX_PROFILE", "default").finish().succeeds();
    assert_eq!((world.asked("a"), world.asked("b")), (1, 1));

    world.store("a", "changed");
    world.ok(&["daemon", "clear", "A"]);
    assert_eq!(prompt(&world)["set"]["A"], "changed");
    assert_eq!((world.asked("a"), world.asked("b")), (2, 1));
}

#[test]
fn a_prompt_without_the_daemon_asks_and_starts_none() {
    let world = World::new();
    world.ok(&["trust"]);
    let pid = std::process::id().to_string();
    for count in 1..3 {
        let hook = world.run(&["hook-env", "-s", "xonsh", "--shell-pid", &pid]);
        hook.env("FNOX_DAEMON", "off").finish().succeeds();
        assert_eq!(world.asked("a"), count);
    }
    assert!(!world.socket().exists());
}

#[test]
fn an_agents_tools_take_what_is_kept() {
    let world = World::new();
    let mcp = "[mcp]\ntools = [\"get_secret\"]\nsecrets = [\"A\", \"B\"]\n";
    world.sandbox.write("fnox.toml", format!("{mcp}{CONFIG}"));
    world.get("A");
    let mut client = Client::connect(world.run(&["mcp"]));
    for (name, value) in [
        ("A", "value-of-a"),
        ("B", "value-of-b"),
        ("B", "value-of-b"),
    ] {
        let (text, is_error) = client.tool("get_secret", &json!({ "name": name }));
        assert_eq!((text.as_str(), is_error), (value, false));
    }
    client.close();
    assert_eq!(world.get("B"), "value-of-b");
    assert_eq!((world.asked("a"), world.asked("b")), (1, 1));
}

#[test]
fn a_gateway_takes_what_is_kept_and_its_programs_nothing() {
    let world = World::new();
    let rule = "[[proxy.rules]]\nsecret = \"A\"\ndomain = \"api.example.com\"\n";
    world.sandbox.write("fnox.toml", format!("{CONFIG}{rule}"));
    for _ in 0..2 {
        let run = world.ok(&["agent", "run", "--", "env"]);
        assert!(run.stdout.contains("A="), "{run}");
        assert!(!run.stdout.contains("value-of-a"), "{run}");
    }
    assert_eq!(world.asked("a"), 1);
}
