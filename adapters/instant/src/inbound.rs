//! A payment from another bank: what the house has asked, what we have said, and whether the money is here.

use contract::incoming::IncomingReceived;
use event::{Aggregate, Context, Deadline};
use iso20022::{Original, OriginalKind};
use jiff::SignedDuration;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::inbound_event::{
    DecisionOvertaken, DecisionTimedOut, Errand, InboundEvent, MessageNotSent, MessageScheduled,
    MessageStarted, MessageTaken, MessageTimedOut, MessagesExhausted, OfferRepeated, PaymentAccepted,
    PaymentOffered, PaymentRefused, RefusalConfirmed, ReturnRejected, ReturnUnknown, SettlementCancelled,
    SettlementConfirmed, SettlementUnknown, StatusContradicted, StatusDuplicated, StatusHeard,
};
use crate::rail::{Evidence, Offer, Rail};
use crate::{Answer, RetryPolicy};

mod correspondence;
pub(crate) use correspondence::status_of;

mod way_back;
use way_back::WayBack;

mod command;
pub use command::{InboundCommand, InboundRefusal};

/// ISO 20022 `ExternalStatusReason1Code`: the creditor's bank has not answered in time.
pub(crate) const TOO_LATE: &str = "AB05";
/// Of the same: invalid file format.
const INVALID_MESSAGE: &str = "FF01";
/// What an enquiry is answered with when the house knows nothing of the payment.
const NOT_FOUND: &str = "not_found";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Undecided { deadline: Deadline },
    Accepted,
    Refused { reason_code: String },
}

/// The house's final word on the money.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Settlement {
    Settled,
    Cancelled { reason_code: String },
}

/// A message that is due at the deadline, or on its way until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sending {
    errand: Errand,
    attempt: u32,
    is_started: bool,
    deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    pub payment: IncomingReceived,
    /// Of the pacs.008.
    message_id: String,
    verdict: Verdict,
    settlement: Option<Settlement>,
    sending: Option<Sending>,
    way_back: Option<WayBack>,
}

type Decision = Result<Vec<InboundEvent>, InboundRefusal>;

impl Aggregate for Inbound {
    const CATEGORY: &'static str = "inbound";
    type Event = InboundEvent;
    type Command = InboundCommand;
    type Refusal = InboundRefusal;

    fn evolve(state: Option<Self>, event: &InboundEvent) -> Option<Self> {
        if let InboundEvent::PaymentOffered(offered) = event {
            return Some(Self::offered(offered));
        }
        let mut inbound = state?;
        match event {
            InboundEvent::PaymentAccepted(_) => inbound.verdict = Verdict::Accepted,
            InboundEvent::PaymentRefused(event) => {
                inbound.verdict = Verdict::Refused { reason_code: event.reason_code.clone() };
            }
            InboundEvent::MessageScheduled(MessageScheduled { errand, attempt, deadline }) => {
                let (errand, attempt, deadline) = (*errand, *attempt, *deadline);
                inbound.sending = Some(Sending { errand, attempt, is_started: false, deadline });
            }
            InboundEvent::MessageStarted(MessageStarted { errand, attempt, deadline, .. }) => {
                let (errand, attempt, deadline) = (*errand, *attempt, *deadline);
                inbound.sending = Some(Sending { errand, attempt, is_started: true, deadline });
            }
            InboundEvent::MessageTaken(_) | InboundEvent::MessagesExhausted(_) => inbound.sending = None,
            InboundEvent::SettlementConfirmed(_) => inbound.end(Settlement::Settled),
            InboundEvent::SettlementCancelled(event) => {
                inbound.end(Settlement::Cancelled { reason_code: event.reason_code.clone() });
            }
            InboundEvent::RefusalConfirmed(event) => {
                inbound.end(Settlement::Cancelled { reason_code: event.reason_code.clone() });
            }
            InboundEvent::ReturnRequested(event) => {
                let (return_id, amount) = (event.return_id, event.amount);
                let reason_code = event.reason_code.clone();
                let at = event.at;
                inbound.way_back = Some(WayBack { return_id, amount, reason_code, at, is_back: None });
            }
            InboundEvent::ReturnSettled(_) => inbound.return_ends(true),
            InboundEvent::ReturnRejected(_) => inbound.return_ends(false),
            _ => {}
        }
        Some(inbound)
    }

