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
    assert!(again.unwrap().is_open);
    given::<Case>([]).when(CaseCommand::Withdraw).then([]);
}

#[test]
fn another_reason_is_another_case() {
    let id = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
    assert_eq!(case_id(id, "one"), case_id(id, "one"));
    assert_ne!(case_id(id, "one"), case_id(id, "two"));
}

#[test]
fn events_keep_their_shape() {
    let examples: [CaseEvent; 3] = [raised(), CaseRaisedAgain {}.into(), CaseWithdrawn {}.into()];
    event::samples::check("samples/case", &examples);
}
