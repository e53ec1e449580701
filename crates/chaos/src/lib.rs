//! The crash campaign: hurts everything around two relays at random, then proves that every event went through once, in order.
//!
//! ```text
//!  Load ──────────► Postgres ──► slot ──► two relays ──► Kafka ──┐      Nemesis: kills, pauses and cuts what stands in
//!                      │                                         │      this line, as its seed says
//!                      ├──► slot of its own ──► Witness ─────────┤
//!                      ├──► confirmed_flush_lsn ──► Sampler ◄────┤
//!                      └──► event table ─────────────────────────┴──► Checker ──► violations
//! ```
//!
//! The relays are the real binary, started as an operator would. Nothing of `crates/relay` is linked here: the checker shares
//! no code with what it checks. What it checks is named C1 … C16 as in the module [`checker`].
//!
//! A scenario does one fault on purpose, at the moment at which a certain mistake would lose an event; each is shown, by a
//! seeded mistake in a build of its own, to see it.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test bed fails by panicking")]

mod site;
pub use site::Site;

mod relays;
pub use relays::Program;

mod load;
mod nemesis;
mod record;
mod sampler;
mod witness;

mod violations;
pub use violations::Violations;

mod checker;
mod figures;
pub use figures::Figures;

mod run;
pub use run::Verdict;

mod campaign;
pub use campaign::{Plan, campaign};

mod failover;

mod power_cut;
pub use power_cut::power_cut;

mod scenario;
pub use scenario::Scenario;
