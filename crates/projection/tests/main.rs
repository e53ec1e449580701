//! Rebuilds against a real server: what serves goes on, and what comes out is what the events say.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// A projection with a row per stream and a row that all streams meet in, and who asks for its rebuilds.
mod tally;

mod rebuild;
