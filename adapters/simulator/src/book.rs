//! The decisions by UETR, decided or under way: the place where a payment is found to be a repeat.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::decision::Decision;
use crate::fault::{Effect, Faults, Occasion};
use crate::journal::Line;
use crate::payment::{ContentHash, Payment};

/// About 150 bytes each: a house that has decided this many has run for hours at full load, and must not
/// eat the machine.
const DECISIONS_MAX: usize = 10_000_000;

/// Under one lock with the faults, so that "is it a repeat" and "which fault strikes" are one step.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: HashMap<Uuid, Record>,
    pub(crate) faults: Faults,
}

#[derive(Debug)]
struct Record {
    content_hash: ContentHash,
    progress: Progress,
}

/// `Deciding` turns into `Decided` when the journal has the decision on disk, never earlier.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    Deciding(watch::Receiver<Option<Decision>>),
    Decided(Decision),
}

#[derive(Debug)]
pub(crate) enum Claim {
    /// This caller decides, and tells those who wait through the sender.
    New {
        fault: Option<Effect>,
        done: watch::Sender<Option<Decision>>,
    },
    Repeat {
        fault: Option<Effect>,
        progress: Progress,
    },
    /// The UETR belongs to another payment.
    Reused,
    /// The request never came.
    Lost,
    Down,
    Full,
}

impl Book {
    pub(crate) fn claim(&mut self, payment: &Payment, now: Timestamp, roll: impl FnMut() -> u8) -> Claim {
        let has_callback = payment.callback_url.is_some();
        let decisions = self.entries.len();
        match self.entries.entry(payment.uetr) {
            Entry::Occupied(entry) if entry.get().content_hash != payment.content_hash => Claim::Reused,
            Entry::Occupied(entry) => {
                let occasion = Occasion::Payment { is_repeated: true, has_callback };
                match self.faults.draw(now, occasion, roll) {
                    Some(Effect::Down) => Claim::Down,
                    Some(Effect::LoseRequest) => Claim::Lost,
                    fault => Claim::Repeat { fault, progress: entry.get().progress.clone() },
                }
            }
            Entry::Vacant(_) if decisions >= DECISIONS_MAX => Claim::Full,
            Entry::Vacant(entry) => {
                let occasion = Occasion::Payment { is_repeated: false, has_callback };
                let fault = self.faults.draw(now, occasion, roll);
                match fault {
                    Some(Effect::Down) => return Claim::Down,
                    Some(Effect::LoseRequest) => return Claim::Lost,
                    _ => {}
                }
                let (done, waiting) = watch::channel(None);
                let progress = Progress::Deciding(waiting);
                entry.insert(Record { content_hash: payment.content_hash, progress });
                Claim::New { fault, done }
            }
        }
    }

    pub(crate) fn find(&self, uetr: Uuid) -> Option<Progress> {
        self.entries.get(&uetr).map(|record| record.progress.clone())
    }

    pub(crate) fn settle(&mut self, decision: Decision) {
        if let Some(record) = self.entries.get_mut(&decision.uetr) {
            record.progress = Progress::Decided(decision);
        }
    }

    /// A decision read back from the journal. False when its UETR has one already.
    pub(crate) fn restore(&mut self, line: &Line) -> bool {
        match self.entries.entry(line.uetr) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                let progress = Progress::Decided(line.decision());
                entry.insert(Record { content_hash: line.content_hash, progress });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::{Book, Claim};
    use crate::decision::decide;
    use crate::input::Input;
    use crate::payment::tests::{read, sample};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn only_the_first_claim_decides() {
        let (mut book, payment) = (Book::default(), read(&sample()).unwrap());
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::New { .. }));
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Repeat { .. }));
        book.settle(decide(&payment, None, NOW));
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Repeat { .. }));
    }

    #[test]
    fn a_uetr_with_other_content_is_reused() {
        let mut book = Book::default();
        book.claim(&read(&sample()).unwrap(), NOW, || 1);
        let mut other = sample();
        other["amount"]["amount"] = json!("1251");
        assert!(matches!(book.claim(&read(&other).unwrap(), NOW, || 1), Claim::Reused));
    }

    #[test]
    fn a_house_that_is_down_or_lost_the_request_remembers_nothing() {
        let (mut book, payment) = (Book::default(), read(&sample()).unwrap());
        book.faults.order(Input::parse(br#"{"kind":"down","count":1}"#).unwrap(), NOW).unwrap();
        book.faults.order(Input::parse(br#"{"kind":"lose_request","count":1}"#).unwrap(), NOW).unwrap();
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Down));
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Lost));
        assert!(book.find(payment.uetr).is_none());
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::New { .. }));
    }
}
