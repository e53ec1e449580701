//! Payments to the bank that is tested: offered until they are taken, decided by its answer or by the clock, told, and given back.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use futures::future::try_join_all;
use iso20022::{Message, Original, OriginalKind, PaymentReturn, StatusReport, TransactionStatus};
use jiff::Timestamp;
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::callback::Patience;
use crate::decision::{Delivery, ReasonCode};
use crate::fault::{Effect, Occasion};
use crate::house::{Answer, House};
use crate::line::Line;
use crate::offer::{Offer, OfferOrder, Outcome};
use crate::offers::{NotTaken, TakenBack};
use crate::problem::Problem;

/// A payment that was ordered.
#[derive(Debug, Serialize)]
pub(crate) struct Offered {
    uetr: Uuid,
    end_to_end_id: String,
    transaction_id: String,
}

impl House {
    pub(crate) async fn offer(self: &Arc<Self>, order: OfferOrder) -> Result<Vec<Offered>, Problem> {
        let no_address = |detail| Problem::new(StatusCode::CONFLICT, "no-address", detail);
        let to = order.to.clone().or_else(|| self.book().offers.only_bank());
        let to = to.ok_or_else(|| no_address("no bank, or more than one, has spoken yet: say `to`"))?;
        if let Some(url) = &order.deliver_to {
            self.book().offers.note_bank(&to, url);
        }
        let address = self.book().offers.address(&to);
        let address = address.ok_or_else(|| no_address("this bank has not spoken yet: say `deliver_to`"))?;
        if self.book().offers.is_full(usize::try_from(order.count).unwrap_or(usize::MAX)) {
            return Err(Problem::unavailable("full", "the house takes no more payments"));
        }
        // Together, so that they share what the disk takes.
        let offers = (0..order.count).map(|_| self.offer_one(order.offer(&to, &address, Timestamp::now())));
        try_join_all(offers).await
    }

    async fn offer_one(self: &Arc<Self>, offer: Offer) -> Result<Offered, Problem> {
        let offer = Arc::new(offer);
        let line = Line::offer(&offer);
        self.journal.append(line).await.map_err(|_stopped| Problem::outcome_unknown())?;
        self.book().offers.add(Arc::clone(&offer));
        let (end_to_end_id, transaction_id) = (offer.end_to_end_id.clone(), offer.transaction_id.clone());
        let offered = Offered { uetr: offer.uetr, end_to_end_id, transaction_id };
        self.follow(offer);
        Ok(offered)
    }

    /// Those that were under way when the house went down.
    pub(crate) fn resume_offers(self: &Arc<Self>) {
        let open = self.book().offers.open();
        for offer in open {
            self.follow(offer);
        }
    }

    /// Offers it until somebody takes it or it is decided, and cancels it when the creditor's bank is silent for too long.
    fn follow(self: &Arc<Self>, offer: Arc<Offer>) {
        let (house, told) = (Arc::clone(self), Arc::clone(&offer));
        self.tasks.spawn(async move {
            let xml = house.desk.offer(&told);
            let address = || {
                let book = house.book();
                let is_open = book.offers.find(told.uetr).is_some_and(|(_, outcome)| outcome.is_none());
                is_open.then(|| book.offers.address(&told.to)).flatten()
            };
            house.callbacks.deliver(address, &xml, Patience::Endless).await;
        });
        let house = Arc::clone(self);
        self.tasks.spawn(async move {
            let waited = Timestamp::now().duration_since(offer.offered_at).unsigned_abs();
            tokio::select! {
                () = house.shutdown.cancelled() => return,
                () = tokio::time::sleep(house.times.acceptance.saturating_sub(waited)) => {}
            }
            let decided = house.decide_offer(&offer, Some(ReasonCode::TIMEOUT)).await;
            if let Ok((outcome, true)) = decided {
                house.tell(&offer, Some(outcome), Patience::Short).await;
            }
        });
    }

    /// The outcome, and whether it is a new one: the first stands.
    async fn decide_offer(
        &self,
        offer: &Offer,
        reason_code: Option<ReasonCode>,
    ) -> Result<(Outcome, bool), Problem> {
        let turn = self.book().offers.turn(offer.uetr).unwrap_or_default();
        let _turn = turn.lock().await;
        if let Some((_, Some(outcome))) = self.book().offers.find(offer.uetr) {
            return Ok((outcome, false));
        }
        let outcome = Outcome { reason_code, decided_at: Timestamp::now() };
        let line = Line::outcome(offer.uetr, outcome);
        self.journal.append(line).await.map_err(|_stopped| Problem::outcome_unknown())?;
        self.book().offers.decide(offer.uetr, outcome);
        Ok((outcome, true))
    }

    async fn tell(&self, offer: &Offer, outcome: Option<Outcome>, patience: Patience) {
        let xml = self.desk.report(&offer.to, Outcome::report(outcome, offer.original()));
        let address = || self.book().offers.address(&offer.to);
        self.callbacks.deliver(address, &xml, patience).await;
    }

