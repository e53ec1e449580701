//! The published language: the external events through which services meet, and nothing else.
//!
//! ```text
//! payment.v2-{payment}    core → the rail's adapter    pay this, call it back
//! clearing.v2-{payment}   the adapter → core           what became of it
//! incoming.v1-{payment}   the adapter → core           another bank pays, and what becomes of that
//! acceptance.v1-{payment} core → the rail's adapter    it will be credited, it cannot be, it goes back
//! card.v1-{authorisation} a card network's adapter → core   may this be spent, and what the merchant has collected
//! verdict.v1-{authorisation} core → that adapter       it may, or not
//! account.v1-{account}    core → whoever listens       a balance changed
//! transfer.v1-{transfer}  core → whoever listens       a transfer stands elsewhere
//! ```
//!
//! Each external event names the internal one that it was derived from in `metadata.source`. Readers ignore fields
//! that they do not know; a change of meaning, or an event of a new type, is a new version of the contract, beside the old one
//! where the configuration names that, and until the day that `deprecation.rs` says.

mod iban;
pub use iban::{Iban, NotAnIban};

mod uetr;
pub use uetr::uetr_of;

mod deprecation;
pub use deprecation::{DEPRECATIONS, Deprecation, deprecation_of};

mod published;
pub use published::asyncapi;

mod relied_on;
pub use relied_on::check_relied_on;

mod compatibility;
pub use compatibility::{breaks, unmet};

pub mod acceptance;
pub mod account;
pub mod card;
pub mod clearing;
pub mod incoming;
pub mod payment;
pub mod transfer;
pub mod verdict;
