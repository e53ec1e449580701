//! The published language: the external events through which services meet, and nothing else.
//!
//! ```text
//! payment.v1-{payment}    core → the rail's adapter    pay this
//! clearing.v1-{payment}   the adapter → core           what became of it
//! account.v1-{account}    core → whoever listens       a balance changed
//! ```
//!
//! Each external event names the internal one that it was derived from in `metadata.source`. Readers ignore fields
//! that they do not know; a change of meaning is a new version of the contract, beside the old one.

mod iban;
pub use iban::{Iban, NotAnIban};

mod published;
pub use published::asyncapi;

mod relied_on;
pub use relied_on::check_relied_on;

mod compatibility;
pub use compatibility::{breaks, unmet};

pub mod account;
pub mod clearing;
pub mod payment;
