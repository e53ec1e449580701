//! The adapter of the instant rail: a service with its own database that speaks to the clearing house.
//!
//! ```text
//!  payment.v1 ─► Submissions ─► submission: SubmissionRequested
//!                                   │ deadline: at once
//!                                   ▼
//!                  Courier ─► AttemptStarted ═══ HTTP ═══► clearing house
//!                                   │                          │ answer, in time or by callback
//!                                   │ deadline: no answer      ▼
//!                                   ▼               SubmissionAccepted | SubmissionRejected
//!                  AttemptTimedOut, EnquiryStarted ═══════►    └─► ClearingStream ─► clearing.v1
//!                                   ├─ not found: RetryScheduled ─► AttemptStarted
//!                                   └─ no answer: EnquiryTimedOut, EnquiryScheduled … RetriesExhausted
//! ```
//!
//! The attempt is an event before the call is made, with the identifiers that core has fixed. A time-out means
//! that the outcome is unknown: the house is asked before anything is sent again, and then under the same UETR, on which it dedupes. An
//! attempt that is still open after a restart times out like any other. A definite "not sent" is sent again after a pause. Nothing here touches money.

/// The service's name: of its database, its topics and its handlers' source.
pub const SERVICE: &str = "adapter-instant";

mod submission_event;
pub use submission_event::{
    AnswerContradicted, AnswerDuplicated, AttemptNotSent, AttemptStarted, AttemptTimedOut, EnquiryAnswered,
    EnquiryScheduled, EnquiryStarted, EnquiryTimedOut, RetriesExhausted, RetryScheduled, SubmissionAccepted,
    SubmissionEvent, SubmissionRejected, SubmissionRequested,
};

mod submission;
pub use submission::{Answer, RetryPolicy, Submission, SubmissionCommand, SubmissionRefusal};

mod submissions;
pub use submissions::Submissions;

mod clearing_house;
pub use clearing_house::{CallOutcome, ClearingHouse, EnquiryOutcome};

mod courier;
pub use courier::Courier;

mod answers;
pub use answers::router;

mod clearing_stream;
pub use clearing_stream::{ClearingStream, clearing_of};
