//! The account aggregate: what may be reserved and spent.

use std::collections::BTreeMap;

use contract::Iban;
use event::{Aggregate, Causation, CausationKind, Context, Personal, Snapshots};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account_event::{
    AccountEvent, Adjusted, Balances, CapturePosted, CreditPending, CreditPosted, CreditVoided, Credited,
    DebitRejected, Debited, Deposited, FundsCaptured, FundsReleased, FundsReserved, LateCaptured, Opened,
    ReceivableBooked, ReceivableCleared, RefundCredited, RejectionReason, ReservationAdjusted,
    ReservationRejected, ReturnCredited,
};
use crate::{InternalAccount, LedgerAccount, Posting};

/// An open account. Only what is held or expected now is kept, so that a long history stays a small state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: Uuid,
    /// Whose it is, where they are registered.
    #[serde(default)]
    pub customer_id: Option<Uuid>,
    pub owner_name: Personal<String>,
    pub iban: Personal<Iban>,
    pub balances: Balances,
    pub reservations: BTreeMap<Uuid, Money>,
    /// What other banks are paying, by payment.
    pub expected: BTreeMap<Uuid, Money>,
}

#[derive(Debug, Clone)]
pub enum AccountCommand {
    Open {
        id: Uuid,
        customer_id: Option<Uuid>,
        owner_name: Personal<String>,
        currency: Currency,
    },
    Deposit {
        deposit_id: Uuid,
        amount: Money,
    },
    Reserve {
        reservation_id: Uuid,
        amount: Money,
    },
    Release {
        reservation_id: Uuid,
    },
    Capture {
        reservation_id: Uuid,
    },
    /// The rail has paid what was held under this id, after the hold was given back.
    CaptureLate {
        reservation_id: Uuid,
        amount: Money,
    },
    /// The payment of this id, or a part of it, has come back.
    CreditReturn {
        transfer_id: Uuid,
        amount: Money,
    },
    /// The same, where the customer owes it.
    ClearReceivable {
        reservation_id: Uuid,
        amount: Money,
    },
    Credit {
        transfer_id: Uuid,
        amount: Money,
    },
    Debit {
        transfer_id: Uuid,
        amount: Money,
    },
    /// Another bank is paying.
    ExpectCredit {
        payment_id: Uuid,
        amount: Money,
    },
    /// It has paid.
    PostCredit {
        payment_id: Uuid,
    },
    /// It will not.
    VoidCredit {
        payment_id: Uuid,
    },
    /// Hold so much under this id from now on. Forced: somebody else has decided it, whether or not there is money.
    AdjustReservation {
        reservation_id: Uuid,
        held: Money,
        is_forced: bool,
    },
    /// A card network has collected this, and `held` stays held for more. It is never refused for want of money.
    PostCapture {
        capture_id: Uuid,
        reservation_id: Uuid,
        amount: Money,
        held: Money,
    },
    CreditRefund {
        refund_id: Uuid,
        amount: Money,
    },
    /// Into the account where the amount is positive, out of it where it is negative.
    Adjust {
        correction_id: Uuid,
        amount: Money,
        against: InternalAccount,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefusal {
    #[error("the account does not exist")]
    NotOpen,
    #[error("the account exists already")]
    AlreadyOpen,
    #[error("the amount has to be positive")]
    AmountNotPositive,
    #[error("the account is held in {0}")]
    OtherCurrency(Currency),
    #[error("the account holds no such reservation")]
    NoSuchReservation,
    #[error("the reservation exists with another amount")]
    ReservationIdReused,
    #[error("the reservation is still held: capture it")]
    StillReserved,
    #[error("the account expects no such payment")]
    NotExpected,
    #[error("the payment is expected with another amount")]
    PaymentIdReused,
    #[error("the account does not cover it")]
    NotCovered,
    #[error("what is held cannot be negative, or grow by a capture")]
    HoldOutOfRange,
    #[error("only a correction does that")]
    NotACorrection,
    #[error("the account cannot hold so much")]
    BalanceTooLarge,
}

impl From<money::Error> for AccountRefusal {
    fn from(_: money::Error) -> Self {
        Self::BalanceTooLarge
    }
}

type Decision = Result<Vec<AccountEvent>, AccountRefusal>;

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::of_version(2));
    type Event = AccountEvent;
    type Command = AccountCommand;
    type Refusal = AccountRefusal;

