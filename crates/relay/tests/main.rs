//! The relay against a real server: what arrives, what is confirmed, and when it halts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// A database with a relay on it, and a sink that remembers and holds back.
mod recorder;
mod source;

// What arrives, and in which order.
mod order;
// How far the slot is confirmed.
mod confirmation;
// Sessions that end, and the next one.
mod session;
// What a person has to look at first.
mod halt;
mod kafka;
