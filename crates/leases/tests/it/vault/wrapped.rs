//! Wrapped answers.

use fnox_core::ExitStatus;
use fnox_core::lease::LeaseState;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::vault::{Thief, Vault};

use super::{DATABASE, given, logging_in, no_complaints, paths, value};
use crate::support::minted;

fn wrapped() -> String {
    format!("{DATABASE}\nwrapped = true")
}

#[tokio::test]
async fn a_wrapped_answer_is_looked_at_and_unwrapped_once() {
    let vault = Issuer::start(Vault::new());
    let project = logging_in(&vault, &wrapped());
    let held = minted(project.exec("x").await.unwrap());
    assert!(value(&held, "DB_PASSWORD").starts_with("db-password"));
    assert_eq!(
        paths(&vault)[1..],
        [
            "GET database/creds/app",
            "POST sys/wrapping/lookup",
            "POST sys/wrapping/unwrap"
        ]
    );
    let asked = vault.requests().swap_remove(1);
    assert_eq!(asked.header("x-vault-wrap-ttl"), Some("60s"));
    no_complaints(&vault);
}

#[tokio::test]
async fn an_answer_that_somebody_else_read_or_wrote_is_an_alarm() {
    let vault = Issuer::start(Vault::new());
    for (thief, wanted) in [
        (Thief::Reads, "wrapping token is not valid"),
        (Thief::Replaces, "was created at `sys/wrapping/wrap`"),
    ] {
        vault.change(|vault| vault.thief = Some(thief));
        let project = given(&vault, &wrapped());
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Denied);
        let text = error.to_string();
        assert!(text.contains("somebody else may have read"), "{text}");
        assert!(text.contains(wanted), "{text}");
        assert!(
            error
                .help()
                .unwrap()
                .contains("lease revoke -prefix database/creds/app"),
            "{error}"
        );
        let records = project.manager().list().await.unwrap();
        assert_eq!(records[0].state, LeaseState::Pending);
        // Behind a login, what was read is worth nothing any more.
        let project = logging_in(&vault, &wrapped());
        project.exec("x").await.unwrap_err();
        assert_eq!(vault.change(|vault| vault.logins()), Vec::<String>::new());
        assert_eq!(project.manager().list().await.unwrap().len(), 0);
    }
    no_complaints(&vault);
}
