//! The transfer saga: a payment to another bank through a rail, or a book transfer between two accounts here.
//!
//! ```text
//!                     Requested
//!   book ───────────────┤├─────────────── to another bank
//!   Succeeded | Failed   │   ├─► ReservationRejected, Failed
//!                        │   ├─ cancel ► Released, Cancelled ◄───────────────────────┐
//!                        │   └─► Reserved ─► ApprovalRequested ─┬─ ApprovalDenied, ApprovalTimedOut ► Released, Failed
//!                        │           │                          └─ Approved ┐
//!                        │           └──────────────────────────────────────┴─► SubmissionInitiated ─► (payment.v2)
//!                        │
//!                        │                  ┌─ ClearingSettled  ► Captured, Succeeded
//!                        │ (clearing.v2) ──►├─ ClearingRejected ► Released, Failed
//!                        │                  └─ ClearingUndetermined ──────────────────► OperatorAttentionRequired
//!                        │                                                                      ▲
//!                        │ deadline ► SubmissionTimedOut: the outcome is unknown ► deadline ► ResolutionTimedOut
//!                        │      └ release_at_deadline ► Released (provisional)
//!                        │             ├─ ClearingRejected ► Failed
//!                        │             └─ ClearingSettled  ► LateSettlementDetected ─┬─ LateCaptured     ► Succeeded
//!                        │                                                          └─ ReceivableBooked ► Succeeded, and a person
//! ```
//!
//! After a submission the reservation is released only on the rail's definite no, or at the deadline of a rail whose rules
//! demand it: a time-out means *unknown*. An answer that comes after that still ends the saga. What comes after the end, recalls and
//! returns, is in `transfer/aftermath.rs`, what a correction may do in `transfer/correction.rs`. The saga names no rail.

mod transfer_event;
pub use transfer_event::{
    ApprovalDenied, ApprovalRequested, ApprovalTimedOut, Approved, AttentionWithdrawn, Beneficiary,
    Cancelled, Captured, ClearingContradicted, ClearingPending, ClearingRejected, ClearingSettled,
    ClearingUndetermined, Failed, FailureReason, HoldPolicy, LateCaptured, LateSettlementDetected,
    OperatorAttentionRequired, OutcomeResolved, RecallAccepted, RecallInitiated, RecallRejected,
    RecallTimedOut, ReceivableBooked, ReceivableCleared, Released, Requested, ReservationRejected,
    ReservationTimedOut, Reserved, Resolution, ResolutionTimedOut, ReturnCredited, ReturnReceived, Returned,
    Reversed, SubmissionInitiated, SubmissionTimedOut, Succeeded, TimeoutPolicy, TransferEvent,
};

mod transfer;
pub use transfer::{
    Limits, Recall, RecallStatus, ReturnedPayment, Status, SubmissionPolicy, Transfer, TransferCommand,
    TransferRefusal,
};

mod consequences;
pub use consequences::{ApplyError, apply, install, on_account};

mod reversal;
pub use reversal::reverse;

mod request;
pub use request::{RequestError, TransferRequest, request};

mod reservations;
pub use reservations::{Approvals, Reservations};

mod clearing;
pub use clearing::{Clearing, command_of};

mod payment_stream;
pub use payment_stream::{PaymentStream, PaymentStreamV1, payment_of};

mod status_stream;
pub use status_stream::StatusStream;

mod transfer_view;
pub use transfer_view::{ListFilter, TransferRow, TransferView, list, succeeded_of};
