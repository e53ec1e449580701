//! What the house knows of payments to the bank that is tested, and where banks are reached.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use money::Money;
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

use crate::line::Line;
use crate::offer::{Offer, Outcome};

/// About a kilobyte each.
const OFFERS_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
pub(crate) struct Offers {
    entries: HashMap<Uuid, Entry>,
    /// By name: where each was when it last spoke.
    banks: BTreeMap<String, Url>,
}

#[derive(Debug)]
struct Entry {
    offer: Arc<Offer>,
    outcome: Option<Outcome>,
    taken_back: Option<TakenBack>,
    /// What is decided about it is decided one after the other.
    turn: Arc<Mutex<()>>,
}

/// The creditor's bank has given it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakenBack {
    pub(crate) return_id: String,
    pub(crate) amount: Money,
}

/// Why a return is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    NotSettled,
    MoreThanPaid,
    Already,
}

impl Offers {
    pub(crate) fn note_bank(&mut self, name: &str, url: &Url) {
        self.banks.insert(name.to_owned(), url.clone());
    }

    pub(crate) fn address(&self, name: &str) -> Option<Url> {
        self.banks.get(name).cloned()
    }

    /// The only bank that has ever spoken.
    pub(crate) fn only_bank(&self) -> Option<String> {
        let mut names = self.banks.keys();
        names.next().filter(|_| names.next().is_none()).cloned()
    }

    pub(crate) fn is_full(&self, more: usize) -> bool {
        self.entries.len() + more > OFFERS_MAX
    }

    pub(crate) fn add(&mut self, offer: Arc<Offer>) {
        let turn = Arc::default();
        self.entries.insert(offer.uetr, Entry { offer, outcome: None, taken_back: None, turn });
    }

    pub(crate) fn turn(&self, uetr: Uuid) -> Option<Arc<Mutex<()>>> {
        self.entries.get(&uetr).map(|entry| Arc::clone(&entry.turn))
    }

    pub(crate) fn is_taken_back(&self, uetr: Uuid) -> bool {
        self.entries.get(&uetr).is_some_and(|entry| entry.taken_back.is_some())
    }

    pub(crate) fn find(&self, uetr: Uuid) -> Option<(Arc<Offer>, Option<Outcome>)> {
        self.entries.get(&uetr).map(|entry| (Arc::clone(&entry.offer), entry.outcome))
    }

    pub(crate) fn decide(&mut self, uetr: Uuid, outcome: Outcome) {
        if let Some(entry) = self.entries.get_mut(&uetr) {
            entry.outcome = Some(outcome);
        }
    }

    /// Once per payment; the same return again is the same. True: it is new.
    pub(crate) fn take_back(&mut self, uetr: Uuid, back: &TakenBack) -> Result<bool, NotTaken> {
        let entry = self.entries.get_mut(&uetr).ok_or(NotTaken::NotSettled)?;
        match (&entry.taken_back, entry.outcome) {
            (Some(known), _) if known == back => Ok(false),
            (Some(_), _) => Err(NotTaken::Already),
            (None, Some(Outcome { reason_code: None, .. })) => {
                let paid = entry.offer.amount;
                if back.amount.currency() != paid.currency() || back.amount.minor() > paid.minor() {
                    return Err(NotTaken::MoreThanPaid);
                }
                entry.taken_back = Some(back.clone());
                Ok(true)
            }
            (None, _) => Err(NotTaken::NotSettled),
        }
    }

    /// What nobody has decided.
    pub(crate) fn open(&self) -> Vec<Arc<Offer>> {
        let open = self.entries.values().filter(|entry| entry.outcome.is_none());
        open.map(|entry| Arc::clone(&entry.offer)).collect()
    }

    /// A decision read back from the journal.
    pub(crate) fn restore(&mut self, line: &Line) -> Result<(), &'static str> {
        match line {
            Line::Offer(line) => {
                let offer = line.restored()?;
                self.note_bank(&offer.to, &offer.deliver_to);
                self.add(Arc::new(offer));
            }
            Line::Outcome(line) => self.decide(line.uetr, line.outcome()),
            Line::TakenBack(line) => {
                self.take_back(line.uetr, &line.restored()?).map_err(|_| "its payment cannot go back")?;
            }
            Line::Payment(_)
            | Line::Return(_)
            | Line::Recall(_)
            | Line::Receipt(_)
            | Line::Moved(_)
            | Line::Card(_)
            | Line::CardTaken(_) => {}
        }
        Ok(())
    }
}
