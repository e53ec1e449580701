//! The vocabulary of event sourcing: names, envelopes, ids, aggregates and their given/when/then tests.
//!
//! Pure: no I/O, no clock. Whoever runs a decision hands it a [`Context`], which holds the time, the ids and
//! the actor, so that the same command on the same state decides the same events.

mod name;
pub use name::{Category, NameError, StreamName};

mod seq;
pub use seq::{Position, Seq};

mod id;
pub use id::{Ids, derived_id};

mod metadata;
pub use metadata::{Actor, Causation, CausationKind, Metadata, Source};

mod envelope;
pub use envelope::{NewEvent, RecordedEvent};

mod context;
pub use context::Context;

mod domain_event;
#[doc(hidden)]
pub use domain_event::from_json;
pub use domain_event::{DecodeError, DomainEvent};

mod aggregate;
pub use aggregate::{Aggregate, Deadline};

mod snapshot;
pub use snapshot::Snapshots;

mod personal;
pub use personal::Personal;

pub mod given;
pub mod json;
pub mod mutants;
pub mod samples;
