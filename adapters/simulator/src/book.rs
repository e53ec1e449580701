//! What the house knows of each payment: the place where a message is found to be a repeat.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;
use money::Money;
use tokio::sync::watch;
use url::Url;
use uuid::Uuid;

use crate::card_line::CardLine;
use crate::decision::{Decision, ReasonCode, Status};
use crate::fault::{Effect, Faults, Occasion};
use crate::line::Line;
use crate::offers::Offers;
use crate::payment::Payment;

/// About 600 bytes each: a house that has decided this many has run for hours at full load, and must not
/// eat the machine.
const DECISIONS_MAX: usize = 4_000_000;

/// Under one lock with the faults, so that "is it a repeat" and "which fault strikes" are one step.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: HashMap<Uuid, Record>,
    /// Settled payments in the order of their decisions.
    settled: Vec<Uuid>,
    /// Payments to the bank that is tested.
    pub(crate) offers: Offers,
    pub(crate) faults: Faults,
    /// What the card network has not got rid of, by message.
    pub(crate) untaken_cards: HashMap<String, CardLine>,
}

#[derive(Debug)]
struct Record {
    payment: Arc<Payment>,
    progress: Progress,
    returned: Option<Return>,
    /// Recalls that were refused.
    refused: Vec<Refusal>,
}

/// The creditor's bank gives it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Return {
    pub(crate) return_id: String,
    pub(crate) amount: Money,
    pub(crate) reason: ReasonCode,
    pub(crate) case_id: Option<String>,
    pub(crate) decided_at: Timestamp,
    pub(crate) is_taken: bool,
}

/// The creditor's bank does not give it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) case_id: String,
    pub(crate) reason: ReasonCode,
    pub(crate) is_taken: bool,
}

/// A message about a settled payment that its sender has to get.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    Return(Return),
    Refusal(Refusal),
}

impl Notice {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Return(returned) => &returned.return_id,
            Self::Refusal(refusal) => &refusal.case_id,
        }
    }
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

/// Why a payment cannot be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReturned {
    Unknown,
    NotSettled,
    Already,
    MoreThanPaid,
    /// Nobody would get it.
    NoAddress,
}

impl Book {
    pub(crate) fn claim(&mut self, payment: &Payment, now: Timestamp, roll: impl FnMut() -> u8) -> Claim {
        let (has_callback, payee) = (payment.reply_to.is_some(), &payment.creditor_account);
        let decisions = self.entries.len();
        match self.entries.entry(payment.uetr) {
            Entry::Occupied(entry) if entry.get().payment.content_hash != payment.content_hash => {
                Claim::Reused
            }
            Entry::Occupied(entry) => {
                let occasion = Occasion::Payment { is_repeated: true, has_callback };
                match self.faults.draw(now, occasion, payee, roll) {
                    Some(Effect::Down) => Claim::Down,
                    Some(Effect::LoseRequest) => Claim::Lost,
                    fault => Claim::Repeat { fault, progress: entry.get().progress.clone() },
                }
            }
            Entry::Vacant(_) if decisions >= DECISIONS_MAX => Claim::Full,
            Entry::Vacant(entry) => {
                let occasion = Occasion::Payment { is_repeated: false, has_callback };
                let fault = self.faults.draw(now, occasion, payee, roll);
                match fault {
                    Some(Effect::Down) => return Claim::Down,
                    Some(Effect::LoseRequest) => return Claim::Lost,
                    _ => {}
                }
                let (done, waiting) = watch::channel(None);
                let progress = Progress::Deciding(waiting);
                let payment = Arc::new(payment.clone());
                entry.insert(Record { payment, progress, returned: None, refused: Vec::new() });
                Claim::New { fault, done }
            }
        }
    }

    pub(crate) fn find(&self, uetr: Uuid) -> Option<(Arc<Payment>, Progress)> {
        self.entries.get(&uetr).map(|record| (Arc::clone(&record.payment), record.progress.clone()))
    }

    pub(crate) fn address(&self, uetr: Uuid) -> Option<Url> {
        self.entries.get(&uetr).and_then(|record| record.payment.reply_to.clone())
    }

