//! The schedule: what happens next, when, and how it goes wrong, all of it drawn from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::clearing::ClearingEvent;
use contract::payment::{Party, PaymentEvent};
use event::{Aggregate, Deadline};
use incoming::{Incoming, IncomingEvent};
use instant::{
    Hold, HoldReason, Inbound, InboundEvent, Rail, RetryPolicy, Submission, SubmissionCommand,
    SubmissionEvent,
};
use iso20022::Profile;
use jiff::SignedDuration;
use ledger::{Account, AccountCommand, AccountEvent};
use money::{Currency, Money};
use rand::Rng;
use transfer::{
    Beneficiary, FailureReason, HoldPolicy, Requested, SubmissionPolicy, TimeoutPolicy, Transfer,
    TransferCommand, TransferEvent,
};
use uuid::Uuid;

use crate::agenda::Agenda;
use crate::defect::Defect;
use crate::house::{Entry, House};
use crate::incoming::{DECIDE_WITHIN, Move, OFFERS};
use crate::offers::{Offered, Offers};
use crate::streams::Streams;

const ACCOUNTS: usize = 3;
const TRANSFERS: usize = 12;
const FUNDS: i64 = 1_000;
/// Now before, now after the adapter has given up.
const ANSWER_WITHIN: SignedDuration = SignedDuration::from_secs(20);
/// Shorter than all tries of the adapter's together, so that each can be the first to give up.
const RESOLVE_WITHIN: SignedDuration = SignedDuration::from_secs(15);
const RESERVE_WITHIN: SignedDuration = SignedDuration::from_secs(5);
const APPROVE_WITHIN: SignedDuration = SignedDuration::from_secs(8);
/// For what the rail says it has taken: now before, now after it is told.
const PENDING_WITHIN: SignedDuration = SignedDuration::from_secs(45);
/// Now before, now after the recall is answered.
const RECALL_WITHIN: SignedDuration = SignedDuration::from_secs(40);
pub(crate) const RETRIES: RetryPolicy = RetryPolicy {
    attempts_max: 3,
    enquiries_max: 3,
    answer_timeout: SignedDuration::from_secs(2),
    retry_pause: SignedDuration::from_millis(500),
    pending_pause: SignedDuration::from_secs(10),
    pending_enquiries_max: 6,
};
/// All that happened, as the auditor gets it.
pub struct Story {
    pub accounts: BTreeMap<Uuid, Vec<AccountEvent>>,
    pub transfers: BTreeMap<Uuid, Vec<TransferEvent>>,
    pub submissions: BTreeMap<Uuid, Vec<SubmissionEvent>>,
    pub incomings: BTreeMap<Uuid, Vec<IncomingEvent>>,
    pub inbounds: BTreeMap<Uuid, Vec<InboundEvent>>,
    pub house: BTreeMap<Uuid, Entry>,
    /// By UETR: what other banks have paid.
    pub offers: BTreeMap<Uuid, Offered>,
    /// The identifiers of each attempt that was made, by transfer.
    pub attempts: BTreeMap<Uuid, Vec<(Uuid, String)>>,
    /// What an account has refused although the saga had decided it.
    pub refused: Vec<Uuid>,
    /// Deadlines that fired and led to something, with how much too early.
    pub fired_early: Vec<(Uuid, SignedDuration)>,
    /// No step was left to do.
    pub came_to_rest: bool,
}

/// What happens at a moment.
#[derive(Clone)]
pub(crate) enum Step {
    Request { transfer: Uuid },
    Confirm { transfer: Uuid },
    Approve { transfer: Uuid },
    Deny { transfer: Uuid },
    Cancel { transfer: Uuid },
    Spend { account: Uuid, amount: Money },
    Recall { transfer: Uuid },
    Submit(PaymentEvent),
    Clear(ClearingEvent),
    TransferDeadline { transfer: Uuid, deadline: Deadline },
    SubmissionDeadline { submission: Uuid, deadline: Deadline },
    Arrive { submission: Uuid, uetr: Uuid, attempt: u32 },
    Enquire { submission: Uuid, uetr: Uuid, attempt: u32, enquiry: u32 },
    Tell { submission: Uuid, uetr: Uuid },
    Contradict { submission: Uuid, uetr: Uuid },
    Return { submission: Uuid, uetr: Uuid },
    RecallArrives { submission: Uuid, uetr: Uuid, recall_id: Uuid, attempt: u32 },
    Hear { submission: Uuid, command: SubmissionCommand },
    Incoming(Move),
}

