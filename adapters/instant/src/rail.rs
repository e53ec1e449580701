//! How this bank speaks on the rail: its messages, written and read, and its patience.

use adapter::Calendar;
use contract::incoming::{Holder, IncomingReceived};
use contract::payment::{Party, PaymentSubmitted};
use event::{Context, Personal};
use iso20022::{
    CancellationRequest, CancellationStatus, CreditTransfer, Document, Message, Original, OriginalKind,
    PaymentReturn, Profile, Reason, StatusReport, StatusRequest, TransactionStatus,
};
use jiff::{SignedDuration, Timestamp};
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Answer, RetryPolicy};

/// The clearing house's reason when it has never taken the payment that it is asked about.
const NOT_FOUND: &str = "NOT_FOUND";
/// A rejection for which no reason was given: `ExternalStatusReason1Code`, narrative.
const NO_REASON: &str = "NARR";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rail {
    pub profile: Profile,
    /// This bank, and the clearing house, as the profile names them.
    pub own_name: String,
    pub house_name: String,
    pub policy: RetryPolicy,
    pub calendar: Calendar,
    /// What the rail gives us to decide whether a payment to a customer of ours can be credited.
    pub decide_within: SignedDuration,
}

/// A message as it was sent. It stands in the event before it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub id: String,
    pub xml: Personal<String>,
}

/// A message as it came, which proves what was said.
pub type Evidence = Option<Personal<String>>;

/// What a message of the clearing house says about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Another bank wants to pay a customer of ours.
    Offered(Box<Offer>),
    Status(Answer),
    /// The creditor's bank will credit.
    Accepted {
        at: Timestamp,
    },
    /// The house has never had the payment.
    NotFound,
    Returned(Returned),
    Recalled(RecallAnswer),
}

/// A payment to a customer of ours, as it was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub message_id: String,
    pub transfer: CreditTransfer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub return_id: String,
    pub amount: Money,
    pub reason_code: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallAnswer {
    pub recall_id: Uuid,
    pub outcome: RecallOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecallOutcome {
    /// The money comes by a return.
    Accepted,
    Rejected {
        reason_code: String,
    },
    Pending,
}

/// A message, and the payment that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub uetr: Uuid,
    /// As the payer's bank has named it.
    pub transaction_id: String,
    /// It is about the payment's way back.
    pub is_of_return: bool,
    /// Of the payment, where the message says it.
    pub amount: Option<Money>,
    pub said: Said,
}

impl Heard {
    /// Who means another amount means another payment, or has not understood this one.
    pub(crate) fn is_about(&self, uetr: Uuid, amount: Money) -> bool {
        self.uetr == uetr && self.amount.is_none_or(|stated| stated == amount)
    }

    /// The payment of ours that it may be about.
    pub(crate) fn payment_id(&self) -> Option<Uuid> {
        self.transaction_id.parse().ok()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHeard {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] iso20022::Error),
    #[error("it is for {0}")]
    OtherAddressee(String),
    #[error("it is from {0}")]
    OtherSender(String),
    #[error("it is no answer to anything of ours")]
    NotAnAnswer,
    #[error("it names no payment of ours")]
    OtherPayment,
}

impl Rail {
    /// `requested_at` is from when the rail's limits count; it is the same for each attempt.
    pub(crate) fn credit_transfer(
        &self,
        payment: &PaymentSubmitted,
        requested_at: Timestamp,
        context: &Context,
    ) -> Sent {
        let party = |party: &Party, agent: Option<&String>| iso20022::Party {
            name: party.name.expose().clone(),
            account: party.iban.expose().as_str().to_owned(),
            agent: agent.cloned(),
        };
        let transfer = CreditTransfer {
            end_to_end_id: payment.end_to_end_id.clone(),
            transaction_id: transaction_id(payment),
            uetr: payment.uetr,
            amount: payment.amount,
            settlement_date: self.calendar.settlement_date(requested_at),
            accepted_at: requested_at,
            debtor: party(&payment.debtor, Some(&self.own_name)),
            creditor: party(&payment.creditor, None),
            remittance: payment.remittance.as_ref().map(|text| text.expose().clone()),
        };
        self.write(Document::CreditTransfer(transfer), context)
    }

    pub(crate) fn status_request(&self, original: Original, context: &Context) -> Sent {
        self.write(Document::StatusRequest(StatusRequest { original }), context)
    }

    pub(crate) fn cancellation_request(
        &self,
        payment: &PaymentSubmitted,
        original: Original,
        recall_id: Uuid,
        reason_code: &str,
        context: &Context,
    ) -> Sent {
        let request = CancellationRequest {
            case_id: recall_id.simple().to_string(),
            original,
            amount: payment.amount,
            reason: Reason::code(reason_code),
        };
        self.write(Document::CancellationRequest(request), context)
    }

    /// Whether a payment to a customer of ours will be credited; a refusal has its reason.
    pub(crate) fn decision(&self, original: Original, refusal: Option<&str>, context: &Context) -> Sent {
        let status =
            if refusal.is_some() { TransactionStatus::Rejected } else { TransactionStatus::Accepted };
        let reason = refusal.map(Reason::code);
        let report = StatusReport { original, status, reason, settled_at: None, amount: None };
        self.write(Document::StatusReport(report), context)
    }

