//! Corrections against a real database: what is shown is what is done, or nothing is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// Accounts and transfers that something can be wrong with.
mod bank;

mod agreement;
mod bulk;
mod lifecycle;
