//! The outside world: a simulated clearing house for instant payments, with faults to order.
//!
//! It is a program of its own: adapters reach it only over HTTP, in the protocol that `server.rs` writes down.
//! It pays a UETR once, journals each decision before it answers, and misbehaves exactly as it was told to.
//!
//! ```text
//!  POST /payments ─► input ─► payment ─► book ── known UETR ─────────────────────┐
//!                                         │ new                                  ▼
//!                                         └─► decision ─► journal (fsync) ─► answer │ lost │ late │ callback
//!                    POST /faults ─► fault ──┘ one fault at most per request
//! ```

mod server;

mod book;
mod callback;
mod connection;
mod decision;
mod error;
mod fault;
mod house;
mod input;
mod journal;
mod payment;
mod problem;
mod tasks;

pub use error::Error;
pub use server::{Config, run};
