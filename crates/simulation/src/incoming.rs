//! Payments from other banks: the house offers, the adapter and core decide, the house settles or does not, and everything between
//! them is lost, late and doubled.

use std::sync::Arc;

use contract::acceptance::AcceptanceEvent;
use contract::incoming::IncomingEvent as External;
use event::{Aggregate, Deadline};
use incoming::{Heard, IncomingCommand, IncomingEvent, Limits};
use instant::{Answer, Errand, InboundCommand, InboundEvent, Offer, Rail, Sent, inbound_id};
use iso20022::{CreditTransfer, Document, Message, Party, TransactionStatus};
use jiff::SignedDuration;
use ledger::{AccountCommand, AccountEvent};
use money::Money;
use uuid::Uuid;

use crate::defect::Defect;
use crate::offers::Offered;
use crate::world::{RETRIES, Step, World, dkk};

pub(crate) const OFFERS: usize = 6;
/// Now before, now after the adapter has heard from core.
pub(crate) const DECIDE_WITHIN: SignedDuration = SignedDuration::from_secs(1);
/// The house waits for our word; now before, now after it comes.
const ACCEPT_WITHIN: SignedDuration = SignedDuration::from_secs(4);
const LIMITS: Limits =
    Limits { settlement: SignedDuration::from_secs(12), payment_return: SignedDuration::from_secs(8) };

/// What happens at a moment.
#[derive(Clone)]
pub(crate) enum Move {
    /// Another bank's customer pays.
    Order,
    /// Core hears of the adapter.
    Arrive(External),
    /// The adapter hears of core.
    Decide(AcceptanceEvent),
    IncomingDeadline {
        id: Uuid,
        deadline: Deadline,
    },
    InboundDeadline {
        id: Uuid,
        deadline: Deadline,
    },
    /// Our message reaches the house.
    Reach {
        uetr: Uuid,
        errand: Errand,
        attempt: u32,
        is_yes: bool,
        return_id: Option<Uuid>,
    },
    /// The house has waited for our word long enough.
    GiveUp {
        uetr: Uuid,
    },
    /// The house says what it knows, unasked.
    Tell {
        uetr: Uuid,
    },
    Contradict {
        uetr: Uuid,
    },
    /// The adapter hears of the house.
    Hear {
        uetr: Uuid,
        command: InboundCommand,
    },
}

impl World {
    pub(crate) fn perform_incoming(&mut self, step: Move) {
        match step {
            Move::Order => self.order(),
            Move::Arrive(event) => self.arrive_in_core(event),
            Move::Decide(event) => {
                let (id, command) = instant::inbound_command_of(event);
                self.inbound(id, command);
            }
            Move::IncomingDeadline { id, deadline } => {
                let early = deadline.due_at.duration_since(self.agenda.now);
                if self.incoming(id, IncomingCommand::FireDeadline(deadline)) {
                    self.note_early(id, early);
                }
            }
            Move::InboundDeadline { id, deadline } => {
                let early = deadline.due_at.duration_since(self.agenda.now);
                let proceed = InboundCommand::Proceed { deadline, rail: Arc::clone(&self.rail) };
                if self.inbound(id, proceed) {
                    self.note_early(id, early);
                }
            }
            Move::Reach { uetr, errand, attempt, is_yes, return_id } => match (errand, return_id) {
                (Errand::Return, Some(return_id)) => self.take_back(uetr, return_id, attempt),
                (Errand::Answer, _) => self.hear_our_word(uetr, attempt, is_yes),
                _ => self.answer_our_question(uetr),
            },
            Move::GiveUp { uetr } => {
                if self.offers.decide(uetr, false, self.agenda.now) {
                    self.tell_until_taken(uetr);
                }
            }
            Move::Tell { uetr } => self.tell_outcome(uetr),
            Move::Contradict { uetr } => {
                if let Some(answer) = self.offers.contradict(uetr, self.agenda.now) {
                    let command = status(Some(answer), false);
                    self.agenda.after(SignedDuration::ZERO, Step::Incoming(Move::Hear { uetr, command }));
                }
            }
            Move::Hear { uetr, command } => {
                self.inbound(inbound_id(uetr), command);
            }
        }
    }

    fn order(&mut self) {
        let uetr = self.agenda.new_id();
        let is_ours = !self.agenda.chance(25);
        let account = self.an_account();
        let amount = dkk(i64::from(1 + self.agenda.random_below(300)));
        self.offers.book.insert(uetr, Offered::new(amount, is_ours.then_some(account)));
        let party = |account: String| Party { name: "Ada Lund".to_owned(), account, agent: None };
        let transfer = CreditTransfer {
            end_to_end_id: uetr.simple().to_string(),
            transaction_id: uetr.simple().to_string(),
            uetr,
            amount,
            settlement_date: self.agenda.now.to_zoned(jiff::tz::TimeZone::UTC).date(),
            accepted_at: self.agenda.now,
            debtor: party("DE89370400440532013000".to_owned()),
            creditor: party(account.to_string()),
            remittance: None,
        };
        let offer = Box::new(Offer { message_id: uetr.simple().to_string(), transfer });
        let command = InboundCommand::Offer { offer, message: None, decide_within: DECIDE_WITHIN };
        self.agenda.deliver(2_000, &Step::Incoming(Move::Hear { uetr, command }));
        self.agenda.after(ACCEPT_WITHIN, Step::Incoming(Move::GiveUp { uetr }));
    }

