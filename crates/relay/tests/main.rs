//! The relay against a real server: what arrives, what is confirmed, and when it halts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// A database with a relay on it, and a sink that remembers and holds back.
mod recorder;
mod source;
// What stands in a service's topic.
mod topic;

// What arrives, and in which order.
mod order;
// How far the slot is confirmed.
mod confirmation;
// Sessions that end, and the next one.
mod session;
// What a person has to look at first.
mod halt;
// What a start finds.
mod proof;
// What a running relay notices by itself.
mod watch;
// A gap, filled out of the event table.
mod refill;
// A backlog that the event table gives faster than the log, and refills that a relay begins or ends by itself.
mod catch_up;
// Tables of an existing system: their changes, the copy of their rows, and what halts a capture.
mod capture;
mod capture_halt;
mod capture_snapshot;
mod captured;
// Two relays on one slot.
mod takeover;
// A server that ends, gives up the slot, or waits for its standby.
mod kafka;
mod kafka_choices;
mod kafka_security;
mod server;
