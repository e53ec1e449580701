//! What the network and we have said about one payment: each message once, each question answered once.

use std::collections::{BTreeMap, BTreeSet};

use contract::card::{CardEvent, CardPayment};
use event::{Aggregate, Context, Deadline, Personal};
use event_store::{Scheduler, fire};
use jiff::SignedDuration;
use money::{Currency, Money};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::exchange_event::{
    AuthorisationAsked, CaptureHeard, ExchangeEvent, IncrementAsked, MessageContradicted, MessageRepeated,
    RefundHeard, RequestAnswered, RequestTimedOut, ReversalHeard, StandInHeard, VerdictOvertaken,
};
use crate::{Message, NotAMessage};

// ISO 8583, data element 39.
pub(crate) const APPROVED: &str = "00";
const APPROVED_IN_PART: &str = "10";
const INVALID_TRANSACTION: &str = "12";
const INVALID_AMOUNT: &str = "13";
const NOT_PERMITTED: &str = "57";
pub(crate) const NOBODY_DECIDES: &str = "91";
const DUPLICATE: &str = "94";

const REPEATS_KEPT: u32 = 8;

/// What a message is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub response_code: String,
    pub approved: Option<Money>,
}

impl Answer {
    /// To a question that is none that we answer.
    pub(crate) fn not_permitted(error: &NotAMessage) -> Self {
        let code = if *error == NotAMessage::Amount { INVALID_AMOUNT } else { NOT_PERMITTED };
        Self { response_code: code.to_owned(), approved: None }
    }

    pub(crate) fn taken() -> Self {
        Self { response_code: APPROVED.to_owned(), approved: None }
    }
}

/// What a message is beside those that were heard before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    New,
    Repeated,
    Contradicts { response_code: &'static str },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub payment: CardPayment,
    currency: Option<Currency>,
    heard: BTreeMap<Uuid, CardEvent>,
    answers: BTreeMap<Uuid, Answer>,
    /// How often something was said again, by message.
    repeats: BTreeMap<Uuid, u32>,
    /// What did not fit, by its digest: the same again is not kept once more.
    contradictions: BTreeSet<[u8; 32]>,
    /// What waits for core.
    open: BTreeMap<Uuid, Deadline>,
}

#[derive(Debug, Clone)]
pub enum ExchangeCommand {
    Hear {
        message: Box<Message>,
        raw: Personal<String>,
        answer_within: SignedDuration,
    },
    /// Core has decided. Nothing is approved: declined, with this code.
    Answer {
        message_id: Uuid,
        verdict: Result<Money, String>,
    },
    FireDeadline(Deadline),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeRefusal {
    #[error("nothing was asked about this payment")]
    NotAsked,
    #[error("{0}")]
    NotAMessage(String),
}

type Decision = Result<Vec<ExchangeEvent>, ExchangeRefusal>;

impl Aggregate for Exchange {
    const CATEGORY: &'static str = "exchange";
    type Event = ExchangeEvent;
    type Command = ExchangeCommand;
    type Refusal = ExchangeRefusal;

    fn evolve(state: Option<Self>, event: &ExchangeEvent) -> Option<Self> {
        if let Some((said, deadline)) = said_in(event) {
            let mut exchange = state.unwrap_or_else(|| Self::begun(&said));
            let message_id = said.message_id();
            match deadline {
                Some(deadline) => drop(exchange.open.insert(message_id, deadline)),
                None => drop(exchange.answers.insert(message_id, Answer::taken())),
            }
            exchange.heard.insert(message_id, said);
            return Some(exchange);
        }
        let mut exchange = state?;
        match event {
            ExchangeEvent::RequestAnswered(RequestAnswered { message_id, response_code, approved }) => {
                let answer = Answer { response_code: response_code.clone(), approved: *approved };
                exchange.is_answered(*message_id, answer);
            }
            ExchangeEvent::RequestTimedOut(RequestTimedOut { message_id, .. }) => {
                let answer = Answer { response_code: NOBODY_DECIDES.to_owned(), approved: None };
                exchange.is_answered(*message_id, answer);
            }
            ExchangeEvent::MessageRepeated(event) => {
                *exchange.repeats.entry(event.message_id).or_default() += 1;
            }
            ExchangeEvent::MessageContradicted(event) => {
                exchange.contradictions.insert(digest(&event.message));
            }
            _ => {}
        }
        Some(exchange)
    }

