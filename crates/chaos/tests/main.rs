//! The crash campaign in small, and the proof that its checks see what they are for: a seeded mistake each.
//!
//! All on one site, in turn. The mistakes are in a build of `lunaria` with the feature `mutants`; each scenario is played with
//! the binary that users run as well, which has to pass it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// Where the tests run, and with which binaries.
mod bench;
// Faults at random.
mod campaign;
// Faults on purpose, and the mistakes that they catch.
mod mutants;
