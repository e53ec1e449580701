//! `card.v1` → saga: each message of the network is decided on what the card's account holds at that moment.

use async_trait::async_trait;
use contract::card::{self, CardEvent};
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use jiff::SignedDuration;
use ledger::Account;

use crate::{AuthorisationCommand, Card, Standing, apply};

pub struct CardMessages {
    /// The service of the network's adapter.
    pub adapter: &'static str,
    /// How long what is approved stays held, should nobody collect it.
    pub hold_for: SignedDuration,
}

#[async_trait]
impl Handler for CardMessages {
    fn name(&self) -> &'static str {
        "card-messages"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: self.adapter, categories: &[card::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let said: CardEvent = event.decode()?;
        let payment = said.payment();
        let (id, card_id) = (payment.authorisation_id, payment.card_id);
        let card = unit.state::<Card>(card_id).await?;
        let account = match &card {
            Some(card) => unit.state::<Account>(card.account_id).await?,
            None => None,
        };
        let standing = card.zip(account).map(|(card, account)| standing_of(&card, &account));
        let take = AuthorisationCommand::Take { said: Box::new(said), standing, hold_for: self.hold_for };
        apply(unit, id, take).await?;
        Ok(())
    }
}

pub fn standing_of(card: &Card, account: &Account) -> Standing {
    Standing { account_id: account.id, balances: account.balances, is_blocked: card.is_blocked }
}
