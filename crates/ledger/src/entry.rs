//! What an event changes on an account, as a line of its statement.

use money::Money;
use uuid::Uuid;

use crate::{AccountEvent, Balances, LedgerAccount, Posting};

/// One line: by how much the money on the account, and what of it is held, have changed, and what they are since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The transfer, payment, deposit, hold or correction that it belongs to.
    pub reference: Uuid,
    pub posted: Money,
    pub reserved: Money,
    pub balances: Balances,
}

impl Entry {
    /// None: the event changes nothing on the account.
    pub fn of(event: &AccountEvent, account: Uuid) -> Result<Option<Self>, money::Error> {
        let balances = event.balances();
        let zero = Money::zero(balances.posted.currency());
        let sum = |on: &[LedgerAccount]| {
            let postings = event.postings().iter().filter(|posting| on.contains(&posting.account));
            postings.map(|Posting { amount, .. }| *amount).try_fold(zero, Money::plus)
        };
        let (available, held) = (LedgerAccount::Available(account), LedgerAccount::Reserved(account));
        let (posted, reserved) = (sum(&[available, held])?, sum(&[held])?);
        let changes = posted != zero || reserved != zero;
        Ok(reference(event).filter(|_| changes).map(|reference| Self {
            reference,
            posted,
            reserved,
            balances,
        }))
    }
}

fn reference(event: &AccountEvent) -> Option<Uuid> {
    Some(match event {
        AccountEvent::Opened(_) => return None,
        AccountEvent::Deposited(event) => event.deposit_id,
        AccountEvent::FundsReserved(event) => event.reservation_id,
        AccountEvent::ReservationRejected(event) => event.reservation_id,
        AccountEvent::FundsReleased(event) => event.reservation_id,
        AccountEvent::FundsCaptured(event) => event.reservation_id,
        AccountEvent::LateCaptured(event) => event.reservation_id,
        AccountEvent::ReceivableBooked(event) => event.reservation_id,
        AccountEvent::ReceivableCleared(event) => event.reservation_id,
        AccountEvent::ReservationAdjusted(event) => event.reservation_id,
        AccountEvent::CapturePosted(event) => event.reservation_id,
        AccountEvent::ReturnCredited(event) => event.transfer_id,
        AccountEvent::Credited(event) => event.transfer_id,
        AccountEvent::Debited(event) => event.transfer_id,
        AccountEvent::DebitRejected(event) => event.transfer_id,
        AccountEvent::CreditPending(event) => event.payment_id,
        AccountEvent::CreditPosted(event) => event.payment_id,
        AccountEvent::CreditVoided(event) => event.payment_id,
        AccountEvent::RefundCredited(event) => event.refund_id,
        AccountEvent::Adjusted(event) => event.correction_id,
    })
}

#[cfg(test)]
mod tests {
    use event::Aggregate;
    use event::given::context;
    use money::Currency;

    use super::*;
    use crate::{Account, AccountCommand};

    const ACCOUNT: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
    const HOLD: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);

    fn kr(minor: i64) -> Money {
        Money::new(minor, Currency::DKK)
    }

    /// Whatever happens, the lines add up to the balances.
    #[test]
    fn the_lines_add_up_to_the_balances() {
        let commands = [
            AccountCommand::Open {
                id: ACCOUNT,
                customer_id: None,
                owner_name: "Ada Lund".to_owned().into(),
                currency: Currency::DKK,
            },
            AccountCommand::Deposit { deposit_id: ACCOUNT, amount: kr(1_000) },
            AccountCommand::Reserve { reservation_id: HOLD, amount: kr(300) },
            AccountCommand::Reserve { reservation_id: ACCOUNT, amount: kr(5_000) },
            AccountCommand::Capture { reservation_id: HOLD },
            AccountCommand::CreditReturn { transfer_id: HOLD, amount: kr(100) },
        ];
        let (mut account, mut posted, mut reserved, mut lines) = (None, kr(0), kr(0), 0);
        for command in commands {
            let events = Account::decide(account.as_ref(), command, &context()).unwrap();
            account = Account::fold(account, &events);
            for event in &events {
                let Some(entry) = Entry::of(event, ACCOUNT).unwrap() else { continue };
                posted = posted.plus(entry.posted).unwrap();
                reserved = reserved.plus(entry.reserved).unwrap();
                assert_eq!(entry.balances, Balances { posted, reserved });
                lines += 1;
            }
        }
        assert_eq!((posted, reserved, lines), (kr(800), kr(0), 4));
    }
}
