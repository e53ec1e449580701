//! The adapter of the instant rail: a service with its own database that speaks ISO 20022 to the clearing house.
//!
//! ```text
//!  payment.v2 ─► Submissions ─► submission: SubmissionRequested
//!                                   │ deadline: at once
//!                                   ▼
//!                  Courier ─► AttemptStarted ═══ pacs.008 ═══► clearing house
//!                                   │                              │ pacs.002, in time or to the inbox
//!                                   │ deadline: no answer          ▼
//!                                   ▼           SubmissionAccepted | SubmissionRejected | SubmissionPending
//!         AttemptTimedOut, EnquiryStarted ══ pacs.028 ═════►    └─► ClearingStream ─► clearing.v2
//!                                   ├─ not found: RetryScheduled ─► AttemptStarted
//!                                   └─ no answer: EnquiryTimedOut, EnquiryScheduled … RetriesExhausted
//!
//!  afterwards: pacs.004 ─► ReturnReceived;  RecallRequested ══ camt.056 ══► RecallRejected (camt.029), or the return
//!
//!  clearing house ══ pacs.008 ══► inbound: PaymentOffered ─► IncomingStream ─► incoming.v1
//!                                   │ acceptance.v1, or the deadline
//!                                   ▼
//!            PaymentAccepted | PaymentRefused ══ pacs.002 ══► clearing house
//!                                   │ silence: pacs.028            │ pacs.002
//!                                   └─► SettlementConfirmed | SettlementCancelled ─► incoming.v1
//!  afterwards: ReturnRequested ══ pacs.004 ══► ReturnSettled | ReturnRejected
//! ```
//!
//! A message stands in an event, as it will be sent, before it is; what comes back is kept beside what it led to, and what
//! belongs to nothing in a stream of its own. The identifiers are those that core has fixed. A time-out means
//! that the outcome is unknown: the house is asked before anything is sent again, and then under the same UETR, on which it dedupes. An
//! attempt that is still open after a restart times out like any other. A definite "not sent" is sent again after a pause. While the rail is closed, or answers nobody,
//! no payment is sent: it waits (`AttemptDeferred`), or, never tried and too late for core's limit, is rejected. Nothing here touches money.

/// The service's name: of its database, its topics and its handlers' source.
pub const SERVICE: &str = "adapter-instant";

mod submission_event;
pub use submission_event::{
    AnswerContradicted, AnswerDuplicated, AttemptDeferred, AttemptNotSent, AttemptStarted, AttemptTimedOut,
    EnquiryAnswered, EnquiryScheduled, EnquiryStarted, EnquiryTimedOut, HoldReason, RecallAccepted,
    RecallAttemptTimedOut, RecallExhausted, RecallPending, RecallRefused, RecallRejected, RecallRequested,
    RecallRetryScheduled, RecallStarted, RecallTaken, RetriesExhausted, RetryScheduled, ReturnReceived,
    SubmissionAccepted, SubmissionEvent, SubmissionPending, SubmissionRejected, SubmissionRequested,
};

mod inbound_event;
pub use inbound_event::{
    DecisionOvertaken, DecisionTimedOut, Errand, InboundEvent, MessageNotSent, MessageScheduled,
    MessageStarted, MessageTaken, MessageTimedOut, MessagesExhausted, OfferRepeated, PaymentAccepted,
    PaymentOffered, PaymentRefused, RefusalConfirmed, ReturnRejected, ReturnRequested, ReturnSettled,
    ReturnUnknown, SettlementCancelled, SettlementConfirmed, SettlementUnknown, StatusContradicted,
    StatusDuplicated, StatusHeard,
};

mod rail;
pub use rail::{Evidence, Heard, NotHeard, Offer, Rail, RecallAnswer, RecallOutcome, Returned, Said, Sent};

mod submission;
pub use submission::{Answer, Hold, RetryPolicy, Submission, SubmissionCommand, SubmissionRefusal};

mod submissions;
pub use submissions::{Submissions, submission_command_of};

mod inbound;
pub use inbound::{Inbound, InboundCommand, InboundRefusal, inbound_id};

mod acceptances;
pub use acceptances::{Acceptances, inbound_command_of};

mod clearing_house;
pub use clearing_house::{CallOutcome, ClearingHouse};

mod correspondence;

mod courier;
pub use courier::Courier;

mod inbox;
pub use inbox::router;

mod incoming_stream;
pub use incoming_stream::{IncomingStream, incoming_of};

mod clearing_stream;
pub use clearing_stream::{ClearingStream, ClearingStreamV1, clearing_of};