pub(crate) struct World {
    pub(crate) agenda: Agenda<Step>,
    pub(crate) rail: Arc<Rail>,
    pub(crate) defect: Option<Defect>,
    pub(crate) accounts: Streams<Account>,
    pub(crate) transfers: Streams<Transfer>,
    pub(crate) submissions: Streams<Submission>,
    pub(crate) incomings: Streams<Incoming>,
    pub(crate) inbounds: Streams<Inbound>,
    pub(crate) house: House,
    pub(crate) offers: Offers,
    pub(crate) attempts: BTreeMap<Uuid, Vec<(Uuid, String)>>,
    pub(crate) refused: Vec<Uuid>,
    pub(crate) fired_early: Vec<(Uuid, SignedDuration)>,
    account_ids: Vec<Uuid>,
}

/// One run: the same seed and defect, the same story.
pub fn run(seed: u64, defect: Option<Defect>) -> Story {
    let mut world = World {
        agenda: Agenda::new(seed),
        rail: Arc::new(rail()),
        defect,
        accounts: Streams::default(),
        transfers: Streams::default(),
        submissions: Streams::default(),
        incomings: Streams::default(),
        inbounds: Streams::default(),
        house: House::default(),
        offers: Offers::default(),
        attempts: BTreeMap::new(),
        refused: Vec::new(),
        fired_early: Vec::new(),
        account_ids: Vec::new(),
    };
    world.open_accounts();
    world.plan();
    while let Some(step) = world.agenda.next() {
        world.perform(step);
    }
    Story {
        came_to_rest: world.agenda.is_at_rest(),
        accounts: world.accounts.events,
        transfers: world.transfers.events,
        submissions: world.submissions.events,
        incomings: world.incomings.events,
        inbounds: world.inbounds.events,
        house: world.house.book,
        offers: world.offers.book,
        attempts: world.attempts,
        refused: world.refused,
        fired_early: world.fired_early,
    }
}

impl World {
    fn open_accounts(&mut self) {
        for _ in 0..ACCOUNTS {
            let id = self.agenda.new_id();
            let open = AccountCommand::Open {
                id,
                customer_id: None,
                owner_name: "Ada Lund".to_owned().into(),
                currency: Currency::DKK,
            };
            let deposit = AccountCommand::Deposit { deposit_id: self.agenda.new_id(), amount: dkk(FUNDS) };
            self.account(id, open);
            self.account(id, deposit);
            self.account_ids.push(id);
        }
    }

