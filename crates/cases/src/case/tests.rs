//! The rules, given/when/then.

use event::given::given;
use money::Currency;

use super::*;

fn subject() -> Subject {
    let stream = "transfer-0198c1f2-0000-7000-8000-000000000001".parse().unwrap();
    Subject { stream, amount: Money::new(12_500, Currency::DKK) }
}

fn raise() -> CaseCommand {
    CaseCommand::Raise { subject: subject(), reason: "nobody has answered".to_owned() }
}

fn raised() -> CaseEvent {
    CaseRaised { subject: subject(), reason: "nobody has answered".to_owned() }.into()
}

#[test]
fn a_case_is_raised_once_withdrawn_once_and_raised_again() {
    given::<Case>([]).when(raise()).then([raised()]);
    given::<Case>([raised()]).when(raise()).then([]);
    given::<Case>([raised()]).when(CaseCommand::Withdraw).then([CaseWithdrawn {}.into()]);
    let withdrawn = || [raised(), CaseWithdrawn {}.into()];
    given::<Case>(withdrawn()).when(CaseCommand::Withdraw).then([]);
    let again = given::<Case>(withdrawn()).when(raise()).then([CaseRaisedAgain {}.into()]).state();
    assert!(again.unwrap().is_open());
    given::<Case>([]).when(CaseCommand::Withdraw).then([]);
}

fn resolved() -> CaseEvent {
    let correction_id = Some(Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002));
    CaseResolved { resolution: "the house has it".to_owned(), correction_id }.into()
}

#[test]
fn a_person_looks_after_it_and_resolves_it() {
    let resolve = || CaseCommand::Resolve { resolution: "done".to_owned(), correction_id: None };
    let reopen = || CaseCommand::Reopen { reason: "it is not".to_owned() };
    let assign = |to: Option<&str>| CaseCommand::Assign { to: to.map(str::to_owned) };
    let open = given::<Case>([raised()]);
    open.when(assign(Some("ada"))).then([CaseAssigned { to: Some("ada".to_owned()) }.into()]);
    given::<Case>([raised()]).when(assign(None)).then([]);
    given::<Case>([raised()]).when(resolve()).then_types(&["CaseResolved"]);
    given::<Case>([raised()]).when(reopen()).then_refused(&CaseRefusal::NotNow("open"));
    let ends = [("resolved", resolved()), ("withdrawn", CaseWithdrawn {}.into())];
    for (status, end) in ends {
        let ended = || [raised(), end.clone()];
        given::<Case>(ended()).when(resolve()).then_refused(&CaseRefusal::NotNow(status));
        given::<Case>(ended()).when(assign(Some("ada"))).then_refused(&CaseRefusal::NotNow(status));
        given::<Case>(ended()).when(CaseCommand::Note { note: "late".to_owned() }).then_types(&["CaseNoted"]);
        assert!(given::<Case>(ended()).when(reopen()).state().unwrap().is_open());
        // The saga's own reason comes and goes as before.
        given::<Case>(ended()).when(CaseCommand::Withdraw).then([]);
        given::<Case>(ended()).when(raise()).then([CaseRaisedAgain {}.into()]);
    }
    given::<Case>([]).when(resolve()).then_refused(&CaseRefusal::NotRaised);
}

#[test]
fn another_reason_is_another_case() {
    let id = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
    assert_eq!(case_id(id, "one"), case_id(id, "one"));
    assert_ne!(case_id(id, "one"), case_id(id, "two"));
}

#[test]
fn events_keep_their_shape() {
    let examples: [CaseEvent; 7] = [
        raised(),
        CaseRaisedAgain {}.into(),
        CaseWithdrawn {}.into(),
        CaseAssigned { to: Some("key:ada".to_owned()) }.into(),
        CaseNoted { note: "the house looks into it".to_owned() }.into(),
        resolved(),
        CaseReopened { reason: "it is not".to_owned() }.into(),
    ];
    event::samples::check("samples/case", &examples);
}
