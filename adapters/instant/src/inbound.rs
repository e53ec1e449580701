//! A payment from another bank: what the house has asked, what we have said, and whether the money is here.

use contract::incoming::IncomingReceived;
use event::{Aggregate, Context, Deadline};
use iso20022::{Original, OriginalKind};
use jiff::SignedDuration;
use money::Money;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::inbound_event::{
    DecisionOvertaken, DecisionTimedOut, Errand, InboundEvent, MessageNotSent, MessageScheduled,
    MessageStarted, MessageTaken, MessageTimedOut, MessagesExhausted, OfferRepeated, PaymentAccepted,
    PaymentOffered, PaymentRefused, ReturnRejected, ReturnRequested, ReturnSettled, ReturnUnknown,
    SettlementCancelled, SettlementConfirmed, SettlementUnknown, StatusContradicted, StatusDuplicated,
    StatusHeard,
};
use crate::rail::{Evidence, Offer, Rail};
use crate::{Answer, RetryPolicy};

mod correspondence;
pub(crate) use correspondence::status_of;

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
struct WayBack {
    return_id: Uuid,
    amount: Money,
    reason_code: String,
    /// Whether the house has taken it back, once it has said so.
    is_back: Option<bool>,
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
            InboundEvent::ReturnRequested(event) => {
                let (return_id, amount) = (event.return_id, event.amount);
                let reason_code = event.reason_code.clone();
                inbound.way_back = Some(WayBack { return_id, amount, reason_code, is_back: None });
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

    fn return_ends(&mut self, is_back: bool) {
        self.sending = None;
        self.way_back.iter_mut().for_each(|way_back| way_back.is_back = Some(is_back));
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
            InboundCommand::RecordMessageRefused { errand, attempt, reason } => {
                self.message_refused(errand, attempt, reason)
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

    fn return_requested(
        &self,
        return_id: Uuid,
        amount: Money,
        reason_code: String,
        context: &Context,
    ) -> Decision {
        match &self.way_back {
            Some(way_back) if way_back.return_id == return_id => Ok(vec![]),
            Some(_) => Err(InboundRefusal::OtherReturn),
            None if self.settlement != Some(Settlement::Settled) => Err(InboundRefusal::NotSettled),
            None => Ok(vec![
                ReturnRequested { return_id, amount, reason_code }.into(),
                due(Errand::Return, 1, SignedDuration::ZERO, context),
            ]),
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
                rail.payment_return(&self.payment, original, of, context)
            }
            (Errand::Enquiry, _) => rail.status_request(original, context),
            (Errand::Answer | Errand::Return, _) => rail.decision(original, refusal, context),
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

    /// What follows a message of which nothing was heard: whoever may have our word is asked, and then told again.
    fn next(&self, after: Errand, attempt: u32, policy: RetryPolicy, context: &Context) -> Vec<InboundEvent> {
        if attempt >= policy.enquiries_max {
            return self.exhausted(after, attempt);
        }
        let errand = match after {
            Errand::Answer if self.verdict == Verdict::Accepted => Errand::Enquiry,
            other => other,
        };
        let deadline = policy.pause_after(attempt, context);
        vec![MessageScheduled { errand, attempt: attempt + 1, deadline }.into()]
    }

    fn exhausted(&self, errand: Errand, attempts: u32) -> Vec<InboundEvent> {
        let unknown = match (&self.way_back, &self.verdict) {
            (Some(way_back), _) => Some(ReturnUnknown { return_id: way_back.return_id }.into()),
            (None, Verdict::Accepted) => Some(SettlementUnknown {}.into()),
            (None, _) => None,
        };
        let exhausted = MessagesExhausted { errand, attempts }.into();
        [Some(exhausted), unknown].into_iter().flatten().collect()
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
        if matches!(self.verdict, Verdict::Refused { .. }) && errand == Errand::Answer {
            return vec![taken];
        }
        [vec![taken], self.next(errand, attempt, policy, context)].concat()
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
        if attempt >= policy.enquiries_max {
            return [vec![not_sent], self.exhausted(errand, attempt)].concat();
        }
        let deadline = policy.pause_after(attempt, context);
        vec![not_sent, MessageScheduled { errand, attempt: attempt + 1, deadline }.into()]
    }

    /// To say the same again cannot help.
    fn message_refused(&self, errand: Errand, attempt: u32, reason: String) -> Vec<InboundEvent> {
        if !self.is_sending(errand, attempt) {
            return vec![];
        }
        let not_sent = MessageNotSent { errand, attempt, reason }.into();
        match &self.way_back {
            // An earlier one may have been taken.
            Some(way_back) if attempt == 1 => {
                let (return_id, reason_code) = (way_back.return_id, INVALID_MESSAGE.to_owned());
                vec![not_sent, ReturnRejected { return_id, reason_code, message: None }.into()]
            }
            _ => [vec![not_sent], self.exhausted(errand, attempt)].concat(),
        }
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
            (None, Some(Answer::Rejected { reason_code })) => self.rejected(reason_code, status, message),
            (None, Some(Answer::Pending { .. }) | None) => {
                let heard = StatusHeard { status, message }.into();
                [vec![heard], self.still_open(policy, context)].concat()
            }
            (Some(Settlement::Settled), Some(Answer::Settled { .. }))
            | (Some(_), Some(Answer::Pending { .. })) => {
                vec![StatusDuplicated { status, message }.into()]
            }
            (Some(Settlement::Cancelled { reason_code: known }), Some(Answer::Rejected { reason_code }))
                if *known == reason_code =>
            {
                vec![StatusDuplicated { status, message }.into()]
            }
            (Some(_), _) => vec![StatusContradicted { status, message }.into()],
        }
    }

    /// After our own no it is an acknowledgement.
    fn rejected(&self, reason_code: String, status: String, message: Evidence) -> Vec<InboundEvent> {
        if !matches!(self.verdict, Verdict::Refused { .. }) {
            return vec![SettlementCancelled { reason_code, message }.into()];
        }
        let heard = StatusHeard { status, message }.into();
        let taken =
            self.sending.map(|Sending { errand, attempt, .. }| MessageTaken { errand, attempt }.into());
        [Some(heard), taken].into_iter().flatten().collect()
    }

    /// The house has not decided. It may still wait for our word, or have it and be at it: it is told, and asked, in turn.
    fn still_open(&self, policy: RetryPolicy, context: &Context) -> Vec<InboundEvent> {
        let Some(Sending { errand, attempt, is_started: true, .. }) = self.sending else { return vec![] };
        match errand {
            Errand::Enquiry if attempt < policy.enquiries_max => {
                let deadline = policy.pause_after(attempt, context);
                vec![MessageScheduled { errand: Errand::Answer, attempt: attempt + 1, deadline }.into()]
            }
            errand => self.next(errand, attempt, policy, context),
        }
    }

    fn return_answered(
        &self,
        answer: Option<Answer>,
        status: String,
        message: Evidence,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<InboundEvent> {
        let Some(way_back) = &self.way_back else {
            return vec![StatusContradicted { status, message }.into()];
        };
        let return_id = way_back.return_id;
        match (way_back.is_back, answer) {
            (None, Some(Answer::Settled { .. })) => vec![ReturnSettled { return_id, message }.into()],
            (None, Some(Answer::Rejected { reason_code })) => {
                vec![ReturnRejected { return_id, reason_code, message }.into()]
            }
            (None, Some(Answer::Pending { .. }) | None) => {
                let heard = StatusHeard { status, message }.into();
                [vec![heard], self.still_open(policy, context)].concat()
            }
            (Some(true), Some(Answer::Rejected { .. })) | (Some(false), Some(Answer::Settled { .. })) => {
                vec![StatusContradicted { status, message }.into()]
            }
            (Some(_), _) => vec![StatusDuplicated { status, message }.into()],
        }
    }
}

fn due(errand: Errand, attempt: u32, pause: SignedDuration, context: &Context) -> InboundEvent {
    MessageScheduled { errand, attempt, deadline: Deadline::after(pause, context) }.into()
}

#[cfg(test)]
mod tests;
