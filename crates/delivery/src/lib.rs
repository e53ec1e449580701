//! Hands each event to each handler: in stream order, without a gap, its effect once.
//!
//! ```text
//!  relay ──► Feed (embedded) ─┐                    ┌─► handler.handle(&event, &mut unit)
//!  Kafka ──► Consumer ────────┼──► Engine ─────────┤     one transaction: effect + cursor
//!  History ► catch-up, retry ─┘                    └─► parked: the event waits, with its stream
//! ```
//!
//! A handler's code cannot tell where an event came from. The engine compares each event with the handler's cursor:
//! at or before it is a duplicate, one past the next is a gap that is filled from the history. The cursor moves
//! by compare-and-set in the transaction of the effect, which fences a consumer that lost its partition.

mod error;
pub use error::{HandleError, HistoryError, Stopped};

mod handler;
pub use handler::{Handler, Subscription, try_out};

mod elsewhere;
pub use elsewhere::Elsewhere;

mod derivation;
pub use derivation::{Derivation, Derive, Derived, Deriving};

mod verification;
pub use verification::{Difference, Verified, Verify};

mod history;
pub use history::{ExternalStreams, History};

mod http_history;
pub use http_history::{EventPage, HttpHistory, StreamPage, StreamPosition};

mod engine;
pub use engine::Engine;

mod cause;
pub use cause::cause_of;
mod backoff;
mod cursor;
mod identity;
mod parked;
mod parked_group;
pub use parked_group::{
    ParkedEvent, ParkedGroup, ParkedStream, RetryAt, parked_event_in, parked_group, parked_groups,
    parked_streams, retry_parked_in, skip_parked_in, waiting_parked_in,
};
mod retry;
pub use retry::{Retry, RetryCommand, RetryEvent, RetryRefusal, RetryRequested};
mod registry;
pub use registry::leave_out_others;
mod unhandled;

mod catch_up;

mod feed;
pub use feed::{Feed, Settle, Worker};

mod consumer;
pub use consumer::{ConsumerConfig, consume};

mod reached;
pub use reached::{Reached, wait_until_handled};

mod record;