    fn arrive_in_core(&mut self, event: External) {
        match incoming::heard_of(event, LIMITS) {
            Heard::News(id, IncomingCommand::RecordSettled { uetr, settled_at, return_within, .. }) => {
                let (context, account_id) =
                    (self.agenda.context(), self.incomings.state(id).and_then(|it| it.account_id));
                let account = account_id.and_then(|account_id| self.accounts.state(account_id));
                let refusal = account.and_then(|account| incoming::refusal_of(&account, id, &context));
                self.incoming(
                    id,
                    IncomingCommand::RecordSettled { uetr, settled_at, refusal, return_within },
                );
            }
            Heard::News(id, command) => {
                self.incoming(id, command);
            }
            Heard::Payment(payment) => {
                let id = payment.payment_id;
                let known = self.incomings.state(id).and_then(|incoming| incoming.account_id);
                let decision =
                    match (known, self.offers.book.get(&payment.uetr).and_then(|offer| offer.account)) {
                        (Some(account), _) => Ok(account),
                        (None, None) => Err("AC01".to_owned()),
                        (None, Some(account)) => self.expect(account, id, payment.amount),
                    };
                let settle_within = LIMITS.settlement;
                self.incoming(id, IncomingCommand::Receive { payment, decision, settle_within });
            }
        }
    }

    fn expect(&mut self, account: Uuid, payment_id: Uuid, amount: Money) -> Result<Uuid, String> {
        let (context, expect) = (self.agenda.context(), AccountCommand::ExpectCredit { payment_id, amount });
        let expected = self.accounts.execute(account, expect, &context);
        expected
            .map(|_| account)
            .map_err(|refusal| incoming::reason_code(&refusal).unwrap_or_default().to_owned())
    }

    /// Returns whether anything came of the command.
    fn incoming(&mut self, id: Uuid, command: IncomingCommand) -> bool {
        let context = self.agenda.context();
        let before = self.incomings.state(id).and_then(|incoming| incoming.deadline());
        let Ok(events) = self.incomings.execute(id, command, &context) else { return false };
        let Some(state) = self.incomings.state(id) else { return false };
        for event in &events {
            if let Some((account, command)) = incoming::on_account(id, event) {
                self.follow_incoming(id, account, command);
            }
            self.credit_too_early(id, event);
            if let Some(event) = incoming::acceptance_of(&state, event) {
                // The two directions do not wait for each other.
                let stream = Uuid::from_u128(!id.as_u128());
                self.agenda.deliver_in_order(stream, &Step::Incoming(Move::Decide(event)));
            }
        }
        if let Some(deadline) = state.deadline().filter(|_| state.deadline() != before) {
            self.keep(deadline, &Step::Incoming(Move::IncomingDeadline { id, deadline }));
        }
        !events.is_empty()
    }

    fn follow_incoming(&mut self, id: Uuid, account: Uuid, command: AccountCommand) {
        match self.defect {
            Some(Defect::SkipCredit) if matches!(command, AccountCommand::PostCredit { .. }) => return,
            Some(Defect::SkipVoid) if matches!(command, AccountCommand::VoidCredit { .. }) => return,
            _ => {}
        }
        let done = self.account(account, command);
        if done.is_empty() && self.defect.is_none() {
            self.refused.push(id);
        }
        if self.defect == Some(Defect::CreditTwice) {
            let again = done.into_iter().filter(|event| matches!(event, AccountEvent::CreditPosted(_)));
            let again: Vec<AccountEvent> = again.collect();
            self.accounts.append(account, again);
        }
    }

    /// Returns whether anything came of the command.
    fn inbound(&mut self, id: Uuid, command: InboundCommand) -> bool {
        let context = self.agenda.context();
        let before = self.inbounds.state(id).and_then(|inbound| inbound.deadline());
        let Ok(events) = self.inbounds.execute(id, command, &context) else { return false };
        let Some(state) = self.inbounds.state(id) else { return false };
        let uetr = state.payment.uetr;
        for event in &events {
            if let InboundEvent::MessageStarted(started) = event
                && !self.agenda.chance(20)
            {
                let (is_yes, return_id) = read(&started.message, &self.rail);
                let (errand, attempt) = (started.errand, started.attempt);
                let limit = if self.agenda.chance(10) { 20_000 } else { 1_000 };
                let later = self.agenda.millis(0..limit);
                let reach = Move::Reach { uetr, errand, attempt, is_yes, return_id };
                self.agenda.after(later, Step::Incoming(reach));
            }
            if let Some(event) = instant::incoming_of(&state, event.clone())
                && !self.is_lost_news(&event)
            {
                self.agenda.deliver_in_order(id, &Step::Incoming(Move::Arrive(event)));
            }
        }
        if let Some(deadline) = state.deadline().filter(|_| state.deadline() != before) {
            self.keep(deadline, &Step::Incoming(Move::InboundDeadline { id, deadline }));
        }
        !events.is_empty()
    }

