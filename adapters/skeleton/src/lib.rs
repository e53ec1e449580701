//! A rail's adapter to begin with: payments out, each answered, refused, or asked for until a person has to look.
//!
//! ```text
//! (payment.v2) ─► SubmissionRequested ─► AttemptStarted ══ line ══►
//!                                          ├─ settled: SubmissionAccepted ─► (clearing.v2)
//!                                          ├─ refused: SubmissionRejected ─► (clearing.v2)
//!                                          ├─ not sent: AttemptNotSent ─┐
//!                                          └─ no answer: AttemptTimedOut ┴─► AttemptStarted, in the end RetriesExhausted ─► (clearing.v2)
//! ```
//!
//! The same payment is sent again after silence, which only a rail allows that takes each UETR once: where yours does not, enquire
//! instead, as `adapters/instant` does. What the rail speaks is in `line.rs`, and nowhere else. A calendar, a circuit breaker, a door for what
//! the rail says of its own accord, and where to keep what belongs to nothing, are in `crates/adapter`.

/// The service's name: of its database, its topics and its handlers' source.
pub const SERVICE: &str = "adapter-skeleton";

mod submission;
pub use submission::{
    AnswerContradicted, AttemptNotSent, AttemptStarted, AttemptTimedOut, RecallRefused, RetriesExhausted,
    RetryPolicy, Submission, SubmissionAccepted, SubmissionCommand, SubmissionEvent, SubmissionRefusal,
    SubmissionRejected, SubmissionRequested,
};

mod submissions;
pub use submissions::Submissions;

mod line;
pub use line::{CallOutcome, Line};

mod courier;
pub use courier::Courier;

mod clearing_stream;
pub use clearing_stream::ClearingStream;
