//! Delivery against real servers: each effect once and in order, whatever goes wrong in between.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// A handler that writes down what it gets, and a database with events for it.
mod journal;
mod stage;
// A history whose reader can be held up.
mod gate;

// External streams.
mod derivation;
// Remembered aggregates.
mod memory;
// Cursor, duplicates, gaps, rivals.
mod engine;
mod parked;
// Read models in memory and in another store.
mod elsewhere;
// The embedded transport.
mod feed;
mod history;
mod kafka;
