//! When a cached credential is used, and what a cached credential spares.

use fnox_core::ExitStatus;
use fnox_testkit::stand_in::Sts;
use jiff::SignedDuration;

use crate::support::{Project, aws_lease, borrowed, cached, keys_of, minted};

fn with_secrets(sts: &Sts, more: &str) -> Project {
    let secrets = "[providers.p]\ntype = 'plain'\n[secrets]\n\
        AWS_ACCESS_KEY_ID = { provider = 'p', value = 'ref-1' }\n\
        AWS_SECRET_ACCESS_KEY = { provider = 'p', value = 'ref-2' }\n[profiles.prod]\n";
    let project = Project::new(&format!("{secrets}{}", aws_lease(sts, more)));
    project.masters.set(&borrowed(&keys_of(sts, "alice")));
    project
}

#[tokio::test]
async fn a_cached_lease_resolves_no_master_and_calls_nobody() {
    let sts = Sts::start();
    let project = with_secrets(&sts, "");
    let first = minted(project.exec("aws").await.unwrap());
    project.masters.fail(ExitStatus::AuthenticationNeeded);
    let second = cached(project.exec("aws").await.unwrap());
    assert_eq!(first.credential.id, second.credential.id);
    assert_eq!(first.credential.variables, second.credential.variables);
    assert_eq!(first.withhold, second.withhold);
    assert_eq!(
        (project.masters.times_asked(), sts.count("AssumeRole")),
        (1, 1)
    );
}

#[test]
fn a_cached_lease_needs_no_runtime_and_writes_nothing() {
    let sts = Sts::start();
    let project = with_secrets(&sts, "");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    minted(runtime.block_on(project.exec("aws")).unwrap());
    drop(runtime);
    let files = || -> Vec<_> {
        let mut all: Vec<_> = std::fs::read_dir(project.leases_folder())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path(), entry.metadata().unwrap().modified().unwrap())
            })
            .collect();
        all.sort();
        all
    };
    let before = files();
    let exec = std::pin::pin!(project.exec("aws"));
    let answer = futures_util::FutureExt::now_or_never(exec).expect("an answer without waiting");
    cached(answer.unwrap());
    assert_eq!(before, files());
}

#[tokio::test]
async fn a_failing_master_stops_the_run() {
    let sts = Sts::start();
    for status in [ExitStatus::AuthenticationNeeded, ExitStatus::Unavailable] {
        let project = with_secrets(&sts, "");
        project.masters.fail(status);
        let error = project.exec("aws").await.unwrap_err();
        assert_eq!(error.exit_status(), status);
        assert_eq!(error.help().as_deref(), Some("unlock it"));
    }
    assert_eq!(sts.calls().len(), 0);
}

#[tokio::test]
async fn another_role_profile_or_master_mints_anew() {
    let sts = Sts::start();
    let mut project = with_secrets(&sts, "");
    minted(project.exec("aws").await.unwrap());

    project.select(&["prod"]);
    minted(project.exec("aws").await.unwrap());
    project.select(&[]);
    cached(project.exec("aws").await.unwrap());

    let text = std::fs::read_to_string(project.root.join("project/fnox.toml")).unwrap();
    project.edit(&text.replace("ref-1", "ref-9"));
    minted(project.exec("aws").await.unwrap());
    project.edit(&text.replace("dev-role", "ops-role"));
    minted(project.exec("aws").await.unwrap());
    project.edit(&text.replace("'1h'", "'2h'"));
    cached(project.exec("aws").await.unwrap());
    assert_eq!(sts.count("AssumeRole"), 4);
}

#[tokio::test]
async fn other_keys_in_the_environment_mint_anew() {
    let sts = Sts::start();
    let (alice, bob) = (keys_of(&sts, "alice"), keys_of(&sts, "bob"));
    let mut project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&alice));
    minted(project.exec("aws").await.unwrap());
    project.set(&borrowed(&bob));
    minted(project.exec("aws").await.unwrap());
    project.set(&borrowed(&alice));
    cached(project.exec("aws").await.unwrap());
    assert_eq!(
        sts.calls()[1].access_key_id.as_deref(),
        Some(bob[0].1.as_str())
    );
}

#[tokio::test]
async fn a_lease_is_reused_until_five_minutes_before_its_end() {
    let sts = Sts::start();
    let project = with_secrets(&sts, "");
    minted(project.exec("aws").await.unwrap());
    project.clock.advance(SignedDuration::from_secs(3600 - 302));
    cached(project.exec("aws").await.unwrap());
    project.clock.advance(SignedDuration::from_secs(3));
    minted(project.exec("aws").await.unwrap());
}

#[tokio::test]
async fn create_always_mints_and_exec_takes_the_longest_life() {
    let sts = Sts::start();
    let project = with_secrets(&sts, "");
    minted(project.exec("aws").await.unwrap());
    let longest = minted(
        project
            .create("aws", |request| request.duration = "3h".parse().ok())
            .await
            .unwrap(),
    );
    minted(project.create("aws", |_| ()).await.unwrap());
    let used = cached(project.exec("aws").await.unwrap());
    assert_eq!(used.credential.id, longest.credential.id);
}

#[tokio::test]
async fn several_leases_are_minted_at_the_same_time() {
    let more = |name: &str| {
        format!(
            "[leases.{name}]\ntype='command'\ncreate_command='''\ntouch {name}; i=0\n\
            while [ ! -e a ] || [ ! -e b ]; do sleep 0.02; i=$((i+1)); [ $i -lt 500 ] || exit 9; done\n\
            echo '{{\"credentials\":{{\"{name}\":\"v\"}}}}' '''\n"
        )
    };
    let project = Project::new(&format!("{}{}", more("a"), more("b")));
    let requests = ["a", "b"]
        .map(|name| {
            let name: fnox_core::LeaseName = name.parse().unwrap();
            (name.clone(), fnox_leases::Acquire::for_exec(&name))
        })
        .to_vec();
    let manager = project.manager();
    for answer in manager.acquire_many(requests).await {
        minted(answer.unwrap());
    }
}
