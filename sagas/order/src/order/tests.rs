//! The saga's rules: each command in each state.

use event::DomainEvent;
use event::given::{context, given};
use jiff::Timestamp;
use money::{Currency, Money};
use uuid::Uuid;

use super::*;
use crate::{CreditCommand, on_credit};

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const OTHER: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);
const PAUSE: SignedDuration = SignedDuration::from_secs(60);
const DAY: SignedDuration = SignedDuration::from_hours(24);
const STRAY: Deadline = Deadline { id: OTHER, due_at: Timestamp::UNIX_EPOCH };

fn placed() -> Placed {
    Placed {
        order_id: ID,
        credit_id: OTHER,
        from_account: ID,
        to_account: OTHER,
        amount: Money::new(12_500, Currency::DKK),
        reference: Some("basket 7".to_owned().into()),
        pay_by: Timestamp::UNIX_EPOCH + DAY,
    }
}

fn place(is_covered: bool) -> OrderCommand {
    OrderCommand::Place { placed: placed(), is_covered }
}

fn decided(events: &[OrderEvent], command: OrderCommand) -> Vec<OrderEvent> {
    let state = Order::fold(None, events);
    [events.to_vec(), Order::decide(state.as_ref(), command, &context()).unwrap()].concat()
}

const DUE: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };

fn waiting() -> Vec<OrderEvent> {
    let payment = PaymentScheduled { attempt: 1, deadline: DUE };
    vec![placed().into(), CreditReserved {}.into(), payment.into()]
}

fn pay(events: &[OrderEvent], payable: Result<(), &str>) -> OrderCommand {
    let deadline = Order::fold(None, events).unwrap().deadline.unwrap();
    OrderCommand::Pay { deadline, payable: payable.map_err(str::to_owned), retry_pause: PAUSE }
}

fn confirmed() -> Vec<OrderEvent> {
    decided(&waiting(), pay(&waiting(), Ok(())))
}

fn cancelled_by_customer() -> Vec<OrderEvent> {
    decided(&waiting(), OrderCommand::Cancel)
}

fn not_paid() -> Vec<OrderEvent> {
    let state = Order::fold(None, &waiting());
    let mut late = context();
    late.now = placed().pay_by;
    let given_up = Order::decide(state.as_ref(), pay(&waiting(), Err("no money")), &late).unwrap();
    [waiting(), given_up].concat()
}

/// What is new in each state; `-` is nothing, as it has been done, or is nobody's; `!` a refusal.
#[test]
#[rustfmt::skip]
fn each_command_in_each_state() {
    let states = [
        ("none", vec![]), ("waiting", waiting()), ("confirmed", confirmed()), ("rejected", decided(&[], place(false))),
        ("cancelled", cancelled_by_customer()), ("not paid", not_paid()),
    ];
    let pay = |deadline, payable: Result<(), &str>| OrderCommand::Pay { deadline, payable: payable.map_err(str::to_owned), retry_pause: PAUSE };
    let mut other = placed();
    other.reference = None;
    let rows: [(&str, OrderCommand, [&str; 6]); 7] = [
        ("place",       place(true),                                           ["Placed CreditReserved PaymentScheduled", "-", "-", "-", "-", "-"]),
        ("not covered", place(false),                                          ["Placed CreditRefused", "-", "-", "-", "-", "-"]),
        ("other",       OrderCommand::Place { placed: other, is_covered: true }, ["Placed CreditReserved PaymentScheduled", "!", "!", "!", "!", "!"]),
        ("payable",     pay(DUE, Ok(())),                                 ["!", "PaymentTaken Confirmed", "-", "-", "-", "-"]),
        ("no money",    pay(DUE, Err("no money")),                        ["!", "PaymentRefused PaymentScheduled", "-", "-", "-", "-"]),
        ("stray",       pay(STRAY, Ok(())),                                    ["!", "-", "-", "-", "-", "-"]),
        ("cancel",      OrderCommand::Cancel,                                  ["!", "Cancelled CreditReleased", "!", "!", "-", "!"]),
    ];
    for (what, command, expected) in rows {
        for ((state, history), expected) in states.iter().zip(expected) {
            let before = Order::fold(None, history);
            let found = match Order::decide(before.as_ref(), command.clone(), &context()) {
                Err(_) => "!".to_owned(),
                Ok(events) if events.is_empty() => "-".to_owned(),
                Ok(events) => events.iter().map(DomainEvent::event_type).collect::<Vec<_>>().join(" "),
            };
            assert_eq!(found, expected, "{what}, {state}");
        }
    }
}