    fn evolve(state: Option<Self>, event: &AccountEvent) -> Option<Self> {
        if let AccountEvent::Opened(opened) = event {
            return Some(Self {
                id: opened.account_id,
                customer_id: opened.customer_id,
                owner_name: opened.owner_name.clone(),
                iban: opened.iban.clone(),
                balances: opened.balances,
                reservations: BTreeMap::new(),
                expected: BTreeMap::new(),
            });
        }
        let mut account = state?;
        account.balances = event.balances();
        match event {
            AccountEvent::FundsReserved(event) => {
                account.reservations.insert(event.reservation_id, event.amount);
            }
            AccountEvent::FundsReleased(FundsReleased { reservation_id, .. })
            | AccountEvent::FundsCaptured(FundsCaptured { reservation_id, .. }) => {
                account.reservations.remove(reservation_id);
            }
            AccountEvent::ReservationAdjusted(ReservationAdjusted { reservation_id, held, .. })
            | AccountEvent::CapturePosted(CapturePosted { reservation_id, held, .. }) => {
                account.holds(*reservation_id, *held);
            }
            AccountEvent::CreditPending(event) => {
                account.expected.insert(event.payment_id, event.amount);
            }
            AccountEvent::CreditPosted(CreditPosted { payment_id, .. })
            | AccountEvent::CreditVoided(CreditVoided { payment_id, .. }) => {
                account.expected.remove(payment_id);
            }
            _ => {}
        }
        Some(account)
    }

    fn decide(state: Option<&Self>, command: AccountCommand, context: &Context) -> Decision {
        if let AccountCommand::Open { id, customer_id, owner_name, currency } = command {
            return match state {
                Some(_) => Err(AccountRefusal::AlreadyOpen),
                None => Ok(vec![opened(id, customer_id, owner_name, currency).into()]),
            };
        }
        let account = state.ok_or(AccountRefusal::NotOpen)?;
        match command {
            AccountCommand::Open { .. } => Err(AccountRefusal::AlreadyOpen),
            AccountCommand::Deposit { deposit_id, amount } => account.deposit(deposit_id, amount),
            AccountCommand::Reserve { reservation_id, amount } => account.reserve(reservation_id, amount),
            AccountCommand::Release { reservation_id } => account.release(reservation_id),
            AccountCommand::Capture { reservation_id } => account.capture(reservation_id),
            AccountCommand::CaptureLate { reservation_id, amount } => {
                account.capture_late(reservation_id, amount)
            }
            AccountCommand::CreditReturn { transfer_id, amount } => {
                account.credit_return(transfer_id, amount)
            }
            AccountCommand::ClearReceivable { reservation_id, amount } => {
                account.clear_receivable(reservation_id, amount)
            }
            AccountCommand::Credit { transfer_id, amount } => account.credit(transfer_id, amount),
            AccountCommand::Debit { transfer_id, amount } => account.debit(transfer_id, amount),
            AccountCommand::ExpectCredit { payment_id, amount } => account.expect_credit(payment_id, amount),
            AccountCommand::PostCredit { payment_id } => account.post_credit(payment_id),
            AccountCommand::VoidCredit { payment_id } => account.void_credit(payment_id),
            AccountCommand::AdjustReservation { reservation_id, held, is_forced } => {
                account.adjust_reservation(reservation_id, held, is_forced)
            }
            AccountCommand::PostCapture { capture_id, reservation_id, amount, held } => {
                account.post_capture(capture_id, reservation_id, amount, held)
            }
            AccountCommand::CreditRefund { refund_id, amount } => account.credit_refund(refund_id, amount),
            AccountCommand::Adjust { correction_id, amount, against } => {
                let correction = Causation { kind: CausationKind::Correction, id: correction_id };
                if context.causation != correction {
                    return Err(AccountRefusal::NotACorrection);
                }
                account.adjust(correction_id, amount, against)
            }
        }
    }
}

fn opened(id: Uuid, customer_id: Option<Uuid>, owner_name: Personal<String>, currency: Currency) -> Opened {
    let zero = Money::zero(currency);
    Opened {
        account_id: id,
        customer_id,
        owner_name,
        iban: Iban::of_account(id).into(),
        balances: Balances { posted: zero, reserved: zero },
    }
}

impl Account {
    pub fn currency(&self) -> Currency {
        self.balances.posted.currency()
    }

    /// What all open reservations hold.
    pub fn held_in_all(&self) -> Result<Money, money::Error> {
        self.reservations.values().try_fold(Money::zero(self.currency()), |sum, held| sum.plus(*held))
    }

    fn deposit(&self, deposit_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        let balances = Balances { posted: self.balances.posted.plus(amount)?, ..self.balances };
        let postings = Posting::pair(amount, LedgerAccount::Funding, LedgerAccount::Available(self.id))?;
        Ok(vec![Deposited { deposit_id, amount, postings, balances }.into()])
    }