    /// The first word decides; the house may go against it all the same.
    fn hear_our_word(&mut self, uetr: Uuid, attempt: u32, is_yes: bool) {
        let (errand, policy) = (Errand::Answer, RETRIES);
        if self.agenda.chance(5) {
            let reason = "the house is closed".to_owned();
            self.answer(uetr, InboundCommand::RecordNotSent { errand, attempt, reason, policy });
            return;
        }
        if self.agenda.chance(3) {
            let reason = "the house does not read it".to_owned();
            self.answer(uetr, InboundCommand::RecordMessageRefused { errand, attempt, reason, policy });
            return;
        }
        let is_settled = if self.agenda.chance(8) { !is_yes } else { is_yes };
        self.offers.decide(uetr, is_settled, self.agenda.now);
        if self.agenda.chance(2) {
            let later = self.agenda.millis(0..60_000);
            self.agenda.after(later, Step::Incoming(Move::Contradict { uetr }));
        }
        match self.agenda.random_below(10) {
            0 => self.answer(uetr, status(Some(Answer::Pending { status: "ACSP".to_owned() }), false)),
            1 => self.answer(uetr, InboundCommand::RecordTaken { errand, attempt, policy }),
            _ => {
                self.tell_outcome(uetr);
                return;
            }
        }
        let later = self.agenda.millis(0..20_000);
        self.agenda.after(later, Step::Incoming(Move::Tell { uetr }));
    }

    fn answer_our_question(&mut self, uetr: Uuid) {
        // A house that says that it knows nothing may have it all the same.
        let answer = if self.agenda.chance(5) { None } else { self.offers.says(uetr) };
        self.answer(uetr, status(answer, false));
    }

    fn take_back(&mut self, uetr: Uuid, return_id: Uuid, attempt: u32) {
        if self.agenda.chance(3) {
            let (errand, policy) = (Errand::Return, RETRIES);
            let reason = "the house does not read it".to_owned();
            self.answer(uetr, InboundCommand::RecordMessageRefused { errand, attempt, reason, policy });
            return;
        }
        let is_willing = !self.agenda.chance(15);
        let is_taken = self.offers.take_back(uetr, return_id, is_willing);
        let answer = if is_taken {
            Answer::Settled { settled_at: self.agenda.now }
        } else {
            Answer::Rejected { reason_code: "AC04".to_owned() }
        };
        self.answer(uetr, status(Some(answer), true));
    }

    fn tell_outcome(&mut self, uetr: Uuid) {
        let answer = self.offers.says(uetr);
        self.answer(uetr, status(answer, false));
    }

    fn tell_until_taken(&mut self, uetr: Uuid) {
        let command = status(self.offers.says(uetr), false);
        self.agenda.deliver(1_500, &Step::Incoming(Move::Hear { uetr, command }));
    }

    /// The adapter is down, the connection is gone, the answer sits in a queue: all of it looks alike from here.
    fn answer(&mut self, uetr: Uuid, command: InboundCommand) {
        if self.agenda.chance(25) {
            return;
        }
        let limit = if self.agenda.chance(20) { 40_000 } else { 1_500 };
        let later = self.agenda.millis(0..limit);
        self.agenda.after(later, Step::Incoming(Move::Hear { uetr, command: command.clone() }));
        if self.agenda.chance(10) {
            self.agenda.after(later + later, Step::Incoming(Move::Hear { uetr, command }));
        }
    }

    fn note_early(&mut self, id: Uuid, early: SignedDuration) {
        if early > SignedDuration::ZERO {
            self.fired_early.push((id, early));
        }
    }

    fn is_lost_news(&self, event: &External) -> bool {
        self.defect == Some(Defect::LoseNews) && matches!(event, External::IncomingSettled(_))
    }

    /// As if our own word were the rail's.
    fn credit_too_early(&mut self, id: Uuid, event: &IncomingEvent) {
        if let (Some(Defect::CreditOnAcceptance), IncomingEvent::CreditPending(pending)) =
            (self.defect, event)
        {
            self.account(pending.account_id, AccountCommand::PostCredit { payment_id: id });
        }
    }
}

/// What the house reads: whether we will credit, and under which id a payment goes back.
fn read(sent: &Sent, rail: &Rail) -> (bool, Option<Uuid>) {
    let message = Message::read(sent.xml.expose().as_bytes(), &rail.profile);
    match message.map(|message| message.document) {
        Ok(Document::StatusReport(report)) => (report.status != TransactionStatus::Rejected, None),
        Ok(Document::PaymentReturn(returned)) => (false, returned.return_id.parse().ok()),
        _ => (false, None),
    }
}

fn status(answer: Option<Answer>, is_of_return: bool) -> InboundCommand {
    InboundCommand::RecordStatus { answer, is_of_return, message: None, policy: RETRIES }
}