    fn decide(state: Option<&Self>, command: ExchangeCommand, context: &Context) -> Decision {
        match (state, command) {
            (state, ExchangeCommand::Hear { message, raw, answer_within }) => {
                let deadline = Deadline::after(answer_within, context);
                let said = message.said(deadline.due_at);
                let said = said.map_err(|error| ExchangeRefusal::NotAMessage(error.to_string()))?;
                let Some(exchange) = state else { return Ok(vec![heard(said, raw, deadline)]) };
                Ok(match exchange.compare(&said) {
                    Comparison::New => vec![heard(said, raw, deadline)],
                    Comparison::Repeated => exchange.repeated(said.message_id(), message.mti),
                    Comparison::Contradicts { response_code } => exchange.contradicted(response_code, raw),
                })
            }
            (None, _) => Err(ExchangeRefusal::NotAsked),
            (Some(exchange), ExchangeCommand::Answer { message_id, verdict }) => {
                exchange.decided(message_id, verdict, context)
            }
            (Some(exchange), ExchangeCommand::FireDeadline(fired)) => {
                let open = exchange.open.iter().find(|(_, deadline)| deadline.id == fired.id);
                let timed_out = |(message_id, _): (&Uuid, &Deadline)| {
                    RequestTimedOut { message_id: *message_id, deadline_id: fired.id }.into()
                };
                Ok(open.map(timed_out).into_iter().collect())
            }
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.open.values().min_by_key(|deadline| deadline.due_at).copied()
    }
}

impl Exchange {
    fn begun(said: &CardEvent) -> Self {
        Self {
            payment: said.payment().clone(),
            currency: currency_of(said),
            heard: BTreeMap::new(),
            answers: BTreeMap::new(),
            repeats: BTreeMap::new(),
            contradictions: BTreeSet::new(),
            open: BTreeMap::new(),
        }
    }

    /// What a message is to be answered. None: core has not said it yet.
    pub fn answer(&self, message_id: Uuid) -> Option<&Answer> {
        self.answers.get(&message_id)
    }

    fn is_answered(&mut self, message_id: Uuid, answer: Answer) {
        self.open.remove(&message_id);
        self.answers.insert(message_id, answer);
    }

    /// What has happened fits, whatever card or currency it names: core finds out what it is about. A question has to be about this payment.
    pub(crate) fn compare(&self, said: &CardEvent) -> Comparison {
        let is_other = said.payment().card_id != self.payment.card_id || currency_of(said) != self.currency;
        match self.heard.get(&said.message_id()) {
            Some(known) if is_same(known, said) => Comparison::Repeated,
            Some(_) => Comparison::Contradicts { response_code: DUPLICATE },
            None if is_other && amount_asked(said).is_some() => {
                Comparison::Contradicts { response_code: INVALID_TRANSACTION }
            }
            None => Comparison::New,
        }
    }

    /// A few of them tell that the network does not hear us; more would only make the stream long.
    fn repeated(&self, message_id: Uuid, mti: String) -> Vec<ExchangeEvent> {
        let is_news = self.repeats.get(&message_id).is_none_or(|times| *times < REPEATS_KEPT);
        if is_news { vec![MessageRepeated { message_id, mti }.into()] } else { vec![] }
    }

    fn contradicted(&self, code: &str, message: Personal<String>) -> Vec<ExchangeEvent> {
        if self.contradictions.contains(&digest(&message)) {
            return vec![];
        }
        vec![MessageContradicted { response_code: code.to_owned(), message }.into()]
    }

