//! The account's rules, given/when/then.

use event::given::{context, given};
use money::Currency;
use proptest::prelude::*;

use event::{Causation, CausationKind};

use super::*;
use crate::postings_balance;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const CUSTOMER: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0003);
const OTHER: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);

fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

fn balances(posted: i64, reserved: i64) -> Balances {
    Balances { posted: dkk(posted), reserved: dkk(reserved) }
}

fn open() -> AccountCommand {
    AccountCommand::Open {
        id: ID,
        customer_id: Some(CUSTOMER),
        owner_name: "Ada Lund".to_owned().into(),
        currency: Currency::DKK,
    }
}

/// The events of commands, one after the other.
fn history(commands: &[AccountCommand]) -> Vec<AccountEvent> {
    let mut events = Vec::new();
    for command in commands {
        let state = Account::fold(None, &events);
        events.extend(Account::decide(state.as_ref(), command.clone(), &context()).unwrap());
    }
    events
}

fn funded(minor: i64) -> Vec<AccountEvent> {
    history(&[open(), AccountCommand::Deposit { deposit_id: OTHER, amount: dkk(minor) }])
}

fn reserve(id: Uuid, minor: i64) -> AccountCommand {
    AccountCommand::Reserve { reservation_id: id, amount: dkk(minor) }
}

#[test]
fn a_reservation_within_the_available_balance_holds_the_money() {
    let account = given::<Account>(funded(100)).when(reserve(ID, 60)).state().unwrap();
    assert_eq!(account.balances, balances(100, 60));
    assert_eq!(account.balances.available(), Ok(dkk(40)));
}

#[test]
fn a_reservation_beyond_the_available_balance_is_rejected_as_an_event() {
    given::<Account>(funded(100)).when(reserve(ID, 101)).then([ReservationRejected {
        reservation_id: ID,
        amount: dkk(101),
        reason: RejectionReason::InsufficientFunds,
        balances: balances(100, 0),
    }
    .into()]);
}

#[test]
fn a_hold_ends_once_by_capture_or_release() {
    let held = || {
        let mut events = funded(100);
        let state = Account::fold(None, &events);
        events.extend(Account::decide(state.as_ref(), reserve(ID, 60), &context()).unwrap());
        events
    };
    let capture = AccountCommand::Capture { reservation_id: ID };
    let release = AccountCommand::Release { reservation_id: ID };
    let captured = given::<Account>(held()).when(capture.clone()).state().unwrap();
    assert_eq!(captured.balances, balances(40, 0));
    let released = given::<Account>(held()).when(release.clone()).state().unwrap();
    assert_eq!(released.balances, balances(100, 0));
    for again in [capture, release] {
        let outcome = Account::decide(Some(&captured), again, &context());
        assert_eq!(outcome, Err(AccountRefusal::NoSuchReservation));
    }
}

#[test]
fn what_the_rail_paid_late_is_taken_from_the_account_or_stands_in_suspense() {
    let late = |minor| AccountCommand::CaptureLate { reservation_id: ID, amount: dkk(minor) };
    let covered = given::<Account>(funded(100)).when(late(60)).then_types(&["LateCaptured"]).state().unwrap();
    assert_eq!(covered.balances, balances(40, 0));
    let postings = Posting::pair(dkk(101), LedgerAccount::Suspense, LedgerAccount::Settlement).unwrap();
    let (reservation_id, amount, balances) = (ID, dkk(101), balances(100, 0));
    let owed = ReceivableBooked { reservation_id, amount, postings, balances };
    given::<Account>(funded(100)).when(late(101)).then([owed.into()]);
    let deposit = AccountCommand::Deposit { deposit_id: OTHER, amount: dkk(100) };
    let held = history(&[open(), deposit, reserve(ID, 60)]);
    given::<Account>(held).when(late(60)).then_refused(&AccountRefusal::StillReserved);
}

#[test]
fn what_comes_back_goes_to_the_account_or_to_what_is_owed() {
    let credit = AccountCommand::CreditReturn { transfer_id: ID, amount: dkk(60) };
    let account = given::<Account>(funded(100)).when(credit).then_types(&["ReturnCredited"]).state().unwrap();
    assert_eq!(account.balances, balances(160, 0));
    let clear = AccountCommand::ClearReceivable { reservation_id: ID, amount: dkk(60) };
    let account =
        given::<Account>(funded(100)).when(clear).then_types(&["ReceivableCleared"]).state().unwrap();
    assert_eq!(account.balances, balances(100, 0));
}

