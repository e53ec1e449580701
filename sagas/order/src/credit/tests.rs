//! The credit line's rules, given/when/then.

use event::given::{context, given};
use proptest::prelude::*;

use super::*;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const ORDER: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);

fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

fn opened() -> Vec<CreditEvent> {
    vec![CreditOpened { credit_id: ID, limit: dkk(100) }.into()]
}

fn reserve(order_id: Uuid, minor: i64) -> CreditCommand {
    CreditCommand::Reserve { order_id, amount: dkk(minor) }
}

fn reserved(minor: i64) -> Vec<CreditEvent> {
    let (order_id, amount, reserved) = (ORDER, dkk(minor), dkk(minor));
    [opened(), vec![CreditReserved { order_id, amount, reserved }.into()]].concat()
}

#[test]
fn an_order_reserves_within_the_limit_once() {
    given::<Credit>(opened()).when(reserve(ORDER, 100)).then_types(&["CreditReserved"]);
    given::<Credit>(opened()).when(reserve(ORDER, 101)).then_types(&["CreditRejected"]);
    given::<Credit>(reserved(60)).when(reserve(ORDER, 60)).then([]);
    given::<Credit>(reserved(60)).when(reserve(ORDER, 61)).then_refused(&CreditRefusal::NotReserved);
    given::<Credit>(reserved(60)).when(reserve(ID, 41)).then_types(&["CreditRejected"]);
    given::<Credit>(opened()).when(reserve(ORDER, 0)).then_refused(&CreditRefusal::AmountNotPositive);
    let euro = CreditCommand::Reserve { order_id: ORDER, amount: Money::new(1, Currency::EUR) };
    given::<Credit>(opened()).when(euro).then_refused(&CreditRefusal::OtherCurrency(Currency::DKK));
    given::<Credit>([]).when(reserve(ORDER, 1)).then_refused(&CreditRefusal::NotOpened);
}

#[test]
fn a_reservation_ends_once() {
    let (confirm, release) =
        (CreditCommand::Confirm { order_id: ORDER }, CreditCommand::Release { order_id: ORDER });
    for command in [confirm.clone(), release.clone()] {
        let credit = given::<Credit>(reserved(60)).when(command).state().unwrap();
        assert_eq!(credit.reserved, dkk(0));
        for again in [&confirm, &release] {
            let outcome = Credit::decide(Some(&credit), again.clone(), &context());
            assert_eq!(outcome, Err(CreditRefusal::NotReserved));
        }
    }
}

#[test]
fn a_limit_that_is_lowered_takes_nothing_back() {
    let lower = CreditCommand::ChangeLimit { limit: dkk(10) };
    let credit = given::<Credit>(reserved(60)).when(lower.clone()).state().unwrap();
    assert_eq!((credit.limit, credit.reserved), (dkk(10), dkk(60)));
    assert_eq!(Credit::decide(Some(&credit), lower, &context()), Ok(vec![]));
    let negative = CreditCommand::ChangeLimit { limit: dkk(-1) };
    given::<Credit>(opened()).when(negative).then_refused(&CreditRefusal::NegativeLimit);
}

proptest! {
    /// What is reserved is the sum of the orders that reserve, and was within the limit when each of them did.
    #[test]
    fn reserved_is_the_sum_of_what_orders_reserve(commands in proptest::collection::vec((0_u128..6, 1_i64..80, 0..4), 0..60)) {
        let mut credit = Credit::fold(None, &opened()).unwrap();
        for (n, minor, kind) in commands {
            let order_id = Uuid::from_u128(n);
            let command = match kind {
                0 => CreditCommand::Confirm { order_id },
                1 => CreditCommand::Release { order_id },
                2 => CreditCommand::ChangeLimit { limit: dkk(minor * 3) },
                _ => reserve(order_id, minor),
            };
            for event in Credit::decide(Some(&credit), command, &context()).unwrap_or_default() {
                let is_new = matches!(event, CreditEvent::CreditReserved(_));
                credit = Credit::evolve(Some(credit), &event).unwrap();
                let sum: i64 = credit.reservations.values().map(|amount| amount.minor()).sum();
                prop_assert_eq!(credit.reserved.minor(), sum);
                prop_assert!(!is_new || sum <= credit.limit.minor());
            }
        }
    }
}

#[test]
fn events_keep_their_shape() {
    let (order_id, amount, reserved) = (ORDER, dkk(60), dkk(60));
    let examples: [CreditEvent; 6] = [
        CreditOpened { credit_id: ID, limit: dkk(100) }.into(),
        LimitChanged { limit: dkk(200) }.into(),
        CreditReserved { order_id, amount, reserved }.into(),
        CreditRejected { order_id, amount, reserved }.into(),
        CreditConfirmed { order_id, amount, reserved }.into(),
        CreditReleased { order_id, amount, reserved }.into(),
    ];
    event::samples::check("samples/credit", &examples);
    event::samples::check_state::<Credit>("samples/credit_state", &examples[..3]);
}