    fn decide(state: Option<&Self>, command: InboundCommand, context: &Context) -> Decision {
        match (state, command) {
            (None, InboundCommand::Offer { offer, message, decide_within }) => {
                Ok(vec![offered(*offer, message, decide_within, context).into()])
            }
            (None, _) => Err(InboundRefusal::NotOffered),
            (Some(inbound), command) => inbound.follow(command, context),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        match self.verdict {
            Verdict::Undecided { deadline } if self.settlement.is_none() => Some(deadline),
            _ => self.sending.map(|sending| sending.deadline),
        }
    }
}

/// The payment's id here, and in core: one for each UETR, however often it is offered.
pub fn inbound_id(uetr: Uuid) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(uetr.as_bytes())[..16]);
    Uuid::new_v8(bytes)
}

fn offered(offer: Offer, message: Evidence, within: SignedDuration, context: &Context) -> PaymentOffered {
    let deadline = Deadline::after(within, context);
    let (message_id, id) = (offer.message_id.clone(), inbound_id(offer.transfer.uetr));
    PaymentOffered { payment: offer.payment(id, deadline.due_at), message_id, deadline, message }
}

impl Inbound {
    fn offered(offered: &PaymentOffered) -> Self {
        Self {
            payment: offered.payment.clone(),
            message_id: offered.message_id.clone(),
            verdict: Verdict::Undecided { deadline: offered.deadline },
            settlement: None,
            sending: None,
            way_back: None,
        }
    }

    fn end(&mut self, settlement: Settlement) {
        (self.settlement, self.sending) = (Some(settlement), None);
    }

    fn follow(&self, command: InboundCommand, context: &Context) -> Decision {
        Ok(match command {
            InboundCommand::Offer { offer, message, .. } => {
                return self.offered_again(*offer, message, context);
            }
            InboundCommand::Accept => self.decided(PaymentAccepted {}.into(), true, context),
            InboundCommand::Refuse { reason_code } => {
                self.decided(PaymentRefused { reason_code }.into(), false, context)
            }
            InboundCommand::Return { return_id, amount, reason_code } => {
                return self.return_requested(return_id, amount, reason_code, context);
            }
            InboundCommand::Proceed { deadline, rail } => self.proceed(deadline, &rail, context),
            InboundCommand::RecordTaken { errand, attempt, policy } => {
                self.taken(errand, attempt, policy, context)
            }
            InboundCommand::RecordNotSent { errand, attempt, reason, policy } => {
                self.not_sent(errand, attempt, reason, policy, context)
            }
            InboundCommand::RecordMessageRefused { errand, attempt, reason, policy } => {
                self.message_refused(errand, attempt, reason, policy, context)
            }
            InboundCommand::RecordStatus { answer, is_of_return, message, policy } => {
                let status = answer.as_ref().map_or(NOT_FOUND, Answer::status).to_owned();
                if is_of_return {
                    self.return_answered(answer, status, message, policy, context)
                } else {
                    self.answered(answer, status, message, policy, context)
                }
            }
        })
    }

    /// A house that has not heard us is told once more, should nothing be on its way.
    fn offered_again(&self, offer: Offer, message: Evidence, context: &Context) -> Decision {
        let answer_by = self.payment.answer_by;
        if offer.payment(self.payment.payment_id, answer_by) != self.payment {
            return Err(InboundRefusal::OtherContent);
        }
        let mut events = vec![OfferRepeated { message }.into()];
        let is_decided = !matches!(self.verdict, Verdict::Undecided { .. });
        if is_decided && self.settlement.is_none() && self.sending.is_none() {
            events.push(due(Errand::Answer, 1, SignedDuration::ZERO, context));
        }
        Ok(events)
    }

    fn decided(&self, verdict: InboundEvent, is_accepted: bool, context: &Context) -> Vec<InboundEvent> {
        match (&self.verdict, &self.settlement) {
            (Verdict::Undecided { .. }, None) => {
                vec![verdict, due(Errand::Answer, 1, SignedDuration::ZERO, context)]
            }
            // The house has not waited for us.
            (Verdict::Undecided { .. }, Some(Settlement::Settled)) => vec![verdict],
            (Verdict::Accepted, _) if is_accepted => vec![],
            _ => vec![DecisionOvertaken { is_accepted }.into()],
        }
    }