#[test]
fn a_reservation_that_is_repeated_holds_the_money_once() {
    let held = given::<Account>(funded(100)).when(reserve(ID, 60)).state().unwrap();
    assert_eq!(Account::decide(Some(&held), reserve(ID, 60), &context()), Ok(vec![]));
    assert_eq!(
        Account::decide(Some(&held), reserve(ID, 61), &context()),
        Err(AccountRefusal::ReservationIdReused)
    );
}

#[test]
fn what_an_account_cannot_do_is_refused() {
    let when =
        |amount| given::<Account>(funded(100)).when(AccountCommand::Credit { transfer_id: ID, amount });
    when(dkk(0)).then_refused(&AccountRefusal::AmountNotPositive);
    when(dkk(-5)).then_refused(&AccountRefusal::AmountNotPositive);
    when(dkk(i64::MAX)).then_refused(&AccountRefusal::BalanceTooLarge);
    when(Money::new(5, Currency::EUR)).then_refused(&AccountRefusal::OtherCurrency(Currency::DKK));
    given::<Account>([]).when(reserve(ID, 1)).then_refused(&AccountRefusal::NotOpen);
    given::<Account>(funded(1)).when(open()).then_refused(&AccountRefusal::AlreadyOpen);
}

#[test]
fn account_events_keep_their_shape() {
    let moved = || Posting::pair(dkk(60), LedgerAccount::Available(ID), LedgerAccount::Reserved(ID)).unwrap();
    let (amount, at) = (dkk(60), balances(100, 60));
    let (reservation_id, transfer_id, reason) = (OTHER, OTHER, RejectionReason::InsufficientFunds);
    let (payment_id, balances) = (OTHER, at);
    let (held, is_forced) = (dkk(60), true);
    let examples: [AccountEvent; 20] = [
        super::opened(ID, Some(CUSTOMER), "Ada Lund".to_owned().into(), Currency::DKK).into(),
        Deposited { deposit_id: OTHER, amount, postings: moved(), balances: at }.into(),
        FundsReserved { reservation_id, amount, postings: moved(), balances: at }.into(),
        ReservationRejected { reservation_id, amount, reason, balances: at }.into(),
        FundsReleased { reservation_id, amount, postings: moved(), balances: at }.into(),
        FundsCaptured { reservation_id, amount, postings: moved(), balances: at }.into(),
        LateCaptured { reservation_id, amount, postings: moved(), balances: at }.into(),
        ReceivableBooked { reservation_id, amount, postings: moved(), balances: at }.into(),
        ReturnCredited { transfer_id, amount, postings: moved(), balances: at }.into(),
        ReceivableCleared { reservation_id, amount, postings: moved(), balances: at }.into(),
        Credited { transfer_id, amount, postings: moved(), balances: at }.into(),
        Debited { transfer_id, amount, postings: moved(), balances: at }.into(),
        DebitRejected { transfer_id, amount, reason, balances: at }.into(),
        CreditPending { payment_id, amount, balances }.into(),
        CreditPosted { payment_id, amount, postings: moved(), balances }.into(),
        CreditVoided { payment_id, amount, balances }.into(),
        ReservationAdjusted { reservation_id, held, is_forced, postings: moved(), balances }.into(),
        CapturePosted { capture_id: ID, reservation_id, amount, held, postings: moved(), balances }.into(),
        RefundCredited { refund_id: ID, amount, postings: moved(), balances }.into(),
        Adjusted { correction_id: ID, amount, postings: moved(), balances }.into(),
    ];
    event::samples::check("samples/account", &examples);
    let before = std::fs::read_to_string("samples/account/Opened.v1.json").unwrap();
    let before = <AccountEvent as event::DomainEvent>::decode("Opened", 1, &before).unwrap();
    let unowned = super::opened(ID, None, "Ada Lund".to_owned().into(), Currency::DKK);
    assert_eq!(before, unowned.into());
    let opened = &examples[..1];
    let rest = [
        FundsReserved { reservation_id, amount, postings: moved(), balances }.into(),
        CreditPending { payment_id, amount, balances }.into(),
    ];
    event::samples::check_state::<Account>("samples/account_state", &[opened, &rest].concat());
}
#[test]
fn a_payment_from_another_bank_can_be_spent_when_it_is_posted_and_once() {
    let expect = || AccountCommand::ExpectCredit { payment_id: ID, amount: dkk(60) };
    let (post, void) =
        (AccountCommand::PostCredit { payment_id: ID }, AccountCommand::VoidCredit { payment_id: ID });
    let expected = history(&[open(), expect()]);
    let account = Account::fold(None, &expected).unwrap();
    assert_eq!(account.balances, balances(0, 0));
    given::<Account>(expected.clone()).when(expect()).then([]);
    let other = AccountCommand::ExpectCredit { payment_id: ID, amount: dkk(61) };
    given::<Account>(expected.clone()).when(other).then_refused(&AccountRefusal::PaymentIdReused);
    let posted = given::<Account>(expected.clone()).when(post.clone()).state().unwrap();
    assert_eq!(posted.balances, balances(60, 0));
    let voided = given::<Account>(expected).when(void.clone()).state().unwrap();
    assert_eq!(voided.balances, balances(0, 0));
    for account in [posted, voided] {
        for again in [&post, &void] {
            let outcome = Account::decide(Some(&account), again.clone(), &context());
            assert_eq!(outcome, Err(AccountRefusal::NotExpected));
        }
    }
}