    /// Customers ask within half a minute, and some of them change their minds or spend what they have.
    fn plan(&mut self) {
        for _ in 0..TRANSFERS {
            let transfer = self.agenda.new_id();
            let at = self.agenda.millis(0..30_000);
            self.agenda.after(at, Step::Request { transfer });
            if self.agenda.chance(10) {
                let later = self.agenda.millis(0..10_000);
                self.agenda.after(at + later, Step::Cancel { transfer });
            }
            let account = self.an_account();
            let amount = dkk(self.agenda.random.random_range(1..FUNDS / 2));
            let at = self.agenda.millis(0..60_000);
            self.agenda.after(at, Step::Spend { account, amount });
        }
        for _ in 0..OFFERS {
            let at = self.agenda.millis(0..30_000);
            self.agenda.after(at, Step::Incoming(Move::Order));
        }
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Request { transfer } => self.request(transfer),
            Step::Confirm { transfer } => self.confirm(transfer),
            Step::Approve { transfer } => {
                let submission = self.submission_policy(transfer);
                self.transfer(transfer, TransferCommand::Approve { submission });
            }
            Step::Deny { transfer } => {
                self.transfer(transfer, TransferCommand::Deny { reason: "no".to_owned() });
            }
            Step::Cancel { transfer } => self.transfer(transfer, TransferCommand::Cancel),
            Step::Spend { account, amount } => {
                let transfer_id = self.agenda.new_id();
                self.account(account, AccountCommand::Debit { transfer_id, amount });
                if self.defect == Some(Defect::Overdraw) {
                    self.overdraw(account, transfer_id, amount);
                }
            }
            Step::Recall { transfer } => {
                let (reason_code, answer_within) = ("DUPL".to_owned(), RECALL_WITHIN);
                self.transfer(transfer, TransferCommand::Recall { reason_code, answer_within });
            }
            Step::Submit(event) => {
                let (submission, command) = instant::submission_command_of(event);
                self.submission(submission, command);
            }
            Step::Clear(event) => {
                let gives_up = matches!(event, ClearingEvent::PaymentOutcomeUnknown(_));
                let (transfer, command) = transfer::command_of(event);
                self.transfer(transfer, command);
                if gives_up {
                    self.forget_the_rule(transfer);
                }
            }
            Step::TransferDeadline { transfer, deadline } => self.fire_transfer(transfer, deadline),
            Step::SubmissionDeadline { submission, deadline } => {
                let early = deadline.due_at.duration_since(self.agenda.now);
                let (rail, hold) = (Arc::clone(&self.rail), self.hold());
                let proceed = SubmissionCommand::Proceed { deadline, rail, hold };
                if self.submission(submission, proceed) && early > SignedDuration::ZERO {
                    self.fired_early.push((submission, early));
                }
            }
            Step::Arrive { submission, uetr, attempt } => self.arrive(submission, uetr, attempt),
            Step::Enquire { submission, uetr, attempt, enquiry } => {
                self.enquire(submission, uetr, attempt, enquiry);
            }
            Step::Tell { submission, uetr } => self.tell_what_is_known(submission, uetr),
            Step::Contradict { submission, uetr } => self.contradict(submission, uetr),
            Step::Return { submission, uetr } => self.give_back(submission, uetr),
            Step::RecallArrives { submission, uetr, recall_id, attempt } => {
                self.recall_arrives(submission, uetr, recall_id, attempt);
            }
            Step::Hear { submission, command } => {
                self.submission(submission, command);
            }
            Step::Incoming(step) => self.perform_incoming(step),
        }
    }

    fn request(&mut self, transfer: Uuid) {
        let from = self.an_account();
        let amount = dkk(self.agenda.random.random_range(1..FUNDS));
        let context = self.agenda.context();
        let deadline = Some(Deadline::after(RESERVE_WITHIN, &context));
        let request = Requested {
            transfer_id: transfer,
            from_account: from,
            to: Beneficiary::Bank { iban: party().iban, name: party().name },
            amount,
            remittance: None,
            debtor: party(),
            uetr: self.agenda.new_id(),
            end_to_end_id: transfer.simple().to_string(),
            deadline,
        };
        let reserve = AccountCommand::Reserve { reservation_id: transfer, amount };
        let events = self.account(from, reserve);
        if events.iter().any(|event| matches!(event, AccountEvent::ReservationRejected(_))) {
            let reason = FailureReason::InsufficientFunds;
            let request = Requested { deadline: None, ..request };
            self.transfer(transfer, TransferCommand::RequestRefused { request, reason });
            return;
        }
        self.transfer(transfer, TransferCommand::Request(request));
        // Now and then the saga hears of its reservation too late.
        let limit = if self.agenda.chance(5) { 8_000 } else { 1_000 };
        self.agenda.deliver(limit, &Step::Confirm { transfer });
    }

    fn confirm(&mut self, transfer: Uuid) {
        // From the id, so that a repetition decides alike.
        let needs_approval = transfer.as_u128().is_multiple_of(5);
        let submission = self.submission_policy(transfer);
        let approve_within = needs_approval.then_some(APPROVE_WITHIN);
        let confirm =
            TransferCommand::ConfirmReservation { reservation_id: transfer, approve_within, submission };
        self.transfer(transfer, confirm);
        if needs_approval {
            let step = match self.agenda.random.random_range(0..10) {
                0 => None,
                1 | 2 => Some(Step::Deny { transfer }),
                _ => Some(Step::Approve { transfer }),
            };
            if let Some(step) = step {
                self.agenda.deliver(10_000, &step);
            }
        }
    }

    fn submission_policy(&self, transfer: Uuid) -> SubmissionPolicy {
        let is_instant = transfer.as_u128().is_multiple_of(2);
        let hold = if is_instant { HoldPolicy::ReleaseAtDeadline } else { HoldPolicy::HoldUntilResolved };
        let on_timeout =
            TimeoutPolicy { hold, resolve_within: RESOLVE_WITHIN, pending_within: Some(PENDING_WITHIN) };
        SubmissionPolicy { answer_within: ANSWER_WITHIN, on_timeout }
    }

    fn fire_transfer(&mut self, transfer: Uuid, deadline: Deadline) {
        let early = deadline.due_at.duration_since(self.agenda.now);
        let before = self.transfers.events.get(&transfer).map_or(0, Vec::len);
        self.transfer(transfer, TransferCommand::FireDeadline(deadline));
        let decided = self.transfers.events[&transfer][before..].to_vec();
        if !decided.is_empty() && early > SignedDuration::ZERO {
            self.fired_early.push((transfer, early));
        }
        let timed_out = decided.iter().any(|event| matches!(event, TransferEvent::SubmissionTimedOut(_)));
        let given_back = decided.iter().any(|event| matches!(event, TransferEvent::Released(_)));
        if timed_out && !given_back {
            self.mistake_the_time_out(transfer);
        }
    }

    /// Decides, commits, and plans what follows. A refusal is for whoever asked.
    fn transfer(&mut self, id: Uuid, command: TransferCommand) {
        let context = self.agenda.context();
        let before = self.transfers.state(id).and_then(|transfer| transfer.deadline());
        let Ok(mut events) = self.transfers.execute(id, command, &context) else { return };
        let Some(state) = self.transfers.state(id) else { return };
        for event in events.clone() {
            let Some(on_account) = transfer::on_account(&state.request, &event) else { continue };
            let is_late = matches!(on_account, AccountCommand::CaptureLate { .. });
            let done = self.follow(&state.request, on_account);
            if done.is_empty() && self.defect.is_none() {
                self.refused.push(id);
            }
            if is_late {
                let covered = done.iter().any(|event| matches!(event, AccountEvent::LateCaptured(_)));
                let outcome = TransferCommand::RecordLateCapture { covered };
                events.extend(self.transfers.execute(id, outcome, &context).unwrap_or_default());
                self.forget_the_debt(id, covered);
            }
        }
        for event in &events {
            if let Some(event) = transfer::payment_of(&state.request, event) {
                self.agenda.deliver(1_000, &Step::Submit(event));
            }
            if matches!(event, TransferEvent::Succeeded(_)) && self.agenda.chance(20) {
                let later = self.agenda.millis(0..20_000);
                self.agenda.after(later, Step::Recall { transfer: id });
            }
        }
        let after = self.transfers.state(id).and_then(|transfer| transfer.deadline());
        if let Some(deadline) = after.filter(|_| after != before) {
            self.keep(deadline, &Step::TransferDeadline { transfer: id, deadline });
        }
    }

    pub(crate) fn account(&mut self, id: Uuid, command: AccountCommand) -> Vec<AccountEvent> {
        let context = self.agenda.context();
        self.accounts.execute(id, command, &context).unwrap_or_default()
    }

    /// Returns whether anything came of the command.
    fn submission(&mut self, id: Uuid, command: SubmissionCommand) -> bool {
        let context = self.agenda.context();
        let before = self.submissions.state(id).and_then(|submission| submission.deadline());
        let Ok(events) = self.submissions.execute(id, command, &context) else { return false };
        let Some(state) = self.submissions.state(id) else { return false };
        for event in &events {
            match event {
                SubmissionEvent::AttemptStarted(started) => self.send(&state.payment, started.attempt),
                SubmissionEvent::EnquiryStarted(started) if !self.agenda.chance(25) => {
                    let (submission, uetr) = (id, state.payment.uetr);
                    let later = self.agenda.millis(0..1_000);
                    let (attempt, enquiry) = (started.attempt, started.enquiry);
                    self.agenda.after(later, Step::Enquire { submission, uetr, attempt, enquiry });
                }
                SubmissionEvent::RecallStarted(started) if !self.agenda.chance(40) => {
                    let (submission, uetr, recall_id) = (id, state.payment.uetr, started.recall_id);
                    let (attempt, later) = (started.attempt, self.agenda.millis(0..1_000));
                    self.agenda.after(later, Step::RecallArrives { submission, uetr, recall_id, attempt });
                }
                _ => {}
            }
            if let Some(event) = instant::clearing_of(&state.payment, event.clone())
                && !self.is_lost(&event)
            {
                self.agenda.deliver_in_order(id, &Step::Clear(event));
            }
        }
        let after = state.deadline();
        if let Some(deadline) = after.filter(|_| after != before) {
            self.keep(deadline, &Step::SubmissionDeadline { submission: id, deadline });
        }
        !events.is_empty()
    }

    /// The scheduler fires a deadline a little late, and now and then twice.
    pub(crate) fn keep(&mut self, deadline: Deadline, step: &Step) {
        match self.defect {
            Some(Defect::LoseDeadlines) if matches!(step, Step::TransferDeadline { .. }) => return,
            Some(Defect::FireEarly) => return self.agenda.after(SignedDuration::ZERO, step.clone()),
            _ => {}
        }
        self.agenda.keep(deadline, step);
    }

    /// Now and then the rail is closed, or answers nobody.
    fn hold(&mut self) -> Option<Hold> {
        if !self.agenda.chance(10) {
            return None;
        }
        let reason = if self.agenda.chance(50) { HoldReason::Closed } else { HoldReason::NoAnswer };
        let until = self.agenda.now + SignedDuration::from_millis(self.agenda.random.random_range(1..4_000));
        Some(Hold { reason, until })
    }

    pub(crate) fn an_account(&mut self) -> Uuid {
        self.account_ids[self.agenda.random.random_range(0..ACCOUNTS)]
    }
}

pub(crate) fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

fn rail() -> Rail {
    let profile = Profile::named("nct-inst").unwrap_or_else(|error| unreachable!("{error}"));
    let [own_name, house_name] = ["LUNADK22XXX", "NCTIDKK1XXX"].map(str::to_owned);
    let calendar = adapter::Calendar::default();
    Rail { profile, own_name, house_name, policy: RETRIES, calendar, decide_within: DECIDE_WITHIN }
}

fn party() -> Party {
    Party { iban: contract::Iban::of_account(Uuid::nil()).into(), name: "Ada Lund".to_owned().into() }
}
