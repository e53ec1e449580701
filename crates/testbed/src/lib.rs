//! What the tests of several crates stand on: a service database of their own, a topic prefix of their own, and
//! patience with a deadline.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test bed fails by panicking")]

mod database;
pub use database::TestDatabase;

mod eventually;
pub use eventually::{eventually, patience};

mod servers;
pub use servers::{kafka, postgres, unique};