#[test]
fn what_the_account_could_not_hold_is_refused_before_it_comes() {
    let most = |id| AccountCommand::ExpectCredit { payment_id: id, amount: dkk(i64::MAX) };
    given::<Account>(funded(1)).when(most(ID)).then_refused(&AccountRefusal::BalanceTooLarge);
    given::<Account>(history(&[open(), most(ID)]))
        .when(most(OTHER))
        .then_refused(&AccountRefusal::BalanceTooLarge);
}

/// What somebody else has decided.
fn forced(event: &AccountEvent) -> bool {
    match event {
        AccountEvent::ReservationAdjusted(event) => event.is_forced,
        AccountEvent::CapturePosted(_) => true,
        _ => false,
    }
}

#[test]
fn a_hold_for_a_card_is_raised_and_lowered_within_what_there_is() {
    let hold = |minor, is_forced| AccountCommand::AdjustReservation {
        reservation_id: ID,
        held: dkk(minor),
        is_forced,
    };
    let deposit = AccountCommand::Deposit { deposit_id: OTHER, amount: dkk(100) };
    let held = history(&[open(), deposit, hold(60, false)]);
    let on = |command| given::<Account>(held.clone()).when(command);
    assert_eq!(on(hold(100, false)).state().unwrap().balances, balances(100, 100));
    assert_eq!(on(hold(0, false)).state().unwrap().balances, balances(100, 0));
    on(hold(60, false)).then([]);
    on(hold(101, false)).then_refused(&AccountRefusal::NotCovered);
    on(hold(-1, false)).then_refused(&AccountRefusal::HoldOutOfRange);
    let forced = on(hold(101, true)).state().unwrap();
    assert_eq!(forced.balances.available(), Ok(dkk(-1)));
    // What was forced can be lowered, but not raised by us.
    let lowered = Account::decide(Some(&forced), hold(100, false), &context());
    assert_eq!(lowered.map(|events| events.len()), Ok(1));
    assert_eq!(Account::decide(Some(&forced), hold(102, false), &context()), Err(AccountRefusal::NotCovered));
}

#[test]
fn a_capture_takes_what_is_held_and_the_rest_from_what_can_be_spent() {
    let hold = AccountCommand::AdjustReservation { reservation_id: ID, held: dkk(60), is_forced: false };
    let deposit = AccountCommand::Deposit { deposit_id: OTHER, amount: dkk(100) };
    let held = history(&[open(), deposit, hold]);
    let capture = |minor, left| {
        let (amount, held) = (dkk(minor), dkk(left));
        AccountCommand::PostCapture { capture_id: OTHER, reservation_id: ID, amount, held }
    };
    let after = |command| given::<Account>(held.clone()).when(command).state().unwrap().balances;
    // A part, a part that is the last, more than was held, more than there is.
    assert_eq!(after(capture(20, 40)), balances(80, 40));
    assert_eq!(after(capture(20, 0)), balances(80, 0));
    assert_eq!(after(capture(90, 0)), balances(10, 0));
    assert_eq!(after(capture(150, 0)), balances(-50, 0));
    given::<Account>(held.clone()).when(capture(20, 61)).then_refused(&AccountRefusal::HoldOutOfRange);
    let refund = AccountCommand::CreditRefund { refund_id: OTHER, amount: dkk(5) };
    assert_eq!(after(refund), balances(105, 60));
}

fn because_of_correction(correction_id: Uuid) -> Context {
    let mut context = context();
    context.causation = Causation { kind: CausationKind::Correction, id: correction_id };
    context
}