    /// True: messages about the payment go to another address from now on.
    pub(crate) fn has_moved(&mut self, uetr: Uuid, url: &Url) -> bool {
        let Some(record) = self.entries.get_mut(&uetr) else { return false };
        // One that is being decided is journalled with its own.
        if record.payment.reply_to.as_ref() == Some(url) || matches!(record.progress, Progress::Deciding(_)) {
            return false;
        }
        let payment = Payment { reply_to: Some(url.clone()), ..(*record.payment).clone() };
        record.payment = Arc::new(payment);
        true
    }

    pub(crate) fn settle(&mut self, uetr: Uuid, decision: Decision) {
        if let Some(record) = self.entries.get_mut(&uetr) {
            record.progress = Progress::Decided(decision);
            if decision.status() == Status::Settled {
                self.settled.push(uetr);
            }
        }
    }

    /// Once per payment. Without an amount all of it.
    pub(crate) fn give_back(
        &mut self,
        uetr: Uuid,
        amount: Option<Money>,
        reason: ReasonCode,
        case_id: Option<String>,
        now: Timestamp,
    ) -> Result<(Arc<Payment>, Return), NotReturned> {
        let record = self.entries.get_mut(&uetr).ok_or(NotReturned::Unknown)?;
        let is_settled =
            matches!(record.progress, Progress::Decided(decision) if decision.status() == Status::Settled);
        if !is_settled {
            return Err(NotReturned::NotSettled);
        }
        if record.returned.is_some() {
            return Err(NotReturned::Already);
        }
        let paid = record.payment.amount;
        let amount = amount.unwrap_or(paid);
        if amount.currency() != paid.currency() || amount.minor() > paid.minor() {
            return Err(NotReturned::MoreThanPaid);
        }
        if record.payment.reply_to.is_none() {
            return Err(NotReturned::NoAddress);
        }
        let return_id = format!("R{}", Uuid::now_v7().simple());
        let returned = Return { return_id, amount, reason, case_id, decided_at: now, is_taken: false };
        record.returned = Some(returned.clone());
        Ok((Arc::clone(&record.payment), returned))
    }

    /// The latest payments that can be given back.
    pub(crate) fn latest_settled(&self, count: usize) -> Vec<Uuid> {
        let latest = self.settled.iter().rev();
        let open =
            latest.filter(|uetr| self.entries.get(uetr).is_some_and(|record| record.returned.is_none()));
        open.take(count).copied().collect()
    }

    /// What the recall was answered with, if it was.
    pub(crate) fn answer_to(&self, uetr: Uuid, case_id: &str) -> Option<Notice> {
        let record = self.entries.get(&uetr)?;
        let returned = record.returned.iter().filter(|returned| returned.case_id.as_deref() == Some(case_id));
        let refused = record.refused.iter().filter(|refusal| refusal.case_id == case_id);
        returned.cloned().map(Notice::Return).chain(refused.cloned().map(Notice::Refusal)).next()
    }

    pub(crate) fn refuse(&mut self, uetr: Uuid, refusal: Refusal) {
        if let Some(record) = self.entries.get_mut(&uetr) {
            record.refused.push(refusal);
        }
    }

    pub(crate) fn taken(&mut self, uetr: Uuid, id: &str) {
        let Some(record) = self.entries.get_mut(&uetr) else { return };
        for returned in record.returned.iter_mut().filter(|returned| returned.return_id == id) {
            returned.is_taken = true;
        }
        for refusal in record.refused.iter_mut().filter(|refusal| refusal.case_id == id) {
            refusal.is_taken = true;
        }
    }

    /// What was decided and nobody has taken yet.
    pub(crate) fn untaken(&self) -> Vec<(Arc<Payment>, Notice)> {
        let notices = self.entries.values().flat_map(|record| {
            let returned = record.returned.iter().filter(|returned| !returned.is_taken).cloned();
            let refused = record.refused.iter().filter(|refusal| !refusal.is_taken).cloned();
            let notices = returned.map(Notice::Return).chain(refused.map(Notice::Refusal));
            notices.map(|notice| (Arc::clone(&record.payment), notice))
        });
        notices.collect()
    }

