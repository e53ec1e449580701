//! The clearing house: takes a payment from its claim on a UETR to an answer, whether or not the sender stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::book::{Book, Claim, Progress};
use crate::callback::Callbacks;
use crate::decision::{Decision, Delivery, decide};
use crate::fault::{Effect, Occasion};
use crate::journal::Journal;
use crate::payment::Payment;
use crate::problem::Problem;
use crate::tasks::Tasks;

/// Payments under way, with those whose sender has gone and whose late answer or callback is still due.
/// Beyond it a payment is refused as by a house that is down.
const PAYMENTS_UNDER_WAY_MAX: usize = 4_096;
/// How often a duplicated answer goes to the callback URL.
const DUPLICATES: usize = 2;

#[derive(Debug)]
pub(crate) struct House {
    pub(crate) book: Mutex<Book>,
    pub(crate) journal: Journal,
    pub(crate) callbacks: Callbacks,
    pub(crate) tasks: Tasks,
    pub(crate) answer_time: Duration,
    pub(crate) shutdown: CancellationToken,
    pub(crate) under_way: Semaphore,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Sent(Decision),
    /// The connection has to close without a response.
    Lost,
}

type Answered = Result<Answer, Problem>;

impl House {
    pub(crate) fn new(
        book: Book,
        journal: Journal,
        callbacks: Callbacks,
        tasks: Tasks,
        answer_time: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        let under_way = Semaphore::new(PAYMENTS_UNDER_WAY_MAX);
        Self { book: Mutex::new(book), journal, callbacks, tasks, answer_time, shutdown, under_way }
    }

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

    /// None when the UETR was never accepted. Waits for a decision under way: "unknown" about a payment that
    /// is decided a moment later would be a lie.
    pub(crate) async fn find(&self, uetr: Uuid) -> Result<Option<Answer>, Problem> {
        let (fault, progress) = {
            let mut book = self.book();
            let fault = book.faults.draw(Timestamp::now(), Occasion::Enquiry, || rand::random_range(1..=100));
            (fault, book.find(uetr))
        };
        match (fault, progress) {
            (Some(Effect::LoseEnquiry), _) => Ok(Some(Answer::Lost)),
            (Some(Effect::Down), _) => Err(Problem::unavailable("down", "the house is down")),
            (_, Some(progress)) => decided(progress).await.map(Answer::Sent).map(Some),
            (_, None) => Ok(None),
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
        // A send that fails means that the sender has gone, which matters to a late answer only.
        match Delivery::under(fault) {
            Delivery::Prompt => {
                let _ = answer_to.send(Ok(Answer::Sent(decision)));
            }
            Delivery::Lost => {
                let _ = answer_to.send(Ok(Answer::Lost));
            }
            Delivery::Late { delay } => {
                self.wait(delay).await;
                let gone = answer_to.send(Ok(Answer::Sent(decision))).is_err();
                if let Some(url) = payment.callback_url.filter(|_| gone) {
                    self.callbacks.deliver(&url, &decision).await;
                }
            }
            Delivery::Duplicated => {
                let _ = answer_to.send(Ok(Answer::Sent(decision)));
                for url in payment.callback_url.iter().cycle().take(DUPLICATES) {
                    self.callbacks.deliver(url, &decision).await;
                }
            }
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
                self.wait(self.answer_time).await;
                let decided_at = Timestamp::now();
                let decision = decide(payment, fault, decided_at);
                // On a failure `done` is dropped unsent and the house ends: repeats hear "unknown" too.
                let appended = self.journal.append(payment, &decision, decided_at).await;
                appended.map_err(|_stopped| Problem::outcome_unknown())?;
                self.book().settle(decision);
                done.send_replace(Some(decision));
                Ok(Some((decision, fault)))
            }
        }
    }

    /// Cut short at shutdown, so that what is decided still gets its answer.
    async fn wait(&self, time: Duration) {
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
