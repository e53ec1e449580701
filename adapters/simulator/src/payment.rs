//! A payment as a bank instructs it: what of it the house keeps.

use iso20022::{CreditTransfer, Message, Original, OriginalKind};
use money::Money;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::decision::CLOSED_ACCOUNT_SUFFIX;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    /// The bank that has sent it.
    pub(crate) sender: String,
    pub(crate) message_id: String,
    pub(crate) end_to_end_id: String,
    pub(crate) transaction_id: String,
    pub(crate) uetr: Uuid,
    pub(crate) amount: Money,
    pub(crate) creditor_account: String,
    /// Where messages go that cannot go back the way that the payment came. Not part of the content: a sender
    /// that has moved sends the same payment.
    pub(crate) reply_to: Option<Url>,
    pub(crate) content_hash: ContentHash,
}

impl Payment {
    pub(crate) fn new(message: Message, transfer: CreditTransfer, reply_to: Option<Url>) -> Self {
        let content_hash = ContentHash::of(&message.from, &transfer);
        Self {
            sender: message.from,
            message_id: message.id,
            end_to_end_id: transfer.end_to_end_id,
            transaction_id: transfer.transaction_id,
            uetr: transfer.uetr,
            amount: transfer.amount,
            creditor_account: transfer.creditor.account,
            reply_to,
            content_hash,
        }
    }

    /// How later messages refer to it.
    pub(crate) fn original(&self) -> Original {
        Original {
            kind: OriginalKind::CreditTransfer,
            message_id: self.message_id.clone(),
            end_to_end_id: self.end_to_end_id.clone(),
            transaction_id: self.transaction_id.clone(),
            uetr: self.uetr,
        }
    }

    pub(crate) fn is_to_a_closed_account(&self) -> bool {
        self.creditor_account.ends_with(CLOSED_ACCOUNT_SUFFIX)
    }
}

/// Tells whether a UETR comes back with the same payment, also after a restart, without keeping names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ContentHash(u128);

impl ContentHash {
    /// All but what an attempt has of its own: the message's id and time.
    fn of(sender: &str, transfer: &CreditTransfer) -> Self {
        let amount = transfer.amount.to_string();
        let mut hash = Sha256::new();
        let parties = [&transfer.debtor, &transfer.creditor];
        let names = parties.iter().flat_map(|party| {
            [party.name.as_str(), &party.account, party.agent.as_deref().unwrap_or_default()]
        });
        let identifiers = [sender, &transfer.end_to_end_id, &transfer.transaction_id, &amount];
        let remittance = transfer.remittance.as_deref().unwrap_or_default();
        for text in identifiers.into_iter().chain(names).chain([remittance]) {
            hash.update(text);
            hash.update([0]);
        }
        hash.update(transfer.uetr);
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(u128::from_be_bytes(half))
    }
}

impl TryFrom<String> for ContentHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hash = u128::from_str_radix(&text, 16).map_err(|_| "is not a hash")?;
        (text.len() == 32).then_some(Self(hash)).ok_or("is not a hash of 32 digits")
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        format!("{:032x}", hash.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use iso20022::{CreditTransfer, Document, Message, Party};
    use jiff::Timestamp;
    use money::{Currency, Money};
    use uuid::Uuid;

    use super::Payment;

    pub(crate) fn transfer() -> CreditTransfer {
        let party = |name: &str, account: &str| Party {
            name: name.to_owned(),
            account: account.to_owned(),
            agent: Some("LUNADK22XXX".to_owned()),
        };
        CreditTransfer {
            end_to_end_id: "rent".to_owned(),
            transaction_id: "t1".to_owned(),
            uetr: Uuid::from_u128(0x0b2c_1f7e_3f0d_4c39_9d6e_4b8f_3c1a_2d5e),
            amount: Money::new(1_250, Currency::DKK),
            settlement_date: "2026-11-22".parse().unwrap(),
            accepted_at: Timestamp::UNIX_EPOCH,
            debtor: party("Ada", "DK5000400440116243"),
            creditor: party("Bo", "DK9520000123456789"),
            remittance: Some("January".to_owned()),
        }
    }

    pub(crate) fn payment(transfer: CreditTransfer) -> Payment {
        let message = Message {
            from: "LUNADK22XXX".to_owned(),
            to: "NCTIDKK1XXX".to_owned(),
            id: "m1".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            document: Document::CreditTransfer(transfer.clone()),
        };
        Payment::new(message, transfer, Some("http://127.0.0.1:1/iso20022".parse().unwrap()))
    }

    #[test]
    fn everything_but_the_attempts_own_is_content() {
        let first = payment(transfer()).content_hash;
        let changes: [fn(&mut CreditTransfer); 9] = [
            |transfer| transfer.uetr = Uuid::from_u128(1),
            |transfer| transfer.end_to_end_id = "other".to_owned(),
            |transfer| transfer.transaction_id = "other".to_owned(),
            |transfer| transfer.amount = Money::new(1_251, Currency::DKK),
            |transfer| transfer.amount = Money::new(1_250, Currency::EUR),
            |transfer| transfer.debtor.account = "DK5000400440116244".to_owned(),
            |transfer| transfer.creditor.name = "Eve".to_owned(),
            |transfer| transfer.creditor.agent = None,
            |transfer| transfer.remittance = None,
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut other = transfer();
            change(&mut other);
            assert_ne!(payment(other).content_hash, first, "{n}");
        }
        let mut later = transfer();
        later.accepted_at = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(payment(later).content_hash, first);
    }
}
