//! The saga of an order on credit: reserve credit, take payment, confirm; or cancel and release. A saga that is no transfer.
//!
//! ```text
//! Placed ─┬─ CreditRefused: the line does not cover it
//!         └─ CreditReserved, PaymentScheduled ─► (deadline) ─┬─ PaymentTaken, Confirmed
//!                      ▲                                     └─ PaymentRefused ─┬─ the day is over ─► Cancelled, CreditReleased
//!                      └────────────────────────────────────────────────────────┘
//!            cancelled by the customer before that ─► Cancelled, CreditReleased
//! ```
//!
//! A step and what it does elsewhere, to the credit line or the accounts, are one append. The way from one step to the next is a deadline, so
//! that it is taken whatever process dies: a payment that is due is a deadline that fires.

mod credit;
pub use credit::{Credit, CreditCommand, CreditEvent, CreditRefusal};

mod order_event;
pub use order_event::{
    CancelReason, Cancelled, Confirmed, CreditRefused, CreditReleased, CreditReserved, OrderEvent,
    PaymentRefused, PaymentScheduled, PaymentTaken, Placed,
};

mod order;
pub use order::{Order, OrderCommand, OrderRefusal, Status};

mod consequences;
pub use consequences::{ApplyError, PaymentPolicy, PlaceError, apply, install, on_credit, place};

mod order_view;
pub use order_view::{ListFilter, OrderRow, OrderView, list};
