//! Leases that the daemon has minted anew before a command needs them.

use std::time::Duration;

use fnox_testkit::wait;
use serde_json::{Value, json};

use crate::daemon_support::World;

/// A lease of half a minute, whose credential says how often it was minted.
fn project(world: &World, daemon: &str) {
    let minted = world.sandbox.root().join("minted");
    let minted = minted.display();
    world.sandbox.write(
        "fnox.toml",
        format!(
            "[daemon]\n{daemon}\n[leases.short]\ntype = \"command\"\nduration = \"30s\"\ncreate_command = '''\n\
             echo x >> {minted}\n\
             printf '{{\"credentials\":{{\"TOKEN\":\"%s\"}},\"expires_at\":\"%s\"}}' \
             $(wc -l < {minted}) \"$(date -u -d '+30 seconds' +%Y-%m-%dT%H:%M:%SZ)\"'''\n"
        ),
    );
}

fn minted(world: &World) -> usize {
    let text = std::fs::read_to_string(world.sandbox.root().join("minted"));
    text.unwrap_or_default().lines().count()
}

#[test]
fn a_lease_that_was_used_is_there_when_it_is_needed_again() {
    let world = World::new();
    project(&world, "renew_leases = true");
    let run = ["exec", "--", "printenv", "TOKEN"];
    assert_eq!(world.ok(&run).stdout, "1\n");
    wait::until("it is minted anew", Duration::from_mins(2), || {
        minted(&world) == 2
    });
    // The command waits for nobody but for the one who is minting.
    assert_eq!(world.ok(&run).stdout, "2\n");
    let listed = world.ok(&["lease", "list", "--active", "--json"]).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(!listed.as_array().unwrap().is_empty(), "{listed}");
}

#[test]
fn nothing_is_told_unless_it_is_wanted() {
    let world = World::new();
    project(&world, "renew_leases = false");
    world.ok(&["exec", "--", "true"]);
    assert!(!world.socket().exists());
    project(&world, "renew_leases = true");
    world.ok(&["--no-daemon", "exec", "--", "true"]);
    assert!(!world.socket().exists());
    world.ok(&["exec", "--", "true"]);
    assert!(world.socket().exists());
    assert_eq!(minted(&world), 1);
    // What is not about to end is left alone.
    world.ok(&["lease", "renew-ahead", "short"]);
    assert_eq!(minted(&world), 1);
}

#[test]
fn a_client_has_no_say_in_how_a_renewal_runs() {
    let world = World::new();
    world.ok(&["daemon", "start"]);
    let renew = |key: &str, value: &Value| {
        let mut lease = json!({
            "folder": "/", "profiles": [], "no_defaults": false, "lease": "aws",
            "renew_at": 3_999_999_999_u32, "ends_at": 4_000_000_000_u32,
        });
        lease[key] = value.clone();
        let mut client = world.speak();
        client
            .ask(&json!({ "renew": { "leases": [lease] } }))
            .unwrap()
    };
    let noted = renew("profiles", &json!(["prod"]));
    assert_eq!(noted, json!({ "noted": { "count": 1 } }));
    for (key, value) in [
        ("variables", json!({ "PATH": "/tmp" })),
        ("arguments", json!(["exec", "--", "sh"])),
        ("lease", json!("")),
        ("profiles", json!(["--config=/tmp/fnox.toml"])),
        ("folder", json!("relative")),
    ] {
        let refused = renew(key, &value);
        assert_eq!(refused["error"]["code"], "malformed", "{key}");
    }
}
