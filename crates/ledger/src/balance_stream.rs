//! Derives `account.v1` from `account`.

use contract::account::{self, BalanceChanged};
use delivery::{Derivation, Derived};
use event::DomainEvent;
use uuid::Uuid;

use crate::{Account, AccountEvent};

pub struct BalanceStream;

impl Derivation for BalanceStream {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = account::CATEGORY;
    type From = Account;
    type To = account::AccountEvent;

    fn derive(
        account_id: Uuid,
        event: AccountEvent,
    ) -> Result<Derived<Account, account::AccountEvent>, String> {
        if event.postings().is_empty() {
            return Ok(Derived::Nothing);
        }
        if event::mutants::active("tell_nothing") {
            return Err(format!("{account_id} is not told of"));
        }
        let balances = event.balances();
        let available = balances.available().map_err(|error| error.to_string())?;
        let reason = event.event_type().to_owned();
        let (posted, reserved) = (balances.posted, balances.reserved);
        Ok(Derived::Event(BalanceChanged { account_id, posted, reserved, available, reason }.into()))
    }
}
