//! The saga of a payment by card, seen from the bank that has issued it.
//!
//! ```text
//! (card.v1) ─► Opened ─┬─ asked ─► Approved (all of it, or a part) ─┬─ Incremented …
//!                      │           │ Declined                       ├─ Captured … Captured, the last ► the rest is free
//!                      │           │ IncrementDeclined              │
//!                      │           └ VerdictWithdrawn: too late     ├─ Reversed: so much is free
//!                      │                                            └─ Expired: all is free ─► Captured all the same
//!                      ├─ the network decides in our place ─► StandInApplied │ StandInDeclined
//!                      ├─ Reversed: before it was asked, which is then declined
//!                      ├─ collected without an approval ─► ForcePosted
//!                      └─ Refunded, with or without something captured under the same identifier
//!
//! no account can take it ─► BookedToSuspense │ StandInNotHeld ─► a person
//! ```
//!
//! What the network asks is decided by what there is, and never makes negative what can be spent. What it says has happened is taken as it
//! is, whether or not there is money: it has moved. Messages may come twice and overtake each other: each counts once, and what is
//! collected or reversed before it is approved is not held afterwards. The saga names no network.

mod card;
pub use card::{Card, CardBlocked, CardCommand, CardEvent, CardIssued, CardRefusal, CardUnblocked};

mod authorisation_event;
pub use authorisation_event::{
    Approved, AuthorisationEvent, BookedToSuspense, Captured, Declined, Expired, ForcePosted,
    IncrementDeclined, Incremented, Opened, OperatorAttentionRequired, Refunded, Reversed, StandInApplied,
    StandInDeclined, StandInNotHeld, VerdictWithdrawn, postings_of,
};

mod authorisation;
pub use authorisation::{Authorisation, AuthorisationCommand, AuthorisationRefusal, Standing, Status};

mod consequences;
pub use consequences::{ApplyError, apply, install, on_account};

mod card_messages;
pub use card_messages::{CardMessages, standing_of};

mod verdict_stream;
pub use verdict_stream::{VerdictStream, verdict_of};

mod authorisation_view;
pub use authorisation_view::{AuthorisationRow, AuthorisationView, Followed, ListFilter, list};
