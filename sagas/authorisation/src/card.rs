//! A card: whose money it spends, and whether it may. Its number is the network's business; here it is only its id.

use event::{Aggregate, Context, events};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardIssued {
    pub card_id: Uuid,
    pub account_id: Uuid,
}

/// What is asked for it is declined. What was approved before can still be collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardBlocked {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardUnblocked {}

events! {
    /// The events of a `card` stream.
    pub enum CardEvent { CardIssued = 1, CardBlocked = 1, CardUnblocked = 1 }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    pub id: Uuid,
    pub account_id: Uuid,
    pub is_blocked: bool,
}

#[derive(Debug, Clone)]
pub enum CardCommand {
    Issue { card_id: Uuid, account_id: Uuid },
    Block,
    Unblock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardRefusal {
    #[error("no such card was issued")]
    NotIssued,
    #[error("the card was issued already")]
    AlreadyIssued,
}

impl Aggregate for Card {
    const CATEGORY: &'static str = "card";
    type Event = CardEvent;
    type Command = CardCommand;
    type Refusal = CardRefusal;

    fn evolve(state: Option<Self>, event: &CardEvent) -> Option<Self> {
        match (state, event) {
            (_, CardEvent::CardIssued(CardIssued { card_id, account_id })) => {
                Some(Self { id: *card_id, account_id: *account_id, is_blocked: false })
            }
            (Some(card), CardEvent::CardBlocked(_)) => Some(Self { is_blocked: true, ..card }),
            (Some(card), CardEvent::CardUnblocked(_)) => Some(Self { is_blocked: false, ..card }),
            (None, _) => None,
        }
    }

    fn decide(
        state: Option<&Self>,
        command: CardCommand,
        _: &Context,
    ) -> Result<Vec<CardEvent>, CardRefusal> {
        match (state, command) {
            (None, CardCommand::Issue { card_id, account_id }) => {
                Ok(vec![CardIssued { card_id, account_id }.into()])
            }
            (Some(_), CardCommand::Issue { .. }) => Err(CardRefusal::AlreadyIssued),
            (None, _) => Err(CardRefusal::NotIssued),
            (Some(card), CardCommand::Block) if !card.is_blocked => Ok(vec![CardBlocked {}.into()]),
            (Some(card), CardCommand::Unblock) if card.is_blocked => Ok(vec![CardUnblocked {}.into()]),
            (Some(_), CardCommand::Block | CardCommand::Unblock) => Ok(vec![]),
        }
    }
}

#[cfg(test)]
mod tests {
    use event::given::given;

    use super::*;

    const CARD: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);
    const ACCOUNT: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0003);

    #[test]
    fn a_card_is_issued_once_and_blocked_until_it_is_unblocked() {
        let issue = CardCommand::Issue { card_id: CARD, account_id: ACCOUNT };
        let issued = CardEvent::from(CardIssued { card_id: CARD, account_id: ACCOUNT });
        let blocked = || vec![issued.clone(), CardBlocked {}.into()];
        given::<Card>([]).when(issue.clone()).then([issued.clone()]);
        given::<Card>([issued.clone()]).when(issue).then_refused(&CardRefusal::AlreadyIssued);
        given::<Card>([]).when(CardCommand::Block).then_refused(&CardRefusal::NotIssued);
        given::<Card>([issued.clone()]).when(CardCommand::Block).then([CardBlocked {}.into()]);
        given::<Card>([issued.clone()]).when(CardCommand::Unblock).then([]);
        given::<Card>(blocked()).when(CardCommand::Block).then([]);
        let unblocked = given::<Card>(blocked()).when(CardCommand::Unblock).state();
        assert_eq!(unblocked, Some(Card { id: CARD, account_id: ACCOUNT, is_blocked: false }));
    }

    #[test]
    fn events_keep_their_shape() {
        let issued = CardIssued { card_id: CARD, account_id: ACCOUNT };
        let examples: [CardEvent; 3] = [issued.into(), CardBlocked {}.into(), CardUnblocked {}.into()];
        event::samples::check("samples/card", &examples);
    }
}