    fn decided(&self, message_id: Uuid, verdict: Result<Money, String>, context: &Context) -> Decision {
        let asked = self.heard.get(&message_id).and_then(amount_asked).ok_or(ExchangeRefusal::NotAsked)?;
        let (response_code, approved) = match verdict {
            Ok(amount) if amount == asked => (APPROVED.to_owned(), Some(amount)),
            Ok(amount) => (APPROVED_IN_PART.to_owned(), Some(amount)),
            Err(code) => (code, None),
        };
        if let Some(deadline) = self.open.get(&message_id) {
            if context.now > deadline.due_at {
                // Nobody waits for it any more, whether or not the deadline has fired.
                let timed_out = RequestTimedOut { message_id, deadline_id: deadline.id };
                return Ok(vec![timed_out.into(), VerdictOvertaken { message_id, response_code }.into()]);
            }
            return Ok(vec![RequestAnswered { message_id, response_code, approved }.into()]);
        }
        let is_known =
            self.answers.get(&message_id) == Some(&Answer { response_code: response_code.clone(), approved });
        if is_known { Ok(vec![]) } else { Ok(vec![VerdictOvertaken { message_id, response_code }.into()]) }
    }
}

/// What an event has from the network, and until when that is to be answered, if it asks.
fn said_in(event: &ExchangeEvent) -> Option<(CardEvent, Option<Deadline>)> {
    Some(match event {
        ExchangeEvent::AuthorisationAsked(event) => (event.request.clone().into(), Some(event.deadline)),
        ExchangeEvent::IncrementAsked(event) => (event.request.clone().into(), Some(event.deadline)),
        ExchangeEvent::StandInHeard(event) => (event.advice.clone().into(), None),
        ExchangeEvent::ReversalHeard(event) => (event.reversal.clone().into(), None),
        ExchangeEvent::CaptureHeard(event) => (event.capture.clone().into(), None),
        ExchangeEvent::RefundHeard(event) => (event.refund.clone().into(), None),
        _ => return None,
    })
}

fn heard(said: CardEvent, message: Personal<String>, deadline: Deadline) -> ExchangeEvent {
    match said {
        CardEvent::AuthorisationRequested(request) => {
            AuthorisationAsked { request, message, deadline }.into()
        }
        CardEvent::IncrementRequested(request) => IncrementAsked { request, message, deadline }.into(),
        CardEvent::StandInAdvised(advice) => StandInHeard { advice, message }.into(),
        CardEvent::ReversalReceived(reversal) => ReversalHeard { reversal, message }.into(),
        CardEvent::CaptureReceived(capture) => CaptureHeard { capture, message }.into(),
        CardEvent::RefundReceived(refund) => RefundHeard { refund, message }.into(),
        // No message says so.
        CardEvent::RequestUnanswered(event) => {
            RequestTimedOut { message_id: event.message_id, deadline_id: deadline.id }.into()
        }
    }
}

/// Whether two messages say the same. How the merchant is written does not matter, nor when it is to be answered.
fn is_same(one: &CardEvent, other: &CardEvent) -> bool {
    if one.payment().card_id != other.payment().card_id {
        return false;
    }
    match (one, other) {
        (CardEvent::AuthorisationRequested(one), CardEvent::AuthorisationRequested(other)) => {
            (one.amount, one.is_partial_allowed) == (other.amount, other.is_partial_allowed)
        }
        (CardEvent::IncrementRequested(one), CardEvent::IncrementRequested(other)) => {
            one.amount == other.amount
        }
        (CardEvent::StandInAdvised(one), CardEvent::StandInAdvised(other)) => {
            (one.approved, one.original_message_id) == (other.approved, other.original_message_id)
        }
        (CardEvent::ReversalReceived(one), CardEvent::ReversalReceived(other)) => {
            (one.amount, one.original_message_id) == (other.amount, other.original_message_id)
        }
        (CardEvent::CaptureReceived(one), CardEvent::CaptureReceived(other)) => {
            (one.amount, one.is_final) == (other.amount, other.is_final)
        }
        (CardEvent::RefundReceived(one), CardEvent::RefundReceived(other)) => one.amount == other.amount,
        _ => false,
    }
}

fn digest(message: &Personal<String>) -> [u8; 32] {
    Sha256::digest(message.expose()).into()
}

fn amount_asked(said: &CardEvent) -> Option<Money> {
    match said {
        CardEvent::AuthorisationRequested(request) => Some(request.amount),
        CardEvent::IncrementRequested(request) => Some(request.amount),
        _ => None,
    }
}

fn currency_of(said: &CardEvent) -> Option<Currency> {
    match said {
        CardEvent::StandInAdvised(advice) => Some(advice.approved.currency()),
        CardEvent::ReversalReceived(reversal) => Some(reversal.amount.currency()),
        CardEvent::CaptureReceived(capture) => Some(capture.amount.currency()),
        CardEvent::RefundReceived(refund) => Some(refund.amount.currency()),
        asked => amount_asked(asked).map(Money::currency),
    }
}

/// Makes the scheduler give up what core has not decided in time.
#[must_use]
pub fn install(scheduler: Scheduler) -> Scheduler {
    scheduler.with_fire::<Exchange>(|store, due| {
        Box::pin(async move {
            fire::<Exchange>(&store, &due, ExchangeCommand::FireDeadline(due.deadline)).await.map(drop)
        })
    })
}

#[cfg(test)]
mod tests;
