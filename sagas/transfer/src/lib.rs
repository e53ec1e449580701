//! The transfer saga: a payment to another bank through a rail, or a book transfer between two accounts here.
//!
//! ```text
//!                     Requested
//!   book ───────────────┤├─────────────── to another bank
//!   Succeeded | Failed   │   Requested ──► Reserved, SubmissionInitiated ──► (payment.v1)
//!                        │       └► ReservationRejected, Failed        │
//!                        │                                             ├─ ClearingSettled  ► Captured, Succeeded
//!                        │                            (clearing.v1) ──►├─ ClearingRejected ► Released, Failed
//!                        │                                             └─ ClearingUndetermined ┐
//!                        │              deadline ► SubmissionTimedOut ─────────────────────────┴► OperatorAttentionRequired
//! ```
//!
//! After a submission the reservation is released only on the rail's definite no: a time-out means *unknown*, and
//! the hold stays. An answer that comes after that still ends the saga. The saga names no rail.

mod transfer_event;
pub use transfer_event::{
    Beneficiary, Captured, ClearingContradicted, ClearingRejected, ClearingSettled, ClearingUndetermined,
    Failed, FailureReason, OperatorAttentionRequired, Released, Requested, ReservationRejected,
    ReservationTimedOut, Reserved, SubmissionInitiated, SubmissionTimedOut, Succeeded, TransferEvent,
};

mod transfer;
pub use transfer::{Limits, Status, Transfer, TransferCommand, TransferRefusal};

mod request;
pub use request::{RequestError, TransferRequest, request};

mod reservations;
pub use reservations::Reservations;

mod clearing;
pub use clearing::Clearing;

mod payment_stream;
pub use payment_stream::PaymentStream;

mod transfer_view;
pub use transfer_view::{ListFilter, TransferRow, TransferView, list};