    fn proceed(&self, fired: Deadline, rail: &Rail, context: &Context) -> Vec<InboundEvent> {
        match (&self.verdict, self.sending) {
            (Verdict::Undecided { deadline }, _) if deadline.id == fired.id && self.settlement.is_none() => {
                let refused = PaymentRefused { reason_code: TOO_LATE.to_owned() };
                let answer = self.start(Errand::Answer, 1, Some(TOO_LATE), rail, context);
                vec![DecisionTimedOut {}.into(), refused.into(), answer]
            }
            (verdict, Some(sending)) if sending.deadline.id == fired.id => {
                let Sending { errand, attempt, is_started, .. } = sending;
                if is_started {
                    let timed_out = MessageTimedOut { errand, attempt }.into();
                    return [vec![timed_out], self.next(errand, attempt, rail.policy, context)].concat();
                }
                let refusal = match verdict {
                    Verdict::Refused { reason_code } => Some(reason_code.as_str()),
                    Verdict::Undecided { .. } | Verdict::Accepted => None,
                };
                vec![self.start(errand, attempt, refusal, rail, context)]
            }
            _ => vec![],
        }
    }

    fn start(
        &self,
        errand: Errand,
        attempt: u32,
        refusal: Option<&str>,
        rail: &Rail,
        context: &Context,
    ) -> InboundEvent {
        let original = self.original();
        let message = match (errand, &self.way_back) {
            (Errand::Return, Some(way_back)) => {
                let of = (way_back.return_id, way_back.amount, way_back.reason_code.as_str());
                rail.payment_return(&self.payment, original, of, way_back.at, context)
            }
            (Errand::Enquiry | Errand::Return, _) => rail.status_request(original, context),
            (Errand::Answer, _) => rail.decision(original, refusal, context),
        };
        let deadline = Deadline::after(rail.policy.answer_timeout, context);
        MessageStarted { errand, attempt, deadline, message }.into()
    }

    fn original(&self) -> Original {
        Original {
            kind: OriginalKind::CreditTransfer,
            message_id: self.message_id.clone(),
            end_to_end_id: self.payment.end_to_end_id.clone(),
            transaction_id: self.payment.transaction_id.clone(),
            uetr: self.payment.uetr,
        }
    }

    /// What follows a message of which nothing final was heard: whoever may have our word is asked, and then told again.
    fn next(&self, after: Errand, attempt: u32, policy: RetryPolicy, context: &Context) -> Vec<InboundEvent> {
        let errand = match after {
            Errand::Answer if self.verdict == Verdict::Accepted => Errand::Enquiry,
            other => other,
        };
        self.go_on_with(errand, attempt, policy.pause_after(attempt, context), policy, context)
    }

