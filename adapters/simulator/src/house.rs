//! The clearing house: takes a payment from its claim on a UETR to an answer, whether or not the sender stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use iso20022::{Original, StatusReport};
use jiff::Timestamp;
use money::Money;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::book::{Book, Claim, Progress};
use crate::callback::{Callbacks, Patience};
use crate::decision::{Decision, Delivery, decide};
use crate::desk::Desk;
use crate::fault::{Effect, Occasion};
use crate::journal::Journal;
use crate::line::Line;
use crate::network::Network;
use crate::payment::Payment;
use crate::problem::Problem;
use crate::tasks::Tasks;

/// Payments under way, with those whose sender has gone and whose late answer or callback is still due.
/// Beyond it a payment is refused as by a house that is down.
pub(crate) const PAYMENTS_UNDER_WAY_MAX: usize = 4_096;
/// How often a duplicated answer goes to the sender's address.
const DUPLICATES: usize = 2;

#[derive(Debug)]
pub(crate) struct House {
    pub(crate) desk: Desk,
    pub(crate) book: Mutex<Book>,
    pub(crate) journal: Journal,
    pub(crate) callbacks: Callbacks,
    pub(crate) tasks: Tasks,
    pub(crate) network: Network,
    pub(crate) times: Times,
    pub(crate) shutdown: CancellationToken,
    pub(crate) under_way: Semaphore,
    /// Recalls and returns are decided one after the other.
    pub(crate) after_settlement: tokio::sync::Mutex<()>,
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The house, over each new payment before it decides.
    pub(crate) decision: Duration,
    /// At most: a creditor's bank, until it has said whether it will credit.
    pub(crate) acceptance: Duration,
}

/// How a message is answered on its own connection.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A message.
    Xml(String),
    /// Taken; what follows comes later.
    Taken,
    /// The connection has to close without a response.
    Lost,
}

type Answered = Result<Answer, Problem>;

impl House {
    /// Runs in a task of its own, so that a sender who hangs up neither stops nor repeats a payment.
    pub(crate) async fn pay(self: &Arc<Self>, payment: Payment) -> Answered {
        let (answer_to, answer) = oneshot::channel();
        let house = Arc::clone(self);
        self.tasks.spawn(async move {
            match house.under_way.try_acquire() {
                Ok(permit) => house.clear(payment, answer_to, permit).await,
                Err(_) => {
                    let busy = Problem::unavailable("busy", "too many payments are under way");
                    let _ = answer_to.send(Err(busy));
                }
            }
        });
        answer.await.unwrap_or_else(|_| Err(Problem::outcome_unknown()))
    }

