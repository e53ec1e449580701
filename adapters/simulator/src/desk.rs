//! The house's ISO 20022: messages in, messages out.

use axum::body::Bytes;
use axum::http::StatusCode;
use iso20022::{
    CancellationResolution, CancellationStatus, Document, Message, Original, PaymentReturn, Profile, Reason,
    StatusReport, TransactionStatus,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::book::{Notice, Refusal, Return};
use crate::offer::Offer;
use crate::payment::Payment;
use crate::problem::Problem;

/// The reason, of this house's own, for which an enquiry about a payment that it has never taken is answered.
const NOT_FOUND: &str = "NOT_FOUND";

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) profile: Profile,
    /// The house, as the profile names banks.
    pub(crate) name: String,
    /// What banks have to show. None: nothing.
    pub(crate) token: Option<String>,
}

impl Desk {
    /// Whether this header is a bank's.
    pub(crate) fn admits(&self, shown: Option<&str>) -> bool {
        let shown = shown.and_then(|shown| shown.strip_prefix("Bearer "));
        self.token.as_deref().is_none_or(|token| shown == Some(token))
    }

    pub(crate) fn read(&self, bytes: &Bytes) -> Result<Message, Problem> {
        Message::read(bytes, &self.profile).map_err(|error| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-message", error.to_string())
        })
    }

    pub(crate) fn report(&self, to: &str, report: StatusReport) -> String {
        self.write(to, Document::StatusReport(report))
    }

    pub(crate) fn not_found(&self, to: &str, original: Original) -> String {
        let reason = Some(Reason::Proprietary(NOT_FOUND.to_owned()));
        self.report(
            to,
            StatusReport {
                original,
                status: TransactionStatus::Rejected,
                reason,
                settled_at: None,
                amount: None,
            },
        )
    }

    pub(crate) fn offer(&self, offer: &Offer) -> String {
        // The debtor's bank is no participant of its own: the house speaks for it.
        let document = Document::CreditTransfer(offer.transfer(&offer.to, &self.name));
        let (from, to, id) = (self.name.clone(), offer.to.clone(), offer.message_id.clone());
        Message { from, to, id, created_at: offer.offered_at, document }.to_xml(&self.profile)
    }

    pub(crate) fn notice(&self, payment: &Payment, notice: &Notice) -> String {
        let document = match notice {
            Notice::Return(Return { return_id, amount, reason, decided_at, .. }) => {
                Document::PaymentReturn(PaymentReturn {
                    return_id: return_id.clone(),
                    original: payment.original(),
                    original_amount: payment.amount,
                    amount: *amount,
                    settlement_date: decided_at.to_zoned(TimeZone::UTC).date(),
                    reason: reason.reason(),
                })
            }
            Notice::Refusal(Refusal { case_id, reason, .. }) => {
                Document::CancellationResolution(CancellationResolution {
                    case_id: case_id.clone(),
                    original: payment.original(),
                    status: CancellationStatus::Rejected,
                    reason: Some(reason.reason()),
                })
            }
        };
        self.write(&payment.sender, document)
    }

    fn write(&self, to: &str, document: Document) -> String {
        let (from, to, id) = (self.name.clone(), to.to_owned(), Uuid::now_v7().simple().to_string());
        Message { from, to, id, created_at: Timestamp::now(), document }.to_xml(&self.profile)
    }
}