    fn reserve(&self, reservation_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        match self.reservations.get(&reservation_id) {
            Some(held) if *held == amount => return Ok(vec![]),
            Some(_) => return Err(AccountRefusal::ReservationIdReused),
            None => {}
        }
        if !self.covers(amount)? {
            let reason = RejectionReason::InsufficientFunds;
            let balances = self.balances;
            return Ok(vec![ReservationRejected { reservation_id, amount, reason, balances }.into()]);
        }
        let balances = Balances { reserved: self.balances.reserved.plus(amount)?, ..self.balances };
        let (available, reserved) = (LedgerAccount::Available(self.id), LedgerAccount::Reserved(self.id));
        let postings = Posting::pair(amount, available, reserved)?;
        Ok(vec![FundsReserved { reservation_id, amount, postings, balances }.into()])
    }

    fn release(&self, reservation_id: Uuid) -> Decision {
        let amount = self.held(reservation_id)?;
        let balances = Balances { reserved: self.balances.reserved.minus(amount)?, ..self.balances };
        let (available, reserved) = (LedgerAccount::Available(self.id), LedgerAccount::Reserved(self.id));
        let postings = Posting::pair(amount, reserved, available)?;
        Ok(vec![FundsReleased { reservation_id, amount, postings, balances }.into()])
    }

    fn capture(&self, reservation_id: Uuid) -> Decision {
        let amount = self.held(reservation_id)?;
        let balances = Balances {
            posted: self.balances.posted.minus(amount)?,
            reserved: self.balances.reserved.minus(amount)?,
        };
        let postings = Posting::pair(amount, LedgerAccount::Reserved(self.id), LedgerAccount::Settlement)?;
        Ok(vec![FundsCaptured { reservation_id, amount, postings, balances }.into()])
    }

    /// The money has left already, so this is never refused for want of it.
    fn capture_late(&self, reservation_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        if self.reservations.contains_key(&reservation_id) {
            return Err(AccountRefusal::StillReserved);
        }
        if !self.covers(amount)? {
            let postings = Posting::pair(amount, LedgerAccount::Suspense, LedgerAccount::Settlement)?;
            let balances = self.balances;
            return Ok(vec![ReceivableBooked { reservation_id, amount, postings, balances }.into()]);
        }
        let balances = Balances { posted: self.balances.posted.minus(amount)?, ..self.balances };
        let postings = Posting::pair(amount, LedgerAccount::Available(self.id), LedgerAccount::Settlement)?;
        Ok(vec![LateCaptured { reservation_id, amount, postings, balances }.into()])
    }

    fn credit_return(&self, transfer_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        let balances = Balances { posted: self.balances.posted.plus(amount)?, ..self.balances };
        let postings = Posting::pair(amount, LedgerAccount::Settlement, LedgerAccount::Available(self.id))?;
        Ok(vec![ReturnCredited { transfer_id, amount, postings, balances }.into()])
    }

    fn clear_receivable(&self, reservation_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        let postings = Posting::pair(amount, LedgerAccount::Settlement, LedgerAccount::Suspense)?;
        let balances = self.balances;
        Ok(vec![ReceivableCleared { reservation_id, amount, postings, balances }.into()])
    }

    fn credit(&self, transfer_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        let balances = Balances { posted: self.balances.posted.plus(amount)?, ..self.balances };
        let postings = Posting::pair(amount, LedgerAccount::InTransit, LedgerAccount::Available(self.id))?;
        Ok(vec![Credited { transfer_id, amount, postings, balances }.into()])
    }

    fn debit(&self, transfer_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        if !self.covers(amount)? {
            let reason = RejectionReason::InsufficientFunds;
            return Ok(vec![DebitRejected { transfer_id, amount, reason, balances: self.balances }.into()]);
        }
        let balances = Balances { posted: self.balances.posted.minus(amount)?, ..self.balances };
        let postings = Posting::pair(amount, LedgerAccount::Available(self.id), LedgerAccount::InTransit)?;
        Ok(vec![Debited { transfer_id, amount, postings, balances }.into()])
    }

    /// What does not fit is refused now, not when it has come.
    fn expect_credit(&self, payment_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        match self.expected.get(&payment_id) {
            Some(expected) if *expected == amount => return Ok(vec![]),
            Some(_) => return Err(AccountRefusal::PaymentIdReused),
            None => {}
        }
        let expected = self.expected.values().try_fold(amount, |sum, expected| sum.plus(*expected))?;
        self.balances.posted.plus(expected)?;
        Ok(vec![CreditPending { payment_id, amount, balances: self.balances }.into()])
    }

    fn post_credit(&self, payment_id: Uuid) -> Decision {
        let amount = self.expects(payment_id)?;
        let balances = Balances { posted: self.balances.posted.plus(amount)?, ..self.balances };
        let postings = Posting::pair(amount, LedgerAccount::Settlement, LedgerAccount::Available(self.id))?;
        Ok(vec![CreditPosted { payment_id, amount, postings, balances }.into()])
    }