    /// A decision read back from the journal.
    pub(crate) fn restore(&mut self, line: &Line) -> Result<(), &'static str> {
        match line {
            Line::Payment(line) => {
                let (payment, decision) = line.restored()?;
                let Entry::Vacant(entry) = self.entries.entry(line.uetr) else {
                    return Err("its UETR was decided before");
                };
                if let Some(url) = &payment.reply_to {
                    self.offers.note_bank(&payment.sender, url);
                }
                let (payment, progress) = (Arc::new(payment), Progress::Decided(decision));
                entry.insert(Record { payment, progress, returned: None, refused: Vec::new() });
                self.settle(line.uetr, decision);
            }
            Line::Return(line) => {
                let (amount, case_id) = (line.amount()?, line.case_id.clone());
                let given =
                    self.give_back(line.uetr, Some(amount), line.return_reason, case_id, line.decided_at);
                given.map_err(|_| "its payment cannot be returned")?;
                let record = self.entries.get_mut(&line.uetr).ok_or("its payment is unknown")?;
                record
                    .returned
                    .iter_mut()
                    .for_each(|returned| returned.return_id.clone_from(&line.return_id));
            }
            Line::Recall(line) => {
                let (case_id, reason) = (line.case_id.clone(), line.recall_refused);
                self.refuse(line.uetr, Refusal { case_id, reason, is_taken: false });
            }
            Line::Receipt(line) => self.taken(line.uetr, &line.taken),
            Line::Moved(line) => {
                self.has_moved(line.uetr, &line.reply_to);
            }
            Line::Card(line) if line.card_event.is_advice() => {
                self.untaken_cards.insert(line.message_id.clone(), line.clone());
            }
            Line::Card(_) => {}
            Line::CardTaken(line) => {
                self.untaken_cards.remove(&line.card_taken);
            }
            line @ (Line::Offer(_) | Line::Outcome(_) | Line::TakenBack(_)) => self.offers.restore(line)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use money::{Currency, Money};

    use super::{Book, Claim, NotReturned};
    use crate::decision::{Decision, ReasonCode};
    use crate::input::Input;
    use crate::payment::Payment;
    use crate::payment::tests::{payment, transfer};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const SETTLED: Decision = Decision { reason_code: None, decided_at: NOW, told_at: NOW };

    fn claimed() -> (Book, Payment) {
        let (mut book, payment) = (Book::default(), payment(transfer()));
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::New { .. }));
        (book, payment)
    }

    #[test]
    fn only_the_first_claim_decides() {
        let (mut book, payment) = claimed();
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Repeat { .. }));
        book.settle(payment.uetr, SETTLED);
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Repeat { .. }));
    }

    #[test]
    fn a_uetr_with_other_content_is_reused() {
        let (mut book, _) = claimed();
        let mut other = transfer();
        other.amount = Money::new(1_251, Currency::DKK);
        assert!(matches!(book.claim(&payment(other), NOW, || 1), Claim::Reused));
    }

    #[test]
    fn a_house_that_is_down_or_lost_the_request_remembers_nothing() {
        let (mut book, payment) = (Book::default(), payment(transfer()));
        book.faults.order(Input::parse(br#"{"kind":"down","count":1}"#).unwrap(), NOW).unwrap();
        book.faults.order(Input::parse(br#"{"kind":"lose_request","count":1}"#).unwrap(), NOW).unwrap();
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Down));
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::Lost));
        assert!(book.find(payment.uetr).is_none());
        assert!(matches!(book.claim(&payment, NOW, || 1), Claim::New { .. }));
    }

    #[test]
    fn a_payment_comes_back_once_when_it_is_settled_and_never_more_than_was_paid() {
        let (mut book, payment) = claimed();
        let give_back = |book: &mut Book, minor| {
            let amount = Money::new(minor, Currency::DKK);
            book.give_back(payment.uetr, Some(amount), ReasonCode::BLOCKED_ACCOUNT, None, NOW)
                .map(|(_, back)| back)
        };
        assert_eq!(give_back(&mut book, 1), Err(NotReturned::NotSettled));
        book.settle(payment.uetr, SETTLED);
        assert_eq!(give_back(&mut book, 1_251), Err(NotReturned::MoreThanPaid));
        assert_eq!(book.latest_settled(5), [payment.uetr]);
        let returned = give_back(&mut book, 1_250).unwrap();
        assert_eq!(give_back(&mut book, 1_250), Err(NotReturned::Already));
        assert!(book.latest_settled(5).is_empty());
        assert_eq!(book.untaken().len(), 1);
        book.taken(payment.uetr, &returned.return_id);
        assert!(book.untaken().is_empty());
    }
}
