//! The event store: one Postgres table per service, appended to through one SQL function.
//!
//! ```text
//! Store::execute(id, command)    load → decide → append, rerun on a conflict      one aggregate
//! Store::begin() → UnitOfWork    several aggregates, projections, external events, one append, one commit
//! Group                          units of work that wait at the same time, in one append and one commit
//! Scheduler                      fires the deadlines that aggregates wait for
//! ```
//!
//! An append states the seq that it expects; a wrong one, too low or too high, appends nothing and is an
//! [`Error::Conflict`]. An append that is repeated with the same ids is recognised and is not an error.

mod error;
pub use error::{Error, ExecuteError};

mod store;
pub use store::{Executed, Store, StreamSeq};

mod append;
pub use append::{EVENT_BYTES_MAX, TYPE_BYTES_MAX};

mod memory;
pub use memory::Server;

mod snapshot;

mod look_back;
pub use look_back::{EventKind, EventPage, Walked};
mod read;

mod copied;
mod replay;
pub use replay::{read_before_in, read_between_in};
mod retry;

mod alone;
pub use alone::Alone;

mod unit_of_work;
pub use unit_of_work::UnitOfWork;

mod group;
pub use group::{Ahead, Group, Work};

mod request;
pub use request::{Claim, Request, RequestKey};

mod scheduler;
pub use scheduler::{Due, FireError, Scheduler, fire, fire_in};

mod migrate;
pub use migrate::migrate;

mod provision;
pub use provision::{APPLICATION_ROLE, OWNER_ROLE, Passwords, RELAY_ROLE, provision};
