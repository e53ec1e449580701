//! What the house knows of payments to this bank's customers.

use std::collections::BTreeMap;

use instant::Answer;
use jiff::Timestamp;
use money::Money;
use uuid::Uuid;

#[derive(Debug, Clone)]
pub struct Offered {
    pub amount: Money,
    /// Whose it is. None: nobody's here.
    pub account: Option<Uuid>,
    /// Whether it has settled, and when that was decided.
    outcome: Option<(bool, Timestamp)>,
    /// It has said something else later.
    pub is_contradicted: bool,
    /// What has gone back, under this id; and what the house did not want.
    pub taken_back: Option<Uuid>,
    is_unwanted: bool,
}

impl Offered {
    pub(crate) fn new(amount: Money, account: Option<Uuid>) -> Self {
        let (outcome, is_contradicted, taken_back, is_unwanted) = (None, false, None, false);
        Self { amount, account, outcome, is_contradicted, taken_back, is_unwanted }
    }

    pub fn is_settled(&self) -> bool {
        matches!(self.outcome, Some((true, _)))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Offers {
    pub(crate) book: BTreeMap<Uuid, Offered>,
}

impl Offers {
    /// The first decision stands. True: this is it.
    pub(crate) fn decide(&mut self, uetr: Uuid, is_settled: bool, now: Timestamp) -> bool {
        let Some(offered) = self.book.get_mut(&uetr).filter(|offered| offered.outcome.is_none()) else {
            return false;
        };
        offered.outcome = Some((is_settled, now));
        true
    }

    pub(crate) fn says(&self, uetr: Uuid) -> Option<Answer> {
        Some(match self.book.get(&uetr)?.outcome {
            None => Answer::Pending { status: "ACSP".to_owned() },
            Some((true, settled_at)) => Answer::Settled { settled_at },
            Some((false, _)) => Answer::Rejected { reason_code: "AB05".to_owned() },
        })
    }

    /// The opposite of what it has said.
    pub(crate) fn contradict(&mut self, uetr: Uuid, now: Timestamp) -> Option<Answer> {
        let offered = self.book.get_mut(&uetr)?;
        offered.is_contradicted = true;
        Some(match offered.outcome {
            Some((true, _)) => Answer::Rejected { reason_code: "AM09".to_owned() },
            _ => Answer::Settled { settled_at: now },
        })
    }

    /// Answers as it did the first time, or as it is willing to.
    pub(crate) fn take_back(&mut self, uetr: Uuid, return_id: Uuid, is_willing: bool) -> bool {
        let Some(offered) = self.book.get_mut(&uetr) else { return false };
        if offered.taken_back == Some(return_id) {
            return true;
        }
        offered.is_unwanted |= !is_willing || !offered.is_settled();
        if !offered.is_unwanted {
            offered.taken_back = Some(return_id);
        }
        !offered.is_unwanted
    }
}