    fn void_credit(&self, payment_id: Uuid) -> Decision {
        let amount = self.expects(payment_id)?;
        Ok(vec![CreditVoided { payment_id, amount, balances: self.balances }.into()])
    }

    fn holds(&mut self, reservation_id: Uuid, held: Money) {
        if held.is_positive() {
            self.reservations.insert(reservation_id, held);
        } else {
            self.reservations.remove(&reservation_id);
        }
    }

    fn adjust_reservation(&self, reservation_id: Uuid, held: Money, is_forced: bool) -> Decision {
        let more = held.minus(self.held_or_zero(reservation_id, held)?)?;
        if !is_forced && more.is_positive() && !self.covers(more)? {
            return Err(AccountRefusal::NotCovered);
        }
        let (available, reserved) = (LedgerAccount::Available(self.id), LedgerAccount::Reserved(self.id));
        let postings = match more {
            more if more.is_positive() => Posting::pair(more, available, reserved)?,
            more if more.is_negative() => Posting::pair(more.negated()?, reserved, available)?,
            _ => return Ok(vec![]),
        };
        let balances = Balances { reserved: self.balances.reserved.plus(more)?, ..self.balances };
        Ok(vec![ReservationAdjusted { reservation_id, held, is_forced, postings, balances }.into()])
    }

    fn post_capture(&self, capture_id: Uuid, reservation_id: Uuid, amount: Money, held: Money) -> Decision {
        self.accepts(amount)?;
        let freed = self.held_or_zero(reservation_id, held)?.minus(held)?;
        if freed.is_negative() {
            return Err(AccountRefusal::HoldOutOfRange);
        }
        let balances = Balances {
            posted: self.balances.posted.minus(amount)?,
            reserved: self.balances.reserved.minus(freed)?,
        };
        balances.available()?;
        let legs = [
            (LedgerAccount::Reserved(self.id), freed.negated()?),
            (LedgerAccount::Available(self.id), freed.minus(amount)?),
            (LedgerAccount::Settlement, amount),
        ];
        let moved = legs.into_iter().filter(|(_, amount)| amount.minor() != 0);
        let postings = moved.map(|(account, amount)| Posting { account, amount }).collect();
        Ok(vec![CapturePosted { capture_id, reservation_id, amount, held, postings, balances }.into()])
    }

    fn credit_refund(&self, refund_id: Uuid, amount: Money) -> Decision {
        self.accepts(amount)?;
        let balances = Balances { posted: self.balances.posted.plus(amount)?, ..self.balances };
        let postings = Posting::pair(amount, LedgerAccount::Settlement, LedgerAccount::Available(self.id))?;
        Ok(vec![RefundCredited { refund_id, amount, postings, balances }.into()])
    }

    fn adjust(&self, correction_id: Uuid, amount: Money, against: InternalAccount) -> Decision {
        let is_out = amount.is_negative();
        let moved = if is_out { amount.negated()? } else { amount };
        self.accepts(moved)?;
        if is_out && !self.covers(moved)? {
            return Err(AccountRefusal::NotCovered);
        }
        let balances = Balances { posted: self.balances.posted.plus(amount)?, ..self.balances };
        let (own, other) = (LedgerAccount::Available(self.id), LedgerAccount::from(against));
        let (from, to) = if is_out { (own, other) } else { (other, own) };
        let postings = Posting::pair(moved, from, to)?;
        Ok(vec![Adjusted { correction_id, amount, postings, balances }.into()])
    }

    /// What is held now under an id that shall hold `held`.
    fn held_or_zero(&self, reservation_id: Uuid, held: Money) -> Result<Money, AccountRefusal> {
        if held.currency() != self.currency() {
            return Err(AccountRefusal::OtherCurrency(self.currency()));
        }
        if held.is_negative() {
            return Err(AccountRefusal::HoldOutOfRange);
        }
        Ok(self.reservations.get(&reservation_id).copied().unwrap_or(Money::zero(self.currency())))
    }

    fn expects(&self, payment_id: Uuid) -> Result<Money, AccountRefusal> {
        self.expected.get(&payment_id).copied().ok_or(AccountRefusal::NotExpected)
    }

    fn accepts(&self, amount: Money) -> Result<(), AccountRefusal> {
        if amount.currency() != self.currency() {
            return Err(AccountRefusal::OtherCurrency(self.currency()));
        }
        if !amount.is_positive() {
            return Err(AccountRefusal::AmountNotPositive);
        }
        Ok(())
    }

    fn covers(&self, amount: Money) -> Result<bool, AccountRefusal> {
        Ok(!self.balances.available()?.minus(amount)?.is_negative())
    }

    fn held(&self, reservation_id: Uuid) -> Result<Money, AccountRefusal> {
        self.reservations.get(&reservation_id).copied().ok_or(AccountRefusal::NoSuchReservation)
    }
}

#[cfg(test)]
mod tests;