    /// The next message, or none when the tries are used up. On the way core is told that nobody knows; from there on the house
    /// is left more time.
    fn go_on_with(
        &self,
        errand: Errand,
        attempt: u32,
        deadline: Deadline,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<InboundEvent> {
        let scheduled = |deadline| MessageScheduled { errand, attempt: attempt + 1, deadline }.into();
        if attempt < policy.enquiries_max {
            return vec![scheduled(deadline)];
        }
        let (unknown, last) = (self.unknown(), policy.enquiries_max + policy.pending_enquiries_max);
        let next = if unknown.is_none() || attempt >= last {
            MessagesExhausted { errand, attempts: attempt }.into()
        } else {
            scheduled(Deadline::after(policy.pending_pause, context))
        };
        let unknown = unknown.filter(|_| attempt == policy.enquiries_max);
        unknown.into_iter().chain([next]).collect()
    }

    /// What core is told of so much silence; None: nothing depends on it.
    fn unknown(&self) -> Option<InboundEvent> {
        match (&self.way_back, &self.verdict) {
            (Some(way_back), _) => Some(ReturnUnknown { return_id: way_back.return_id }.into()),
            (None, Verdict::Accepted) => Some(SettlementUnknown {}.into()),
            (None, _) => None,
        }
    }

    fn is_sending(&self, errand: Errand, attempt: u32) -> bool {
        self.sending.is_some_and(|sending| {
            sending.is_started && (sending.errand, sending.attempt) == (errand, attempt)
        })
    }

    fn taken(
        &self,
        errand: Errand,
        attempt: u32,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<InboundEvent> {
        if !self.is_sending(errand, attempt) {
            return vec![];
        }
        let taken = MessageTaken { errand, attempt }.into();
        let next = match (&self.verdict, errand) {
            (Verdict::Refused { .. }, Errand::Answer) => return vec![taken],
            (_, Errand::Return) => Errand::Return,
            (_, Errand::Answer | Errand::Enquiry) => Errand::Enquiry,
        };
        let deadline = Deadline::after(policy.pending_pause, context);
        [vec![taken], self.go_on_with(next, attempt, deadline, policy, context)].concat()
    }

    fn not_sent(
        &self,
        errand: Errand,
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<InboundEvent> {
        if !self.is_sending(errand, attempt) {
            return vec![];
        }
        let not_sent = MessageNotSent { errand, attempt, reason }.into();
        let deadline = policy.pause_after(attempt, context);
        [vec![not_sent], self.go_on_with(errand, attempt, deadline, policy, context)].concat()
    }

    /// To say the same again cannot help; where the house does not take a question, it can be told once more.
    fn message_refused(
        &self,
        errand: Errand,
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<InboundEvent> {
        if !self.is_sending(errand, attempt) {
            return vec![];
        }
        let not_sent = MessageNotSent { errand, attempt, reason }.into();
        let next = match (errand, &self.way_back) {
            (Errand::Enquiry, _) => {
                let deadline = policy.pause_after(attempt, context);
                self.go_on_with(Errand::Answer, attempt, deadline, policy, context)
            }
            // An earlier one may have been taken.
            (Errand::Return, Some(way_back)) if attempt == 1 => {
                let (return_id, reason_code) = (way_back.return_id, INVALID_MESSAGE.to_owned());
                vec![ReturnRejected { return_id, reason_code, message: None }.into()]
            }
            _ => {
                let exhausted = MessagesExhausted { errand, attempts: attempt }.into();
                self.unknown().into_iter().chain([exhausted]).collect()
            }
        };
        [vec![not_sent], next].concat()
    }

    fn answered(
        &self,
        answer: Option<Answer>,
        status: String,
        message: Evidence,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<InboundEvent> {
        match (&self.settlement, answer) {
            (None, Some(Answer::Settled { settled_at })) => {
                vec![SettlementConfirmed { settled_at, message }.into()]
            }
            (None, Some(Answer::Rejected { reason_code })) => vec![self.rejected(reason_code, message)],
            (None, Some(Answer::Pending { .. }) | None) => {
                let heard = StatusHeard { status, message }.into();
                [vec![heard], self.still_open(policy, context)].concat()
            }
            // An answer to a question that was asked before.
            (Some(_), None) => vec![StatusHeard { status, message }.into()],
            (Some(Settlement::Settled), Some(Answer::Settled { .. }))
            | (Some(_), Some(Answer::Pending { .. })) => {
                vec![StatusDuplicated { status, message }.into()]
            }
            // Each side has its own reason why not.
            (Some(Settlement::Cancelled { .. }), Some(Answer::Rejected { .. })) => {
                vec![StatusDuplicated { status, message }.into()]
            }
            (Some(_), _) => vec![StatusContradicted { status, message }.into()],
        }
    }

    /// After our own no it is an acknowledgement.
    fn rejected(&self, reason_code: String, message: Evidence) -> InboundEvent {
        if matches!(self.verdict, Verdict::Refused { .. }) {
            RefusalConfirmed { reason_code, message }.into()
        } else {
            SettlementCancelled { reason_code, message }.into()
        }
    }

    /// The house has not decided. It may still wait for our word, or have it and be at it: it is told, and asked, in turn.
    fn still_open(&self, policy: RetryPolicy, context: &Context) -> Vec<InboundEvent> {
        let Some(Sending { errand, attempt, is_started: true, .. }) = self.sending else { return vec![] };
        let (errand, deadline) = match errand {
            Errand::Enquiry => (Errand::Answer, policy.pause_after(attempt, context)),
            Errand::Return => (Errand::Return, Deadline::after(policy.pending_pause, context)),
            Errand::Answer => return self.next(errand, attempt, policy, context),
        };
        self.go_on_with(errand, attempt, deadline, policy, context)
    }
}

fn due(errand: Errand, attempt: u32, pause: SignedDuration, context: &Context) -> InboundEvent {
    MessageScheduled { errand, attempt, deadline: Deadline::after(pause, context) }.into()
}

#[cfg(test)]
mod tests;
