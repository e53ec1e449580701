//! The saga of a payment from another bank to a customer here.
//!
//! ```text
//! (incoming.v1) ─► Received ─┬─ nobody to credit ► Refused ────────────────────────────┐
//!                            │                                                         │ the rail settles all the same
//!                            └─ CreditPending ─┬─ SettlementConfirmed ► CreditPosted   ▼     (also where the account cannot take it)
//!                                              ├─ SettlementCancelled ► CreditVoided ──► SettlementConfirmed, HeldInSuspense
//!                                              └─ SettlementTimedOut | SettlementUndetermined ► a person     │
//!                                                          (a late answer still counts)                       ▼
//!                              ReturnSettled ◄─┬─ ReturnRejected | ReturnTimedOut | ReturnUndetermined ◄─ ReturnInitiated
//!                                              └─► a person
//! ```
//!
//! The customer can spend the money when the rail has settled it, and not when we have accepted it. Money that is here and belongs to
//! nobody is in suspense until it is back, so that postings always sum to zero. The saga names no rail.

mod incoming_event;
pub use incoming_event::{
    AttentionWithdrawn, CreditPending, CreditPosted, CreditVoided, HeldInSuspense, IncomingEvent,
    OperatorAttentionRequired, Received, Refused, ReturnInitiated, ReturnRejected, ReturnSettled,
    ReturnTimedOut, ReturnUndetermined, SettlementCancelled, SettlementConfirmed, SettlementContradicted,
    SettlementTimedOut, SettlementUndetermined, postings_of,
};

mod incoming;
pub use incoming::{Incoming, IncomingCommand, IncomingRefusal, Limits, Status};

mod consequences;
pub use consequences::{ApplyError, apply, install, on_account};

mod arrivals;
pub use arrivals::{Arrivals, Heard, heard_of, reason_code, refusal_of};

mod acceptance_stream;
pub use acceptance_stream::{AcceptanceStream, acceptance_of};

mod incoming_view;
pub use incoming_view::{IncomingRow, IncomingView, ListFilter, list};
