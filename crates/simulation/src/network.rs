//! The card network's own book of a run: what it has asked, heard, decided and collected. The auditor believes it alone.

use std::collections::BTreeMap;

use card::{Message, MessageMerchant};
use money::Currency;
use uuid::Uuid;

/// What became of a question, as the network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Nobody has answered yet.
    Asked { amount: i64 },
    /// By the bank, or by the network in its place; less what was reversed of it.
    Approved { amount: i64 },
    /// Declined, or given up.
    Over,
}

/// One payment by card.
#[derive(Debug, Clone)]
pub struct Sale {
    pub card: Uuid,
    pub requests: BTreeMap<String, Request>,
    /// By message: the amount, and whether it was the last.
    pub captures: BTreeMap<String, (i64, bool)>,
    pub refunds: BTreeMap<String, i64>,
    /// What is held is held for so long that all else has come to rest before.
    pub is_held_long: bool,
}

impl Sale {
    /// What can still be collected.
    pub fn outstanding(&self) -> i64 {
        if self.captures.values().any(|(_, is_final)| *is_final) {
            return 0;
        }
        let captured: i64 = self.captures.values().map(|(amount, _)| amount).sum();
        (self.approved() - captured).max(0)
    }

    pub fn approved(&self) -> i64 {
        let of = |request: &Request| match request {
            Request::Approved { amount } => *amount,
            _ => 0,
        };
        self.requests.values().map(of).sum()
    }
}

/// What the network says; the rest of the message is filled in by whoever sends it.
pub(crate) fn message(mti: &str, transaction: &str, id: &str, card: Uuid, amount: i64) -> Message {
    Message {
        mti: mti.to_owned(),
        message_id: id.to_owned(),
        transaction_id: transaction.to_owned(),
        original_message_id: None,
        card_id: card,
        processing_code: "00".to_owned(),
        amount: amount.to_string(),
        currency: Currency::DKK,
        merchant: MessageMerchant { name: "Bakery Lund".to_owned(), category_code: None },
        partial_approval: false,
        increment: false,
        is_final: true,
    }
}
