//! The outside world: a simulated clearing house for instant payments and a card network, with faults to order.
//!
//! It is a program of its own: adapters reach it only over HTTP, in the protocol that `server.rs` writes down.
//! It pays a UETR once, journals each decision before it answers, and misbehaves exactly as it was told to.
//!
//! ```text
//!  POST /iso20022 ─► desk ─► pacs.008 ─► book ── known UETR ─────────────────────────┐
//!                     │                   │ new                                      ▼
//!                     │                   └─► decision ─► journal (fsync) ─► answer │ lost │ late │ in two │ cut off
//!                     ├─► pacs.028 ─► what the book says
//!                     └─► camt.056 ─► returns ─► journal ─► pacs.004 or camt.029 to the sender, until it is taken
//!  POST /returns ───────────────────────┘         POST /faults ─► fault: one at most per message
//!
//!  POST /payments ─► offer ─► journal ─► pacs.008 to the creditor's bank, until it is taken
//!  POST /iso20022 ─► pacs.002: its answer, or the clock ─► journal ─► pacs.002: settled or cancelled
//!                └─► pacs.004: it goes back ─► journal ─► pacs.002
//!
//! POST /card-payments ─► network ─► 0100 to the card's bank: its answer, or the network's own ─► journal
//!                           └─► 0120, 0220, 0420 ─► journal ─► to the bank, until it is taken
//! ```

mod server;

mod book;
mod callback;
mod card_line;
mod card_order;
mod connection;
mod decision;
mod desk;
mod error;
mod fault;
mod house;
mod input;
mod journal;
mod line;
mod network;
mod offer;
mod offering;
mod offers;
mod payment;
mod problem;
mod returns;
mod tasks;

pub use error::Error;
pub use server::{Config, run};
