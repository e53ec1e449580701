//! The saga's rules: each message in each state, and any order of messages together with the account.

use contract::card::{
    AuthorisationRequested, CaptureReceived, IncrementRequested, Merchant, RefundReceived, RequestUnanswered,
    ReversalReceived, StandInAdvised,
};
use event::DomainEvent;
use event::given::{context, given};
use jiff::Timestamp;
use ledger::{Account, AccountCommand, LedgerAccount, Posting, postings_balance};
use money::Currency;
use proptest::prelude::*;

use super::*;
use crate::authorisation_event::{
    Approved, BookedToSuspense, Captured, Declined, Expired, ForcePosted, IncrementDeclined, Incremented,
    OperatorAttentionRequired, Refunded, Reversed, StandInApplied, StandInDeclined, StandInNotHeld,
    VerdictWithdrawn,
};
use crate::{Card, on_account, standing_of, verdict_of};

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const CARD: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);
const ACCOUNT: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0003);
const HOLD: SignedDuration = SignedDuration::from_hours(168);
const DEADLINE: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };

fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

fn message(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn payment() -> CardPayment {
    let merchant = Merchant { name: "Bakery Lund".to_owned(), category_code: Some("5462".to_owned()) };
    CardPayment { authorisation_id: ID, network_id: "N7F3".to_owned(), card_id: CARD, merchant }
}

fn asked(n: u128, minor: i64, is_partial_allowed: bool) -> CardEvent {
    let (message_id, amount, answer_by) = (message(n), dkk(minor), Timestamp::UNIX_EPOCH);
    AuthorisationRequested { payment: payment(), message_id, amount, is_partial_allowed, answer_by }.into()
}

fn more(n: u128, minor: i64) -> CardEvent {
    let (message_id, amount, answer_by) = (message(n), dkk(minor), Timestamp::UNIX_EPOCH);
    IncrementRequested { payment: payment(), message_id, amount, answer_by }.into()
}

fn unanswered(n: u128) -> CardEvent {
    RequestUnanswered { payment: payment(), message_id: message(n) }.into()
}

/// For request `of`; 0: for none.
fn stand_in(n: u128, of: u128, minor: i64) -> CardEvent {
    let original_message_id = Some(message(of)).filter(|_| of > 0);
    let approved = dkk(minor);
    StandInAdvised { payment: payment(), message_id: message(n), original_message_id, approved }.into()
}

fn reversal(n: u128, of: u128, minor: i64) -> CardEvent {
    let (message_id, original_message_id, amount) = (message(n), message(of), dkk(minor));
    ReversalReceived { payment: payment(), message_id, original_message_id, amount }.into()
}

fn capture(n: u128, minor: i64, is_final: bool) -> CardEvent {
    CaptureReceived { payment: payment(), message_id: message(n), amount: dkk(minor), is_final }.into()
}

fn refund(n: u128, minor: i64) -> CardEvent {
    RefundReceived { payment: payment(), message_id: message(n), amount: dkk(minor) }.into()
}

fn standing(posted: i64, reserved: i64) -> Standing {
    let balances = Balances { posted: dkk(posted), reserved: dkk(reserved) };
    Standing { account_id: ACCOUNT, balances, is_blocked: false }
}

fn take(said: CardEvent, standing: Option<Standing>) -> AuthorisationCommand {
    AuthorisationCommand::Take { said: Box::new(said), standing, hold_for: HOLD }
}

/// What follows from messages, one after the other, where there is money for all of it.
fn history(said: impl IntoIterator<Item = CardEvent>) -> Vec<AuthorisationEvent> {
    let mut events = Vec::new();
    for said in said {
        let state = Authorisation::fold(None, &events);
        let held = state.as_ref().map_or(0, |authorisation| authorisation.held.minor());
        let command = take(said, Some(standing(1_000_000, held)));
        events.extend(Authorisation::decide(state.as_ref(), command, &context()).unwrap());
    }
    events
}

fn expired(mut events: Vec<AuthorisationEvent>) -> Vec<AuthorisationEvent> {
    let state = Authorisation::fold(None, &events).unwrap();
    let fired = AuthorisationCommand::FireDeadline(state.deadline.unwrap());
    events.extend(Authorisation::decide(Some(&state), fired, &context()).unwrap());
    events
}

fn approved() -> Vec<AuthorisationEvent> {
    history([asked(1, 100, false)])
}

const STATES: [&str; 10] = [
    "none",
    "opened",
    "approved",
    "declined",
    "withdrawn",
    "reversed",
    "expired",
    "captured",
    "force_posted",
    "refunded",
];

fn states() -> [Vec<AuthorisationEvent>; 10] {
    let declined = {
        let command = take(asked(1, 100, false), Some(standing(0, 0)));
        Authorisation::decide(None, command, &context()).unwrap()
    };
    [
        vec![],
        history([reversal(2, 1, 100)]),
        approved(),
        declined,
        history([asked(1, 100, false), unanswered(1)]),
        history([asked(1, 100, false), reversal(2, 1, 100)]),
        expired(approved()),
        history([asked(1, 100, false), capture(2, 100, true)]),
        history([capture(1, 100, true)]),
        history([refund(1, 100)]),
    ]
}

#[test]
fn each_state_is_the_one_that_it_is_called() {
    for (name, events) in STATES.into_iter().zip(states()) {
        let status = Authorisation::fold(None, &events).map(|state| state.status.name());
        assert_eq!(status.unwrap_or("none"), name);
    }
}

/// What is new in each state; `-` is nothing, as it has been done, or is nobody's; `!` a refusal.
#[test]
#[rustfmt::skip]
fn each_message_in_each_state() {
    let there = Some(standing(1_000, 0));
    let fire = AuthorisationCommand::FireDeadline(DEADLINE);
    let rows: [(&str, AuthorisationCommand, [&str; 10]); 12] = [
        ("asked",      take(asked(7, 50, false), there),  ["Opened Approved", "Approved", "Declined", "Approved", "Approved", "Approved", "Declined", "Declined", "Declined", "Approved"]),
        ("too much",   take(asked(7, 2_000, false), there), ["Opened Declined", "Declined", "Declined", "Declined", "Declined", "Declined", "Declined", "Declined", "Declined", "Declined"]),
        ("given up",   take(asked(1, 100, false), there), ["Opened Approved", "Declined", "-", "-", "-", "-", "-", "-", "-", "-"]),
        ("more",       take(more(7, 50), there),          ["Opened IncrementDeclined", "IncrementDeclined", "Incremented", "IncrementDeclined", "IncrementDeclined", "IncrementDeclined", "IncrementDeclined", "IncrementDeclined", "IncrementDeclined", "IncrementDeclined"]),
        ("unanswered", take(unanswered(1), there),        ["!", "-", "VerdictWithdrawn", "-", "-", "VerdictWithdrawn", "VerdictWithdrawn", "VerdictWithdrawn", "-", "-"]),
        ("stand-in",   take(stand_in(7, 1, 50), there),   ["Opened StandInApplied", "StandInApplied", "StandInApplied", "StandInApplied", "StandInApplied", "StandInApplied", "StandInApplied", "StandInApplied", "StandInApplied", "StandInApplied"]),
        ("stand-in 0", take(stand_in(7, 1, 0), there),    ["Opened StandInDeclined", "StandInDeclined", "StandInDeclined", "StandInDeclined", "StandInDeclined", "StandInDeclined", "StandInDeclined", "StandInDeclined", "StandInDeclined", "StandInDeclined"]),
        ("reversal",   take(reversal(7, 1, 50), there),   ["Opened Reversed", "Reversed", "Reversed", "Reversed", "Reversed", "Reversed", "Reversed", "Reversed", "Reversed", "Reversed"]),
        ("capture",    take(capture(7, 50, false), there), ["Opened ForcePosted", "ForcePosted", "Captured", "ForcePosted", "ForcePosted", "ForcePosted", "Captured", "Captured", "ForcePosted", "ForcePosted"]),
        ("refund",     take(refund(7, 50), there),        ["Opened Refunded", "Refunded", "Refunded", "Refunded", "Refunded", "Refunded", "Refunded", "Refunded", "Refunded", "Refunded"]),
        ("no card",    take(capture(7, 50, true), None),  ["Opened BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired", "BookedToSuspense OperatorAttentionRequired"]),
        ("old fire",   fire,                              ["!", "-", "-", "-", "-", "-", "-", "-", "-", "-"]),
    ];
    for (what, command, expected) in rows {
        for ((state, history), expected) in STATES.into_iter().zip(states()).zip(expected) {
            let state_before = Authorisation::fold(None, &history);
            let found = match Authorisation::decide(state_before.as_ref(), command.clone(), &context()) {
                Err(_) => "!".to_owned(),
                Ok(events) if events.is_empty() => "-".to_owned(),
                Ok(events) => {
                    // The same again is done already.
                    let after = Authorisation::fold(state_before, &events);
                    let again = Authorisation::decide(after.as_ref(), command.clone(), &context());
                    assert_eq!(again, Ok(vec![]), "{what} twice, {state}");
                    events.iter().map(DomainEvent::event_type).collect::<Vec<_>>().join(" ")
                }
            };
            assert_eq!(found, expected, "{what}, {state}");
        }
    }
}

#[test]
fn a_request_is_declined_for_the_reason_that_there_is() {
    let euro = |mut standing: Standing| {
        let zero = Money::zero(Currency::EUR);
        standing.balances = Balances { posted: zero, reserved: zero };
        standing
    };
    let blocked = Standing { is_blocked: true, ..standing(100, 0) };
    for (amount, standing, code) in [
        (10, None, "14"),
        (10, Some(blocked), "62"),
        (0, Some(standing(100, 0)), "13"),
        (10, Some(euro(standing(0, 0))), "57"),
        (101, Some(standing(100, 0)), "51"),
        (41, Some(standing(100, 60)), "51"),
        (1, Some(standing(100, 150)), "51"),
    ] {
        let declined = Declined { message_id: message(1), response_code: code.to_owned() };
        let opened = Opened { payment: payment(), currency: Currency::DKK };
        given::<Authorisation>([])
            .when(take(asked(1, amount, false), standing))
            .then([opened.into(), declined.into()]);
    }
}

#[test]
fn a_part_is_approved_where_that_is_allowed() {
    let ask = |is_allowed, standing| {
        given::<Authorisation>([]).when(take(asked(1, 100, is_allowed), Some(standing))).state().unwrap()
    };
    assert_eq!(ask(true, standing(100, 40)).held, dkk(60));
    assert_eq!(ask(true, standing(100, 100)).status.name(), "declined");
    assert_eq!(ask(false, standing(100, 40)).status.name(), "declined");
    // An increment is approved as a whole, or not at all.
    let outcome = given::<Authorisation>(approved()).when(take(more(2, 50), Some(standing(149, 100))));
    assert_eq!(outcome.state().unwrap().held, dkk(100));
}

#[test]
fn what_the_network_decides_stands_in_place_of_our_word() {
    let state = |said: Vec<CardEvent>| Authorisation::fold(None, &history(said)).unwrap();
    // Our verdict comes too late, the network has approved more, or less, before or after it says so.
    let late = state(vec![asked(1, 100, false), unanswered(1), stand_in(2, 1, 80)]);
    assert_eq!((late.status.name(), late.held), ("approved", dkk(80)));
    let overtaken = state(vec![asked(1, 100, false), stand_in(2, 1, 80), unanswered(1)]);
    assert_eq!((overtaken.status.name(), overtaken.held), ("approved", dkk(80)));
    let declined = state(vec![asked(1, 100, false), stand_in(2, 1, 0)]);
    assert_eq!((declined.status.name(), declined.held), ("declined", dkk(0)));
    // What was approved since stays so.
    let both = state(vec![asked(1, 100, false), more(3, 50), stand_in(2, 1, 100)]);
    assert_eq!((both.held, both.approved), (dkk(150), dkk(150)));
    let increment = state(vec![asked(1, 100, false), self::more(3, 50), stand_in(2, 3, 0)]);
    assert_eq!(increment.held, dkk(100));
    // What was collected or reversed before we hear of it is not held once more.
    assert_eq!(state(vec![capture(1, 50, false), stand_in(2, 0, 80)]).held, dkk(30));
    assert_eq!(state(vec![capture(1, 50, true), stand_in(2, 0, 80)]).held, dkk(0));
    assert_eq!(state(vec![reversal(1, 3, 80), stand_in(2, 3, 80)]).status.name(), "reversed");
    assert_eq!(state(vec![capture(1, 30, false), asked(2, 100, false)]).held, dkk(70));
    // There need not be money.
    let forced = given::<Authorisation>([]).when(take(stand_in(1, 0, 80), Some(standing(10, 0))));
    assert_eq!(forced.state().unwrap().held, dkk(80));
    let nowhere = given::<Authorisation>([]).when(take(stand_in(1, 0, 80), None));
    nowhere.then_types(&["Opened", "StandInNotHeld", "OperatorAttentionRequired"]);
}

#[test]
fn a_reversal_frees_what_is_held_for_its_own_request_and_no_more() {
    let state = |said: Vec<CardEvent>| Authorisation::fold(None, &history(said)).unwrap();
    // Of an increment that nobody has answered, or that was declined.
    let withdrawn = state(vec![asked(1, 100, false), more(2, 50), unanswered(2), reversal(3, 2, 50)]);
    assert_eq!(withdrawn.held, dkk(100));
    assert_eq!(state(vec![asked(1, 100, false), reversal(3, 2, 50)]).held, dkk(100));
    assert_eq!(state(vec![asked(1, 100, false), more(2, 50), reversal(3, 2, 90)]).held, dkk(100));
    // Before its request: all of it, or a part.
    let declined = state(vec![reversal(3, 1, 100), asked(1, 100, false)]);
    assert_eq!(declined.status.name(), "declined");
    let part = state(vec![reversal(3, 1, 30), asked(1, 100, false)]);
    assert_eq!((part.held, part.approved), (dkk(70), dkk(70)));
    assert_eq!(state(vec![asked(1, 100, false), reversal(3, 1, 30)]).held, dkk(70));
}

#[test]
fn what_has_expired_is_not_taken_off_what_is_approved_later() {
    let next = |events: Vec<AuthorisationEvent>, said: CardEvent| {
        let state = Authorisation::fold(None, &events);
        let held = state.as_ref().unwrap().held.minor();
        let decided =
            Authorisation::decide(state.as_ref(), take(said, Some(standing(1_000, held))), &context());
        [events, decided.unwrap()].concat()
    };
    let held = |events: &[AuthorisationEvent]| Authorisation::fold(None, events).unwrap().held;
    for after in [reversal(3, 1, 100), unanswered(1), stand_in(3, 1, 0)] {
        let over = next(expired(approved()), after);
        assert_eq!(held(&next(over, stand_in(4, 2, 50))), dkk(50));
    }
    let both = expired(history([asked(1, 100, false), more(2, 50)]));
    assert_eq!(held(&next(next(both, reversal(3, 2, 50)), stand_in(4, 5, 80))), dkk(80));
    // What has lapsed, and is collected all the same, is collected once.
    let collected = next(expired(approved()), capture(3, 60, false));
    assert_eq!(held(&next(collected, stand_in(4, 2, 50))), dkk(50));
}

#[test]
fn a_request_whose_capture_overtook_it_is_approved_and_holds_nothing() {
    let late = Authorisation::fold(None, &history([capture(1, 100, false), asked(2, 100, false)])).unwrap();
    assert_eq!((late.status.name(), late.held, late.captured), ("captured", dkk(0), dkk(100)));
}

#[test]
fn what_the_network_was_told_nobody_decides_is_not_approved_afterwards() {
    let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
    let ask = |seconds| {
        given::<Authorisation>([]).at(at(seconds)).when(take(asked(1, 50, false), Some(standing(100, 0))))
    };
    assert_eq!(ask(1).state().unwrap().status.name(), "approved");
    let late = ask(2).state().unwrap();
    assert_eq!(late.status, Status::Declined { response_code: "91".to_owned() });
    let increment =
        given::<Authorisation>(approved()).at(at(2)).when(take(more(2, 50), Some(standing(1_000, 100))));
    increment.then_types(&["IncrementDeclined"]);
}

#[test]
fn what_belongs_to_another_account_or_currency_is_apart() {
    let other = Standing { account_id: ID, ..standing(1_000, 0) };
    let amount = Money::new(5, Currency::EUR);
    let euro: CardEvent =
        CaptureReceived { payment: payment(), message_id: message(9), amount, is_final: true }.into();
    for command in [take(capture(9, 5, true), Some(other)), take(euro, Some(standing(1_000, 100)))] {
        let decided = given::<Authorisation>(approved()).when(command);
        let state = decided.then_types(&["BookedToSuspense", "OperatorAttentionRequired"]).state().unwrap();
        assert_eq!((state.held, state.captured), (dkk(100), dkk(0)));
    }
    let refused = given::<Authorisation>(approved()).when(take(asked(9, 5, false), Some(other)));
    refused.then_types(&["Declined"]);
    for back in [reversal(9, 1, 5), stand_in(9, 1, 0)] {
        let apart = given::<Authorisation>(approved()).when(take(back, Some(other)));
        assert_eq!(apart.then_types(&["OperatorAttentionRequired"]).state().unwrap().held, dkk(100));
    }
}

#[test]
fn it_is_collected_in_parts_beyond_what_was_approved_and_after_it_has_expired() {
    let state = |said: Vec<CardEvent>| Authorisation::fold(None, &history(said)).unwrap();
    let parts = state(vec![asked(1, 100, false), capture(2, 30, false), capture(3, 30, false)]);
    assert_eq!((parts.status.name(), parts.held, parts.captured), ("approved", dkk(40), dkk(60)));
    let last = state(vec![asked(1, 100, false), capture(2, 30, false), capture(3, 30, true)]);
    assert_eq!((last.status.name(), last.held, last.captured), ("captured", dkk(0), dkk(60)));
    let beyond = state(vec![asked(1, 100, false), more(2, 20), capture(3, 150, true)]);
    assert_eq!((beyond.status.name(), beyond.held, beyond.captured), ("captured", dkk(0), dkk(150)));
    let late = take(capture(2, 100, true), Some(standing(10, 0)));
    let late = given::<Authorisation>(expired(approved())).when(late).state().unwrap();
    assert_eq!((late.status.name(), late.captured), ("captured", dkk(100)));
    assert!(late.deadline().is_none());
}

fn any_message() -> impl Strategy<Value = CardEvent> {
    (0_u128..12, 1_i64..120, 0..7, any::<bool>()).prop_map(|(n, minor, kind, flag)| {
        // One message id is one message: what it says follows from it.
        let minor = minor.rem_euclid(40) + i64::try_from(n).unwrap() * 10;
        // A request that the network may mean, or one that it never made.
        let of = [100, 101, 200, 201, 300, 0][usize::try_from(n % 6).unwrap()];
        match kind {
            0 => asked(100 + n % 2, 60 + i64::try_from(n % 2).unwrap(), n % 2 == 0),
            1 => more(200 + n, minor),
            2 => unanswered(of),
            3 => stand_in(300 + n, of, if flag { minor } else { 0 }),
            4 => reversal(400 + n, of, minor),
            5 => capture(500 + n, 10 + i64::try_from(n).unwrap(), n % 3 == 0),
            _ => refund(600 + n, 10 + i64::try_from(n).unwrap()),
        }
    })
}

proptest! {
    /// Whatever the network says, in any order and as often as it likes: the account holds what the saga says is held, each
    /// capture and refund is booked once, and nothing that we decide makes negative what can be spent.
    #[test]
    fn the_account_follows_the_saga(said in proptest::collection::vec(proptest::option::weighted(0.95, any_message()), 1..25), funds in 0_i64..300) {
        let card = Card { id: CARD, account_id: ACCOUNT, is_blocked: false };
        let open = AccountCommand::Open { id: ACCOUNT, customer_id: None, owner_name: "Ada Lund".to_owned().into(), currency: Currency::DKK };
        let mut account = Account::fold(None, &Account::decide(None, open, &context()).unwrap()).unwrap();
        if funds > 0 {
            let deposit = AccountCommand::Deposit { deposit_id: ID, amount: dkk(funds) };
            account = Account::fold(Some(account.clone()), &Account::decide(Some(&account), deposit, &context()).unwrap()).unwrap();
        }
        let mut state: Option<Authorisation> = None;
        let mut moved = BTreeMap::new();
        for said in said {
            match &said {
                Some(CardEvent::CaptureReceived(event)) => { moved.insert(event.message_id, -event.amount.minor()); }
                Some(CardEvent::RefundReceived(event)) => { moved.insert(event.message_id, event.amount.minor()); }
                _ => {}
            }
            // None: the hold expires, if there is one.
            let command = match (said, state.as_ref().and_then(Authorisation::deadline)) {
                (Some(said), _) => take(said, Some(standing_of(&card, &account))),
                (None, Some(deadline)) => AuthorisationCommand::FireDeadline(deadline),
                (None, None) => continue,
            };
            let Ok(events) = Authorisation::decide(state.as_ref(), command, &context()) else { continue };
            for event in &events {
                let Some((id, command)) = on_account(ID, event) else { continue };
                prop_assert_eq!(id, ACCOUNT);
                let before = account.balances.available().unwrap().minor();
                let is_ours = matches!(event, AuthorisationEvent::Approved(_) | AuthorisationEvent::Incremented(_));
                let done = Account::decide(Some(&account), command, &context());
                prop_assert!(done.is_ok(), "{:?} refused: {:?}", event, done);
                for done in done.unwrap() {
                    prop_assert!(postings_balance(done.postings()));
                    account = Account::evolve(Some(account), &done).unwrap();
                }
                let after = account.balances.available().unwrap().minor();
                // What was collected before it came is approved even of an account in debt: it takes nothing.
                prop_assert!(!is_ours || after == before || (0..=before).contains(&after));
            }
            state = Authorisation::fold(state, &events);
            let state = state.as_ref().unwrap();
            prop_assert_eq!(state.held, account.balances.reserved);
            prop_assert_eq!(state.held, state.outstanding());
            prop_assert_eq!(state.held.is_positive(), state.deadline().is_some());
            let expected: i64 = funds + moved.values().sum::<i64>();
            prop_assert_eq!(account.balances.posted.minor(), expected);
            prop_assert_eq!(state.refunded.minor() - state.captured.minor(), expected - funds);
        }
    }
}

#[test]
fn the_adapter_is_told_the_verdict_and_nothing_else() {
    let told = |event: &AuthorisationEvent| verdict_of(ID, event).map(|event| event.event_type());
    assert_eq!(told(&approved()[1]), Some("RequestApproved"));
    assert_eq!(
        told(&Declined { message_id: ID, response_code: "51".to_owned() }.into()),
        Some("RequestDeclined")
    );
    for event in history([capture(1, 5, true), stand_in(2, 0, 7), reversal(3, 2, 1), refund(4, 1)]) {
        assert_eq!(told(&event), None, "{event:?}");
    }
}

#[test]
fn the_contract_holds_what_is_relied_on() {
    contract::check_relied_on::<CardEvent>("relies_on", contract::card::CATEGORY);
}

#[test]
fn events_keep_their_shape() {
    let (message_id, account_id, held, amount) = (ID, ACCOUNT, dkk(40), dkk(60));
    let original_message_id = Some(ID);
    let postings = Posting::pair(dkk(60), LedgerAccount::Suspense, LedgerAccount::Settlement).unwrap();
    let examples: [AuthorisationEvent; 16] = [
        Opened { payment: payment(), currency: Currency::DKK }.into(),
        Approved { message_id, account_id, amount, is_partial: false, held, deadline: DEADLINE }.into(),
        Incremented { message_id, account_id, amount, held }.into(),
        Declined { message_id, response_code: "51".to_owned() }.into(),
        IncrementDeclined { message_id, response_code: "51".to_owned() }.into(),
        VerdictWithdrawn { message_id, account_id, amount, held }.into(),
        StandInApplied {
            message_id,
            original_message_id,
            account_id,
            approved: amount,
            held,
            deadline: DEADLINE,
        }
        .into(),
        StandInDeclined { message_id, original_message_id, account_id: Some(account_id), held }.into(),
        StandInNotHeld { message_id, approved: amount }.into(),
        Reversed { message_id, original_message_id: ID, account_id: Some(account_id), amount, held }.into(),
        Captured { message_id, account_id, amount, is_final: true, held }.into(),
        ForcePosted { message_id, account_id, amount, is_final: true, held }.into(),
        Refunded { message_id, account_id, amount }.into(),
        Expired { deadline_id: ID, account_id, amount, held }.into(),
        BookedToSuspense { message_id, amount, is_refund: false, postings }.into(),
        OperatorAttentionRequired { reason: "somebody has to look".to_owned() }.into(),
    ];
    event::samples::check("samples/authorisation", &examples);
}
