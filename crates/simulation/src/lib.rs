//! Transfers without servers: the real state machines of core and adapter, a clearing house, and a schedule of deliveries,
//! repetitions, losses, delays and outages that follows from a seed alone.
//!
//! ```text
//! seed ─► world: customers ─► transfer, account ─► payment.v2 ─► submission ══ lost, late, twice ══► house
//!                                     ▲                              │                               │
//!                                     └──────── clearing.v2 ◄────────┴───────────────────────────────┘
//!       other banks ─► offer ══► inbound ─► incoming.v1 ─► incoming, account ─► acceptance.v1 ─► inbound ══► house
//!     card network ─► sale ══► exchange ─► card.v1 ─► authorisation, account ─► verdict.v1 ─► exchange ══► card network
//!                  │
//!                  └─► the story of what happened ─► auditor: invariants, from the raw events, the house's book and what was sent
//! ```
//!
//! What a handler does is the handlers' own code as far as it is pure ([`transfer::on_account`], [`transfer::payment_of`],
//! [`transfer::command_of`], [`instant::submission_command_of`], [`instant::clearing_of`]); the world stands in for what delivers and commits. A run that breaks an
//! invariant names its seed, and the same seed is the same run.

mod agenda;
mod streams;

mod house;
mod offers;

mod incoming;
mod rail;

mod network;
pub use network::{Request, Sale};

mod cards;
pub use cards::{CardDefect, CardStory, run_cards};

mod defect;
pub use defect::Defect;

mod world;
pub use world::{Story, run};

mod auditor;
mod card_auditor;
mod incoming_auditor;
pub use auditor::audit;
pub use card_auditor::audit_cards;

#[cfg(test)]
mod tests;