#[test]
fn a_correction_moves_what_the_account_covers() {
    let account = Account::fold(None, &funded(100));
    let command = |minor, against| AccountCommand::Adjust { correction_id: ID, amount: dkk(minor), against };
    let adjust = |minor, against| {
        let decided = Account::decide(account.as_ref(), command(minor, against), &because_of_correction(ID))?;
        Ok(Account::fold(account.clone(), &decided).unwrap().balances)
    };
    assert_eq!(adjust(-30, InternalAccount::Suspense), Ok(balances(70, 0)));
    assert_eq!(adjust(30, InternalAccount::Funding), Ok(balances(130, 0)));
    assert_eq!(adjust(-101, InternalAccount::Suspense), Err(AccountRefusal::NotCovered));
    assert_eq!(adjust(0, InternalAccount::Suspense), Err(AccountRefusal::AmountNotPositive));
    assert_eq!(adjust(i64::MIN, InternalAccount::Suspense), Err(AccountRefusal::BalanceTooLarge));
    for other in [context(), because_of_correction(OTHER)] {
        let decided = Account::decide(account.as_ref(), command(30, InternalAccount::Suspense), &other);
        assert_eq!(decided, Err(AccountRefusal::NotACorrection));
    }
}

fn any_command() -> impl Strategy<Value = AccountCommand> {
    let id = (0_u128..4).prop_map(Uuid::from_u128);
    (id, 1_i64..200, 0..17).prop_map(|(id, minor, kind)| {
        let amount = dkk(minor);
        match kind {
            0 => AccountCommand::Deposit { deposit_id: id, amount },
            1 => AccountCommand::Reserve { reservation_id: id, amount },
            2 => AccountCommand::Release { reservation_id: id },
            3 => AccountCommand::Capture { reservation_id: id },
            4 => AccountCommand::CaptureLate { reservation_id: id, amount },
            5 => AccountCommand::Credit { transfer_id: id, amount },
            6 => AccountCommand::CreditReturn { transfer_id: id, amount },
            7 => AccountCommand::ClearReceivable { reservation_id: id, amount },
            8 => AccountCommand::ExpectCredit { payment_id: id, amount },
            9 => AccountCommand::PostCredit { payment_id: id },
            10 => AccountCommand::VoidCredit { payment_id: id },
            11 => AccountCommand::AdjustReservation { reservation_id: id, held: amount, is_forced: false },
            12 => AccountCommand::AdjustReservation {
                reservation_id: id,
                held: dkk(minor / 2),
                is_forced: true,
            },
            13 => {
                let (capture_id, held) = (Uuid::from_u128(9), dkk(minor / 2));
                AccountCommand::PostCapture { capture_id, reservation_id: id, amount, held }
            }
            14 => AccountCommand::CreditRefund { refund_id: id, amount },
            15 => AccountCommand::Adjust { correction_id: id, amount, against: InternalAccount::Suspense },
            16 => AccountCommand::Adjust {
                correction_id: id,
                amount: dkk(-amount.minor()),
                against: InternalAccount::InTransit,
            },
            _ => AccountCommand::Debit { transfer_id: id, amount },
        }
    })
}

proptest! {
    /// The balances that events carry are the sums of their postings, and nothing that we decide makes them negative, whatever is asked.
    #[test]
    fn balances_are_the_sums_of_balanced_postings(commands in proptest::collection::vec(any_command(), 0..60)) {
        let mut account = Account::fold(None, &history(&[open()])).unwrap();
        let (mut available, mut reserved) = (0, 0);
        for command in commands {
            let context = match &command {
                AccountCommand::Adjust { correction_id, .. } => because_of_correction(*correction_id),
                _ => context(),
            };
            for event in Account::decide(Some(&account), command, &context).unwrap_or_default() {
                let (before, is_forced) = (available, forced(&event));
                prop_assert!(postings_balance(event.postings()));
                for posting in event.postings() {
                    match posting.account {
                        LedgerAccount::Available(_) => available += posting.amount.minor(),
                        LedgerAccount::Reserved(_) => reserved += posting.amount.minor(),
                        _ => {}
                    }
                }
                account = Account::evolve(Some(account), &event).unwrap();
                prop_assert_eq!(account.balances, balances(available + reserved, reserved));
                prop_assert!(reserved >= 0 && (available >= before.min(0) || is_forced));
                let open: i64 = account.reservations.values().map(|amount| amount.minor()).sum();
                prop_assert_eq!(open, reserved);
            }
        }
    }
}