    /// Runs in a task of its own, for the same reason.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer_to, answer) = oneshot::channel();
        self.tasks.spawn(async move {
            // Nobody waits any more when the sender has gone.
            let _ = answer_to.send(work.await);
        });
        answer.await.unwrap_or_else(|_| Err(Problem::outcome_unknown()))
    }

    /// Where messages about this payment go from now on.
    pub(crate) async fn note_address(&self, uetr: Uuid, reply_to: Option<&Url>) -> Result<(), Problem> {
        let Some(url) = reply_to else { return Ok(()) };
        if !self.book().has_moved(uetr, url) {
            return Ok(());
        }
        let line = Line::moved(uetr, url.clone(), Timestamp::now());
        self.journal.append(line).await.map_err(|_stopped| Problem::outcome_unknown())
    }

    /// Waits for a decision under way: "unknown" about a payment that is decided a moment later would be a lie.
    pub(crate) async fn enquire(&self, from: &str, original: Original) -> Answered {
        if let Some(answer) = self.enquire_offer(from, &original) {
            return answer;
        }
        let (fault, found) = {
            let mut book = self.book();
            let found = book.find(original.uetr);
            let payee = found.as_ref().map_or("", |(payment, _)| &payment.creditor_account).to_owned();
            let roll = || rand::random_range(1..=100);
            (book.faults.draw(Timestamp::now(), Occasion::Enquiry, &payee, roll), found)
        };
        match (fault, found) {
            (Some(Effect::LoseEnquiry), _) => Ok(Answer::Lost),
            (Some(Effect::Down), _) => Err(Problem::unavailable("down", "the house is down")),
            (Some(Effect::Unknown), _) | (_, None) => Ok(Answer::Xml(self.desk.not_found(from, original))),
            (_, Some((payment, progress))) => {
                let decision = decided(progress).await?;
                // It is asked about under the message that asks.
                let report = StatusReport { original, ..decision.report(&payment, Timestamp::now()) };
                Ok(Answer::Xml(self.desk.report(from, report)))
            }
        }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn clear(&self, payment: Payment, answer_to: oneshot::Sender<Answered>, _: SemaphorePermit<'_>) {
        let (decision, fault) = match self.settle(&payment).await {
            Ok(Some(settled)) => settled,
            Ok(None) => {
                let _ = answer_to.send(Ok(Answer::Lost));
                return;
            }
            Err(problem) => {
                let _ = answer_to.send(Err(problem));
                return;
            }
        };
        let report = || self.desk.report(&payment.sender, decision.report(&payment, Timestamp::now()));
        // A send that fails means that the sender has gone, which matters to a late answer only.
        let send = move |answer| answer_to.send(Ok(answer)).is_ok();
        match Delivery::under(fault) {
            Delivery::Prompt => {
                send(Answer::Xml(report()));
            }
            Delivery::Malformed => {
                let mut xml = report();
                xml.truncate(xml.floor_char_boundary(xml.len() / 2));
                send(Answer::Xml(xml));
            }
            Delivery::Mistaken => {
                let Payment { amount, .. } = &payment;
                let one_more = Money::new(amount.minor().saturating_add(1), amount.currency());
                let report = decision.report(&payment, Timestamp::now());
                let report = StatusReport { amount: Some(one_more), ..report };
                send(Answer::Xml(self.desk.report(&payment.sender, report)));
            }
            Delivery::Lost => {
                send(Answer::Lost);
            }
            Delivery::Late { delay } => {
                self.wait(delay).await;
                if !send(Answer::Xml(report())) {
                    self.call_back(&payment, &report()).await;
                }
            }
            Delivery::InTwo { delay } => {
                send(Answer::Xml(report()));
                self.wait(delay).await;
                self.call_back(&payment, &report()).await;
            }
            Delivery::Duplicated => {
                send(Answer::Xml(report()));
                for _ in 0..DUPLICATES {
                    self.call_back(&payment, &report()).await;
                }
            }
        }
    }

    async fn call_back(&self, payment: &Payment, xml: &str) {
        if payment.reply_to.is_some() {
            let address = || self.book().address(payment.uetr);
            self.callbacks.deliver(address, xml, Patience::Short).await;
        }
    }

    /// None: the request was lost on its way.
    async fn settle(&self, payment: &Payment) -> Result<Option<(Decision, Option<Effect>)>, Problem> {
        let claim = self.book().claim(payment, Timestamp::now(), || rand::random_range(1..=100));
        match claim {
            Claim::Lost => Ok(None),
            Claim::Down => Err(Problem::unavailable("down", "the house is down")),
            Claim::Full => Err(Problem::unavailable("full", "the house takes no more payments")),
            Claim::Reused => Err(Problem::new(
                StatusCode::CONFLICT,
                "uetr-reused",
                "this UETR belongs to a payment with other content",
            )),
            Claim::Repeat { fault, progress } => Ok(Some((decided(progress).await?, fault))),
            Claim::New { fault, done } => {
                self.wait(self.times.decision).await;
                let decision = decide(payment, &self.desk.profile, fault, Timestamp::now());
                // On a failure `done` is dropped unsent and the house ends: repeats hear "unknown" too.
                let appended = self.journal.append(Line::payment(payment, &decision)).await;
                appended.map_err(|_stopped| Problem::outcome_unknown())?;
                self.book().settle(payment.uetr, decision);
                done.send_replace(Some(decision));
                Ok(Some((decision, fault)))
            }
        }
    }

    /// Cut short at shutdown, so that what is decided still gets its answer.
    pub(crate) async fn wait(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}

async fn decided(progress: Progress) -> Result<Decision, Problem> {
    match progress {
        Progress::Decided(decision) => Ok(decision),
        Progress::Deciding(mut waiting) => {
            let decision = waiting.wait_for(Option::is_some).await;
            decision.ok().and_then(|decision| *decision).ok_or_else(Problem::outcome_unknown)
        }
    }
}
