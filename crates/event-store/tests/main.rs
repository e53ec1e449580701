//! The event store against a real server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// The aggregate that the tests command, and events made by hand.
mod counter;
mod entry;

// What `append_events` takes, refuses and recognises.
mod append;
mod limits;
// Who may change the event table: nobody.
mod read;
mod rights;
// One aggregate and its rivals.
mod execute;
// Several streams, a deadline and a projection in one transaction.
mod deadline;
mod group;
mod request;
// States of long streams that are kept.
mod snapshot;
mod unit_of_work;
