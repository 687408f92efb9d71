//! `fnox gateway serve`: what comes back to agents who did not send it.

use fnox_testkit::stand_in::Prepared;

use crate::gateway_support::{VALUE, World};
use crate::support;

#[test]
fn what_one_agent_used_is_a_placeholder_in_the_answer_to_another() {
    let world = World::new("");
    let kept = Prepared::new(200, format!("kept: {VALUE}"));
    world.upstream.prepare("/kept", kept);
    assert!(world.call(&world.placeholder()).contains(" 200"));
    let other = world.token_of("coder-2");
    let told = world.curl_as(&other, &["-sS", "http://gateway.fnox.invalid/session"]);
    let session = support::json(&told.finish().succeeds().stdout);
    let own = session["variables"]["API_TOKEN"].as_str().unwrap();
    assert_ne!(own, world.placeholder());
    let answer = world.curl_as(&other, &["-sS", &world.upstream.url("/kept")]);
    assert_eq!(answer.finish().succeeds().stdout, format!("kept: {own}"));
}
