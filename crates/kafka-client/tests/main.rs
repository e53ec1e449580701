//! The crate against a real broker with TLS, client certificates and passwords.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod reach;
