//! What the test bed itself promises: a network that fails as ordered, servers that fail and come back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod own_servers;
mod proxy;
