//! The producer against a real broker, read back by librdkafka.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acknowledged;
mod consumer;
mod records;
mod secured;
