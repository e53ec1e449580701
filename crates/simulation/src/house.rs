//! The clearing house: decides once per UETR, and keeps a book that the auditor reads.

use std::collections::BTreeMap;

use instant::Answer;
use jiff::Timestamp;
use money::Money;
use uuid::Uuid;

/// What the house did about a payment.
#[derive(Debug, Clone)]
pub struct Entry {
    pub end_to_end_id: String,
    pub amount: Money,
    pub answer: Answer,
    /// It has said something else later: whoever hears both needs a person.
    pub is_contradicted: bool,
}

impl Entry {
    pub fn is_settled(&self) -> bool {
        matches!(self.answer, Answer::Settled { .. })
    }
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
        is_rejected: bool,
        now: Timestamp,
    ) -> Answer {
        let decide = || Entry {
            end_to_end_id: end_to_end_id.to_owned(),
            amount,
            answer: if is_rejected {
                Answer::Rejected { reason_code: "AC04".to_owned() }
            } else {
                Answer::Settled { settled_at: now }
            },
            is_contradicted: false,
        };
        self.book.entry(uetr).or_insert_with(decide).answer.clone()
    }

    pub(crate) fn find(&self, uetr: Uuid) -> Option<Answer> {
        self.book.get(&uetr).map(|entry| entry.answer.clone())
    }

    /// The opposite of what it has said.
    pub(crate) fn contradict(&mut self, uetr: Uuid, now: Timestamp) -> Option<Answer> {
        let entry = self.book.get_mut(&uetr)?;
        entry.is_contradicted = true;
        Some(match entry.answer {
            Answer::Settled { .. } => Answer::Rejected { reason_code: "AM09".to_owned() },
            Answer::Rejected { .. } => Answer::Settled { settled_at: now },
        })
    }
}
