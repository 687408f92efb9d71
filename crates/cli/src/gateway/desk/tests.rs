use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A counter with a lease of an hour that was minted at 0, and what ends it.
fn counter() -> (Counter, Ender) {
    let (ender, over) = Ender::new();
    let credential = Credential {
        variables: Vec::new(),
        expires_at: Some(at(3600)),
        id: "1".to_owned(),
        private: Vec::new(),
    };
    let lent = LentOut {
        created_at: at(0),
        loan: Arc::new(Loan {
            credential,
            ended: over,
        }),
        ender: ender.clone(),
        is_rejected: false,
    };
    let counter = Counter {
        lent: Some(lent),
        ..Counter::default()
    };
    (counter, ender)
}

#[test]
fn a_lease_that_is_nearly_over_is_made_anew_while_it_lasts() {
    let (mut counter, _) = counter();
    // Five minutes of an hour must be left (`renewal_margin`).
    assert!(matches!(counter.answer_at(at(3299)), Some(Ok(_))));
    assert!(counter.answer_at(at(3300)).is_none());
    assert!(counter.lent.as_ref().unwrap().lasts(at(3300)));
}

/// One that lives until somebody withdraws it.
fn held(name: &LeaseName, id: &str) -> Held {
    Held {
        lease: name.clone(),
        credential: Credential {
            variables: Vec::new(),
            expires_at: None,
            id: id.to_owned(),
            private: Vec::new(),
        },
        created_at: at(0),
        withhold: Vec::new(),
    }
}

#[test]
fn what_was_replaced_breaks_off_when_it_is_withdrawn_or_is_withdrawn_at_the_end() {
    let name = LeaseName::parse("api").unwrap();
    let (mut desk, _asking) = Desk::new(Arc::new(fnox_core::SystemClock), HashSet::new());
    let mut lend = |id: &str| {
        if let Some(lent) = desk.counters.get_mut(&name).and_then(|it| it.lent.as_mut()) {
            lent.is_rejected = true;
        }
        let (answer, mut answered) = oneshot::channel();
        assert!(desk.wait(name.clone(), answer).is_some(), "{id} is made");
        desk.answer(&name, Ok(held(&name, id)));
        answered.try_recv().unwrap().unwrap()
    };
    let (first, second) = (lend("1"), lend("2"));
    let mut minted = desk.minted();
    minted.sort();
    assert_eq!(minted, ["1", "2"]);
    desk.end_withdrawn(|id| id == "1");
    let refusal = first.ended.refusal().unwrap();
    assert_eq!(refusal.reason, Reason::Exhausted);
    assert!(second.ended.refusal().is_none());
    assert_eq!(desk.minted(), ["2"]);
}

#[test]
fn a_clock_that_is_set_forward_has_another_lease_made() {
    let (mut counter, _) = counter();
    assert!(matches!(counter.answer_at(at(60)), Some(Ok(_))));
    assert!(counter.answer_at(at(3601)).is_none());
}

#[test]
fn what_a_destination_did_not_accept_is_made_anew_but_not_for_each_request() {
    let (mut counter, _) = counter();
    counter.lent.as_mut().unwrap().reject(at(59));
    assert!(matches!(counter.answer_at(at(59)), Some(Ok(_))));
    counter.lent.as_mut().unwrap().reject(at(60));
    assert!(counter.answer_at(at(60)).is_none());
    // It works still where no other one is to be had.
    assert!(counter.lent.as_ref().unwrap().lasts(at(60)));
}

#[test]
fn a_clock_that_is_set_back_lends_nothing_whose_time_was_over() {
    let (mut counter, ender) = counter();
    let name = LeaseName::parse("api").unwrap();
    // As the clock that nobody sets has it.
    ender.end(over(&name, "is over"));
    assert!(counter.answer_at(at(-3600)).is_none());
    assert!(!counter.lent.as_ref().unwrap().lasts(at(-3600)));
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_again_that_was_withdrawn() {
    let (mut counter, _) = counter();
    let name = LeaseName::parse("api").unwrap();
    counter.withdraw(&name);
    for second in [60, -3600] {
        let answer = counter.answer_at(at(second));
        let refusal = answer.unwrap().unwrap_err();
        assert_eq!(refusal.reason, Reason::Exhausted);
    }
    assert!(counter.answer_at(at(3600)).is_none());
}