#[test]
fn an_order_that_is_covered_is_to_be_paid_at_once() {
    let order = Order::fold(None, &decided(&[], place(true))).unwrap();
    assert_eq!(
        (order.status, order.deadline().unwrap().due_at),
        (Status::AwaitingPayment, Timestamp::UNIX_EPOCH)
    );
}

#[test]
fn payment_is_tried_until_its_day_and_then_given_up() {
    let refused = decided(&waiting(), pay(&waiting(), Err("no money")));
    let order = Order::fold(None, &refused).unwrap();
    assert_eq!((order.refusals, order.refusal.as_deref()), (1, Some("no money")));
    assert_eq!(order.deadline().unwrap().due_at, Timestamp::UNIX_EPOCH + PAUSE);
    // The last try is at the end of the time, not after it.
    let mut late = context();
    late.now = placed().pay_by - SignedDuration::from_secs(1);
    let state = Order::fold(None, &refused);
    let again = Order::decide(state.as_ref(), pay(&refused, Err("no money")), &late).unwrap();
    let last = Order::fold(state, &again).unwrap();
    assert_eq!(last.deadline().unwrap().due_at, placed().pay_by);
    assert_eq!(
        Order::fold(None, &not_paid()).unwrap().status,
        Status::Cancelled(CancelReason::NotPaidInTime)
    );
}

#[test]
fn the_pause_between_tries_doubles() {
    let mut events = waiting();
    let mut dues = Vec::new();
    for _ in 0..9 {
        events = decided(&events, pay(&events, Err("no money")));
        dues.push(Order::fold(None, &events).unwrap().deadline().unwrap().due_at.as_second() / 60);
    }
    assert_eq!(dues, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn an_order_is_given_up_by_whichever_clock_is_ahead_and_never_paid_days_later() {
    let at_the_end = Deadline { id: ID, due_at: placed().pay_by };
    let last = vec![
        placed().into(),
        CreditReserved {}.into(),
        PaymentScheduled { attempt: 2, deadline: at_the_end }.into(),
    ];
    let ended = |now, payable| {
        let mut then = context();
        then.now = now;
        let state = Order::fold(None, &last);
        let decided = Order::decide(state.as_ref(), pay(&last, payable), &then).unwrap();
        Order::fold(state, &decided).unwrap().status
    };
    let (before, after) = (placed().pay_by - SignedDuration::from_secs(2), placed().pay_by + DAY);
    let given_up = Status::Cancelled(CancelReason::NotPaidInTime);
    assert_eq!(ended(before, Err("no money")), given_up);
    assert_eq!(ended(before, Ok(())), Status::Confirmed);
    assert_eq!(ended(placed().pay_by, Ok(())), Status::Confirmed);
    assert_eq!(ended(after, Ok(())), given_up);
}

#[test]
fn what_waits_has_one_deadline_and_what_has_ended_has_none() {
    for (history, waits) in [
        (waiting(), true),
        (confirmed(), false),
        (decided(&[], place(false)), false),
        (cancelled_by_customer(), false),
        (not_paid(), false),
    ] {
        assert_eq!(Order::fold(None, &history).unwrap().deadline().is_some(), waits);
    }
}

#[test]
fn the_credit_line_is_told_once_how_it_ends() {
    let told = |history: Vec<OrderEvent>| {
        let commands = history.iter().filter_map(|event| on_credit(ID, event));
        commands.map(|command| matches!(command, CreditCommand::Confirm { .. })).collect::<Vec<_>>()
    };
    assert_eq!(told(waiting()), Vec::<bool>::new());
    assert_eq!(told(decided(&[], place(false))), Vec::<bool>::new());
    assert_eq!(told(confirmed()), [true]);
    assert_eq!(told(cancelled_by_customer()), [false]);
    assert_eq!(told(not_paid()), [false]);
    given::<Order>(confirmed()).when(OrderCommand::Cancel).then_refused(&OrderRefusal::HasEnded);
}

#[test]
fn events_keep_their_shape() {
    let (attempt, deadline_id, deadline) = (1, ID, STRAY);
    let examples: [OrderEvent; 9] = [
        placed().into(),
        CreditReserved {}.into(),
        CreditRefused {}.into(),
        PaymentScheduled { attempt, deadline }.into(),
        PaymentRefused { attempt, deadline_id, reason: "no money".to_owned() }.into(),
        PaymentTaken { attempt, deadline_id }.into(),
        Confirmed {}.into(),
        Cancelled { reason: CancelReason::NotPaidInTime }.into(),
        CreditReleased {}.into(),
    ];
    event::samples::check("samples/order", &examples);
}
