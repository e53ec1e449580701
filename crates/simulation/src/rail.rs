//! What happens between the adapter and the house: messages are lost, late and doubled, payments are pending, recalled and
//! come back.

use contract::payment::PaymentSubmitted;
use instant::{RecallAnswer, RecallOutcome, Returned, SubmissionCommand};
use uuid::Uuid;

use crate::defect::Defect;
use crate::house::Intent;
use crate::world::{RETRIES, Step, World};

impl World {
    /// A request may be lost, and may arrive when the adapter has long given it up.
    pub(crate) fn send(&mut self, payment: &PaymentSubmitted, attempt: u32) {
        let is_other = self.defect == Some(Defect::NewIdentifiers) && attempt > 1;
        let uetr = if is_other { self.agenda.new_id() } else { payment.uetr };
        let submission = payment.payment_id;
        self.attempts.entry(submission).or_default().push((uetr, payment.end_to_end_id.clone()));
        if self.agenda.chance(20) {
            return;
        }
        let limit = if self.agenda.chance(10) { 30_000 } else { 1_000 };
        let later = self.agenda.millis(0..limit);
        self.agenda.after(later, Step::Arrive { submission, uetr, attempt });
    }

    /// A payment that has reached the house. Its answer may be lost, late or doubled.
    pub(crate) fn arrive(&mut self, submission: Uuid, uetr: Uuid, attempt: u32) {
        let Some(payment) = self.submissions.state(submission).map(|submission| submission.payment) else {
            return;
        };
        let policy = RETRIES;
        if self.agenda.chance(5) {
            let reason = "the house is closed".to_owned();
            self.send_back(submission, SubmissionCommand::RecordNotSent { attempt, reason, policy });
            return;
        }
        if self.agenda.chance(3) {
            let reason = "the house does not read it".to_owned();
            self.send_back(submission, SubmissionCommand::RecordRefused { attempt, reason, policy });
            return;
        }
        let pending_for =
            if self.agenda.chance(15) { self.agenda.millis(0..90_000) } else { self.agenda.millis(0..1) };
        let intent = Intent { is_rejected: self.agenda.chance(15), told_at: self.agenda.now + pending_for };
        let is_new = self.house.find(uetr, self.agenda.now).is_none();
        let answer =
            self.house.receive(uetr, &payment.end_to_end_id, payment.amount, &intent, self.agenda.now);
        self.tell(submission, answer.clone());
        if self.agenda.chance(10) {
            self.tell(submission, answer);
        }
        if is_new && pending_for.is_positive() {
            self.agenda.after(pending_for, Step::Tell { submission, uetr });
        }
        if is_new && self.agenda.chance(10) {
            let later = self.agenda.millis(0..120_000);
            self.agenda.after(later, Step::Return { submission, uetr });
        }
        if self.agenda.chance(2) {
            let later = self.agenda.millis(0..120_000);
            self.agenda.after(later, Step::Contradict { submission, uetr });
        }
    }

    /// What the house knows by now, unasked.
    pub(crate) fn tell_what_is_known(&mut self, submission: Uuid, uetr: Uuid) {
        if let Some(answer) = self.house.find(uetr, self.agenda.now) {
            self.tell(submission, answer);
        }
    }

    fn tell(&mut self, submission: Uuid, answer: instant::Answer) {
        let (message, policy) = (None, RETRIES);
        self.send_back(submission, SubmissionCommand::RecordAnswer { answer, message, policy });
    }

    pub(crate) fn enquire(&mut self, submission: Uuid, uetr: Uuid, attempt: u32, enquiry: u32) {
        // A house that says that it knows nothing may have it all the same.
        let answer = if self.agenda.chance(5) { None } else { self.house.find(uetr, self.agenda.now) };
        let (message, policy) = (None, RETRIES);
        let command = SubmissionCommand::RecordEnquiry { attempt, enquiry, answer, message, policy };
        self.send_back(submission, command);
    }

    pub(crate) fn contradict(&mut self, submission: Uuid, uetr: Uuid) {
        if let Some(answer) = self.house.contradict(uetr, self.agenda.now) {
            let command = SubmissionCommand::RecordAnswer { answer, message: None, policy: RETRIES };
            let now = self.agenda.millis(0..1);
            self.agenda.after(now, Step::Hear { submission, command });
        }
    }

    pub(crate) fn give_back(&mut self, submission: Uuid, uetr: Uuid) {
        let fee = if self.agenda.chance(20) { 1 } else { 0 };
        if let Some(returned) = self.house.give_back(uetr, fee) {
            self.send_until_taken(submission, record_return(returned));
        }
    }

    /// A recall that has reached the house: the creditor's bank refuses, gives the money back, or says nothing.
    pub(crate) fn recall_arrives(&mut self, submission: Uuid, uetr: Uuid, recall_id: Uuid, attempt: u32) {
        if self.agenda.chance(3) {
            let reason = "the house does not read it".to_owned();
            self.send_back(submission, SubmissionCommand::RecordRecallRefused { recall_id, attempt, reason });
            return;
        }
        self.send_back(submission, SubmissionCommand::RecordRecallTaken { recall_id });
        let answer = match self.agenda.random_below(10) {
            0..4 => Some(RecallOutcome::Rejected { reason_code: "CUST".to_owned() }),
            4..8 => Some(RecallOutcome::Accepted),
            8 => Some(RecallOutcome::Pending),
            _ => None,
        };
        let Some(outcome) = self.house.recalled(uetr, recall_id, answer) else { return };
        if outcome == RecallOutcome::Accepted {
            self.give_back(submission, uetr);
        }
        let answer = RecallAnswer { recall_id, outcome };
        let command = SubmissionCommand::RecordRecallAnswer { answer, message: None };
        self.send_until_taken(submission, command);
    }

    fn send_back(&mut self, submission: Uuid, command: SubmissionCommand) {
        // The adapter is down, the connection is gone, the answer sits in a queue: all of it looks alike from here.
        if self.agenda.chance(25) {
            return;
        }
        let limit = if self.agenda.chance(20) { 90_000 } else { 1_500 };
        let later = self.agenda.millis(0..limit);
        self.agenda.after(later, Step::Hear { submission, command });
    }

    /// What nobody would ask for, the house repeats.
    fn send_until_taken(&mut self, submission: Uuid, command: SubmissionCommand) {
        let limit = if self.agenda.chance(20) { 90_000 } else { 1_500 };
        self.agenda.deliver(limit, &Step::Hear { submission, command });
    }
}

fn record_return(returned: Returned) -> SubmissionCommand {
    SubmissionCommand::RecordReturn { returned, message: None }
}
