//! AWS tools behind the gateway: they sign with a placeholder, and their requests are signed anew.

use fnox_testkit::{Invocation, services};

use crate::lease_support::World;

/// A project whose agent may ask STS who it is, with the lease's session.
fn world() -> World {
    let world = World::with_secrets();
    let place = world.sts.url();
    let place = place.trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = place.split_once(':').unwrap();
    let proxy = format!(
        "[proxy]\nallow_private = [\"{place}\"]\n[[proxy.rules]]\nlease = \"aws\"\ndomain = \"{host}\"\nport = {port}\n\
         inject = \"aws-sigv4:sts\"\n"
    );
    world.configure(&format!(
        "{}{}{proxy}",
        world.secrets("alice"),
        world.lease("")
    ));
    world
}

fn agent(world: &World, script: &str) -> Invocation {
    world
        .sandbox
        .run(["agent", "run", "--", "sh", "-euc", script])
        .env("STS", world.sts.url())
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

#[test]
#[ignore = "needs the AWS CLI: ./scripts/test"]
fn the_aws_cli_is_the_role_and_never_sees_a_key() {
    let world = world();
    let aws = services::aws_cli();
    let script = format!(
        "{} sts get-caller-identity --endpoint-url $STS --output text; env",
        aws.display()
    );
    let run = agent(&world, &script).finish().succeeds();
    assert!(run.stdout.contains("assumed-role/"), "{}", run.stdout);
    assert!(
        run.stdout.contains("AWS_ACCESS_KEY_ID=AKIA"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("ASIA"), "{}", run.stdout);
    assert!(!run.stdout.contains("AWS_SESSION_TOKEN"), "{}", run.stdout);
}

#[test]
fn what_is_not_signed_with_the_placeholder_does_not_leave() {
    let world = world();
    let run = agent(
        &world,
        "curl -sS -i -d 'Action=GetCallerIdentity&Version=2011-06-15' $STS/ \
         -H 'Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-central-1/sts/aws4_request, SignedHeaders=host, Signature=00'",
    )
    .finish()
    .succeeds();
    assert!(!run.stdout.contains("<Arn>"), "{}", run.stdout);
}