    /// `requested_at` is the same for each attempt.
    pub(crate) fn payment_return(
        &self,
        payment: &IncomingReceived,
        original: Original,
        (return_id, amount, reason_code): (Uuid, Money, &str),
        requested_at: Timestamp,
        context: &Context,
    ) -> Sent {
        let returned = PaymentReturn {
            return_id: return_id.simple().to_string(),
            original,
            original_amount: payment.amount,
            amount,
            settlement_date: self.calendar.settlement_date(requested_at),
            reason: Reason::code(reason_code),
        };
        self.write(Document::PaymentReturn(returned), context)
    }

    fn write(&self, document: Document, context: &Context) -> Sent {
        // ISO 20022 allows 35 characters: a UUID without its dashes.
        let id = context.new_id().simple().to_string();
        let (from, to) = (self.own_name.clone(), self.house_name.clone());
        let message = Message { from, to, id: id.clone(), created_at: context.now, document };
        Sent { id, xml: message.to_xml(&self.profile).into() }
    }

    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Heard, NotHeard> {
        let message = Message::read(bytes, &self.profile)?;
        if !is_same_bank(&message.to, &self.own_name) {
            return Err(NotHeard::OtherAddressee(message.to));
        }
        if !is_same_bank(&message.from, &self.house_name) {
            return Err(NotHeard::OtherSender(message.from));
        }
        let created_at = message.created_at;
        let message_id = message.id;
        let amount = match &message.document {
            Document::StatusReport(report) => report.amount,
            _ => None,
        };
        let (original, said) = match message.document {
            Document::CreditTransfer(transfer) => {
                let (uetr, transaction_id) = (transfer.uetr, transfer.transaction_id.clone());
                let said = Said::Offered(Box::new(Offer { message_id, transfer }));
                return Ok(Heard { uetr, transaction_id, is_of_return: false, amount: None, said });
            }
            Document::StatusReport(report) => (report.original.clone(), status(report, created_at)),
            Document::PaymentReturn(returned) => {
                let reason_code = returned.reason.as_str().to_owned();
                let (return_id, amount) = (returned.return_id, returned.amount);
                (returned.original, Said::Returned(Returned { return_id, amount, reason_code }))
            }
            Document::CancellationResolution(resolution) => {
                let recall_id = resolution.case_id.parse().map_err(|_| NotHeard::OtherPayment)?;
                let outcome = match resolution.status {
                    CancellationStatus::Accepted => RecallOutcome::Accepted,
                    CancellationStatus::Pending => RecallOutcome::Pending,
                    CancellationStatus::Rejected => {
                        RecallOutcome::Rejected { reason_code: code(resolution.reason) }
                    }
                };
                (resolution.original, Said::Recalled(RecallAnswer { recall_id, outcome }))
            }
            Document::StatusRequest(_) | Document::CancellationRequest(_) => {
                return Err(NotHeard::NotAnAnswer);
            }
        };
        let is_of_return = original.kind == OriginalKind::PaymentReturn;
        let (uetr, transaction_id) = (original.uetr, original.transaction_id);
        Ok(Heard { uetr, transaction_id, is_of_return, amount, said })
    }
}

impl Offer {
    /// What core has to decide about.
    pub(crate) fn payment(self, payment_id: Uuid, answer_by: Timestamp) -> IncomingReceived {
        let holder = |party: iso20022::Party| Holder {
            account: party.account.into(),
            name: party.name.into(),
            agent: party.agent,
        };
        let transfer = self.transfer;
        IncomingReceived {
            payment_id,
            uetr: transfer.uetr,
            end_to_end_id: transfer.end_to_end_id,
            transaction_id: transfer.transaction_id,
            amount: transfer.amount,
            debtor: holder(transfer.debtor),
            creditor: holder(transfer.creditor),
            remittance: transfer.remittance.map(Personal),
            answer_by,
        }
    }
}

pub(crate) fn transaction_id(payment: &PaymentSubmitted) -> String {
    payment.payment_id.simple().to_string()
}

/// A BIC of 8 characters names the same bank as the one of 11 with XXX for its head office.
fn is_same_bank(one: &str, other: &str) -> bool {
    let office =
        |name: &str| name.strip_suffix("XXX").filter(|bank| bank.len() == 8).unwrap_or(name).to_owned();
    office(one) == office(other)
}

fn status(report: StatusReport, created_at: Timestamp) -> Said {
    match (report.status, report.reason) {
        (TransactionStatus::Rejected, Some(Reason::Proprietary(reason))) if reason == NOT_FOUND => {
            Said::NotFound
        }
        (TransactionStatus::Rejected, reason) => Said::Status(Answer::Rejected { reason_code: code(reason) }),
        (TransactionStatus::Accepted, _) => Said::Accepted { at: report.settled_at.unwrap_or(created_at) },
        (TransactionStatus::Settled, _) => {
            Said::Status(Answer::Settled { settled_at: report.settled_at.unwrap_or(created_at) })
        }
        (TransactionStatus::Pending(pending), _) => {
            Said::Status(Answer::Pending { status: pending.code().to_owned() })
        }
    }
}

fn code(reason: Option<Reason>) -> String {
    reason.map_or_else(|| NO_REASON.to_owned(), |reason| reason.as_str().to_owned())
}
