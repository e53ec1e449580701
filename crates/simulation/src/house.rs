//! The clearing house: decides once per UETR, and keeps a book that the auditor reads.

use std::collections::BTreeMap;

use instant::{Answer, RecallOutcome, Returned};
use jiff::Timestamp;
use money::Money;
use uuid::Uuid;

/// What the house did about a payment.
#[derive(Debug, Clone)]
pub struct Entry {
    pub end_to_end_id: String,
    pub amount: Money,
    pub answer: Answer,
    /// Until then it says that it is pending.
    told_at: Timestamp,
    /// It has said something else later: whoever hears both needs a person.
    pub is_contradicted: bool,
    /// It has come back, once.
    pub returned: Option<Returned>,
    /// The answers to recalls. None: there is none.
    recalls: BTreeMap<Uuid, Option<RecallOutcome>>,
}

impl Entry {
    pub fn is_settled(&self) -> bool {
        matches!(self.answer, Answer::Settled { .. })
    }

    fn says(&self, now: Timestamp) -> Answer {
        if now < self.told_at { Answer::Pending { status: "ACSP".to_owned() } } else { self.answer.clone() }
    }
}

/// What the house makes of a payment that it sees for the first time.
pub(crate) struct Intent {
    pub(crate) is_rejected: bool,
    pub(crate) told_at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct House {
    pub(crate) book: BTreeMap<Uuid, Entry>,
}

impl House {
    pub(crate) fn receive(
        &mut self,
        uetr: Uuid,
        end_to_end_id: &str,
        amount: Money,
        intent: &Intent,
        now: Timestamp,
    ) -> Answer {
        let decide = || Entry {
            end_to_end_id: end_to_end_id.to_owned(),
            amount,
            answer: if intent.is_rejected {
                Answer::Rejected { reason_code: "AC04".to_owned() }
            } else {
                Answer::Settled { settled_at: now }
            },
            told_at: intent.told_at,
            is_contradicted: false,
            returned: None,
            recalls: BTreeMap::new(),
        };
        self.book.entry(uetr).or_insert_with(decide).says(now)
    }

    pub(crate) fn find(&self, uetr: Uuid, now: Timestamp) -> Option<Answer> {
        self.book.get(&uetr).map(|entry| entry.says(now))
    }

    /// The opposite of what it has said.
    pub(crate) fn contradict(&mut self, uetr: Uuid, now: Timestamp) -> Option<Answer> {
        let entry = self.book.get_mut(&uetr)?;
        entry.is_contradicted = true;
        Some(match entry.answer {
            Answer::Settled { .. } => Answer::Rejected { reason_code: "AM09".to_owned() },
            _ => Answer::Settled { settled_at: now },
        })
    }

    /// A settled payment comes back, less a fee. None: it cannot, or has.
    pub(crate) fn give_back(&mut self, uetr: Uuid, fee: i64) -> Option<Returned> {
        let entry =
            self.book.get_mut(&uetr).filter(|entry| entry.is_settled() && entry.returned.is_none())?;
        let amount = Money::new((entry.amount.minor() - fee).max(1), entry.amount.currency());
        let returned =
            Returned { return_id: format!("return-{uetr}"), amount, reason_code: "FOCR".to_owned() };
        entry.returned = Some(returned.clone());
        Some(returned)
    }

    /// Answers a recall as it did the first time, or as `answer` says. None: not at all.
    pub(crate) fn recalled(
        &mut self,
        uetr: Uuid,
        recall_id: Uuid,
        answer: Option<RecallOutcome>,
    ) -> Option<RecallOutcome> {
        self.book.get_mut(&uetr)?.recalls.entry(recall_id).or_insert(answer).clone()
    }
}