    /// The creditor's bank has said whether it will credit.
    pub(crate) async fn answered(self: &Arc<Self>, report: StatusReport) -> Result<Answer, Problem> {
        let uetr = report.original.uetr;
        let found = self.book().offers.find(uetr);
        let (offer, known) = found.ok_or_else(|| Problem::not_found("there is no payment with this UETR"))?;
        let fault = self.draw(Occasion::Acceptance { is_repeated: known.is_some() }, &offer);
        match fault {
            Some(Effect::Down) => return Err(Problem::unavailable("down", "the house is down")),
            Some(Effect::LoseRequest) => return Ok(Answer::Lost),
            _ => {}
        }
        let refused = match (report.status, fault) {
            (_, Some(Effect::SettleAnyway)) => None,
            (TransactionStatus::Rejected, _) => {
                Some(report.reason.and_then(|reason| ReasonCode::try_from(reason.as_str().to_owned()).ok()))
            }
            (_, Some(Effect::Reject { reason_code })) => Some(Some(reason_code)),
            _ => None,
        };
        let reason_code = refused.map(|reason| reason.unwrap_or(ReasonCode::NARRATIVE));
        let (outcome, _) = self.decide_offer(&offer, reason_code).await?;
        let final_word = || self.desk.report(&offer.to, Outcome::report(Some(outcome), offer.original()));
        match Delivery::under(fault) {
            Delivery::Prompt | Delivery::Mistaken => Ok(Answer::Xml(final_word())),
            Delivery::Malformed => {
                let mut xml = final_word();
                xml.truncate(xml.floor_char_boundary(xml.len() / 2));
                Ok(Answer::Xml(xml))
            }
            Delivery::Lost => Ok(Answer::Lost),
            Delivery::Late { delay } => {
                self.tell_later(offer, outcome, delay, 1);
                Ok(Answer::Taken)
            }
            Delivery::InTwo { delay } => {
                let first = self.desk.report(&offer.to, Outcome::report(None, offer.original()));
                self.tell_later(offer, outcome, delay, 1);
                Ok(Answer::Xml(first))
            }
            Delivery::Duplicated => {
                let first = final_word();
                self.tell_later(offer, outcome, Duration::ZERO, 2);
                Ok(Answer::Xml(first))
            }
        }
    }

    fn tell_later(self: &Arc<Self>, offer: Arc<Offer>, outcome: Outcome, delay: Duration, times: usize) {
        let house = Arc::clone(self);
        self.tasks.spawn(async move {
            house.wait(delay).await;
            for _ in 0..times {
                house.tell(&offer, Some(outcome), Patience::Short).await;
            }
        });
    }

    /// What became of a payment to the bank that asks. None: it is none of those.
    pub(crate) fn enquire_offer(&self, from: &str, original: &Original) -> Option<Result<Answer, Problem>> {
        let (offer, outcome) = self.book().offers.find(original.uetr)?;
        Some(Ok(match self.draw(Occasion::Enquiry, &offer) {
            Some(Effect::Down) => return Some(Err(Problem::unavailable("down", "the house is down"))),
            Some(Effect::LoseEnquiry) => Answer::Lost,
            Some(Effect::Unknown) => Answer::Xml(self.desk.not_found(from, original.clone())),
            _ => Answer::Xml(self.desk.report(from, Outcome::report(outcome, offer.original()))),
        }))
    }

    /// The creditor's bank gives a payment back.
    pub(crate) async fn take_back(
        &self,
        message: Message,
        returned: PaymentReturn,
    ) -> Result<Answer, Problem> {
        let uetr = returned.original.uetr;
        let found = self.book().offers.find(uetr).map(|(offer, _)| offer);
        let offer = found.ok_or_else(|| Problem::not_found("there is no payment with this UETR"))?;
        let turn = self.book().offers.turn(uetr).unwrap_or_default();
        let _turn = turn.lock().await;
        let is_repeated = self.book().offers.is_taken_back(uetr);
        let fault = self.draw(Occasion::Return { is_repeated }, &offer);
        match fault {
            Some(Effect::Down) => return Err(Problem::unavailable("down", "the house is down")),
            Some(Effect::LoseRequest) => return Ok(Answer::Lost),
            _ => {}
        }
        let back = TakenBack { return_id: returned.return_id, amount: returned.amount };
        let taken = match fault {
            Some(Effect::RejectReturn { reason_code }) => Err(reason_code),
            _ => self.book().offers.take_back(uetr, &back).map_err(reason),
        };
        if taken == Ok(true) {
            let line = Line::taken_back(uetr, &back, Timestamp::now());
            self.journal.append(line).await.map_err(|_stopped| Problem::outcome_unknown())?;
        }
        let outcome = Outcome { reason_code: taken.err(), decided_at: Timestamp::now() };
        let original =
            Original { kind: OriginalKind::PaymentReturn, message_id: message.id, ..offer.original() };
        let report = self.desk.report(&message.from, Outcome::report(Some(outcome), original));
        Ok(if fault == Some(Effect::LoseAnswer) { Answer::Lost } else { Answer::Xml(report) })
    }

    fn draw(&self, occasion: Occasion, offer: &Offer) -> Option<Effect> {
        let roll = || rand::random_range(1..=100);
        self.book().faults.draw(Timestamp::now(), occasion, &offer.creditor.account, roll)
    }

    /// A bank is reached where it last spoke from.
    pub(crate) fn note_bank(&self, name: &str, reply_to: Option<&Url>) {
        if let Some(url) = reply_to {
            self.book().offers.note_bank(name, url);
        }
    }
}

fn reason(refusal: NotTaken) -> ReasonCode {
    match refusal {
        NotTaken::NotSettled => ReasonCode::NARRATIVE,
        NotTaken::MoreThanPaid => ReasonCode::WRONG_AMOUNT,
        NotTaken::Already => ReasonCode::ALREADY_RETURNED,
    }
}
