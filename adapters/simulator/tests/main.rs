//! The clearing house over real HTTP: one module per claim that its wire protocol makes.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a panic, also in its helpers")]

mod cards;
mod faults;
mod house;
mod offers;
mod payments;
mod restarts;
mod returns;
