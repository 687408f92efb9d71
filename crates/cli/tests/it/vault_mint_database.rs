//! A vault that keeps its leases in PostgreSQL lends users of PostgreSQL: what the server itself says of them.

use std::time::Duration;

use fnox_core::Env;
use fnox_testkit::services::program;
use fnox_testkit::wait::until;
use serde_json::Value;

use crate::support;
use crate::team_races::postgres_database;
use crate::vault_mint_support::{access, id, lease, vault_in};

/// The cluster that `scripts/test` starts, and an administrator of users there.
struct Cluster {
    url: String,
    administrator: String,
    password: String,
    orders: String,
}

impl Cluster {
    fn new() -> Self {
        let env = Env::of_process();
        let url = env.var("FNOX_TEST_POSTGRES_URL");
        let number = std::process::id();
        let cluster = Self {
            url: url.expect("FNOX_TEST_POSTGRES_URL").to_owned(),
            administrator: format!("vault_admin_{number}"),
            password: format!("master-{number}"),
            orders: format!("vault_orders_{number}"),
        };
        let (name, orders) = (&cluster.administrator, &cluster.orders);
        cluster.ask(&format!(
            "CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{}'",
            cluster.password
        ));
        cluster.ask(&format!("GRANT pg_signal_backend TO {name}"));
        cluster.ask(&format!("CREATE DATABASE {orders} OWNER {name}"));
        cluster.ask(&format!("REVOKE CONNECT ON DATABASE {orders} FROM PUBLIC"));
        cluster
    }

    /// One statement as the superuser; its one value.
    #[track_caller]
    fn ask(&self, statement: &str) -> String {
        psql(&self.url, statement).expect(statement)
    }

    /// Until when a user's password is good, in seconds since 1970. `None`: there is no such user.
    fn valid_until(&self, user: &str) -> Option<i64> {
        let seconds = self.ask(&format!(
            "SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE rolname = '{user}'"
        ));
        (!seconds.is_empty()).then(|| seconds.parse().unwrap())
    }

    fn mint(&self) -> String {
        let (address, _) = self.url.rsplit_once('/').unwrap();
        let (_, port) = address.rsplit_once(':').unwrap();
        format!(
            "[mint.m-orders]\ntype = \"database\"\nengine = \"postgres\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             database = \"{}\"\nusername = \"{}\"\nduration = \"1h\"\n\
             grants = [\"GRANT CONNECT ON DATABASE {} TO {{{{ user }}}}\"]\n\
             masters = {{ FNOX_DATABASE_PASSWORD = \"orders-admin\" }}\n",
            self.orders, self.administrator, self.orders
        )
    }
}

fn psql(url: &str, statement: &str) -> Option<String> {
    let output = std::process::Command::new(program("psql"))
        .args([url, "--no-psqlrc", "--no-align", "--tuples-only", "--quiet"])
        .args(["--command", statement])
        .output()
        .expect("psql");
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| text.trim().to_owned())
}

fn expires_at(grant: &Value) -> i64 {
    let time = grant["expires_at"].as_str().unwrap();
    time.parse::<jiff::Timestamp>().unwrap().as_second()
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_user_of_postgresql_lives_longer_and_ends_with_its_lease() {
    let cluster = Cluster::new();
    let store = postgres_database("mint");
    let sandbox = support::sandbox().with_env("FNOX_VAULT_STORE", &store);
    let secrets = [("orders-admin", cluster.password.as_str())];
    let mut vault = vault_in(sandbox, &cluster.mint(), &secrets);
    let token = vault.token_for("coder-1");
    let grant = lease(&vault, &token, "m-orders", &["--ttl", "10m"]);
    let lease = id(&grant);
    let made = support::json(&access(&vault, &token, &lease));
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (user, url) = (text("DATABASE_USER"), text("DATABASE_URL"));
    assert_eq!(psql(&url, "SELECT current_user").as_ref(), Some(&user));
    let first = cluster.valid_until(&user).expect("a user");
    assert!(first <= expires_at(&grant) + 1, "no longer than the lease");
    assert!(
        first > expires_at(&grant) - 60,
        "and about as long: {first}"
    );

    let renew = ["lease", "renew", &lease, "--for", "20m"];
    let renewed = vault.json(&[&renew[..], &["--token-file", &token]].concat());
    assert!(expires_at(&renewed) > expires_at(&grant) + 300, "{renewed}");
    let second = cluster.valid_until(&user).expect("the same user");
    assert!(second <= expires_at(&renewed) + 1, "{second} {renewed}");
    assert!(second > first + 300, "renewed where it counts: {second}");
    let again = support::json(&access(&vault, &token, &lease));
    assert_eq!(again, made);
    assert_eq!(psql(&url, "SELECT 1").as_deref(), Some("1"));

    vault.ok(&["lease", "revoke", &lease, "--token-file", &token]);
    until("the user's end", Duration::from_secs(30), || {
        cluster.valid_until(&user).is_none()
    });
    assert_eq!(psql(&url, "SELECT 1"), None);
    let log = vault.ok(&["audit", "export"]);
    for event in [
        "credential_issued",
        "credential_renewed",
        "credential_withdrawn",
    ] {
        assert!(log.contains(event), "{event}: {log}");
    }
    assert!(!log.contains(&text("DATABASE_PASSWORD")));
    vault.ok(&["audit", "verify"]);
    vault.stop();
}
