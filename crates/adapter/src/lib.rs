//! What all adapters have in common, whatever their outside world speaks: who may speak to them, where what belongs to nothing is kept,
//! when the rail is closed, and what is done while it does not answer.

mod calendar;
pub use calendar::{Calendar, Closed};

mod circuit;
pub use circuit::{Circuit, CircuitPolicy};

mod rail_health;
pub use rail_health::{CircuitClosed, CircuitOpened, RailCommand, RailEvent, RailHealth};

mod token;
pub use token::behind_token;

mod unmatched;
pub use unmatched::{
    KeepUnmatched, MessageUnmatched, Unmatched, UnmatchedEvent, keep_unmatched, start_counting,
};

use event::{Actor, Causation, CausationKind, Context};
use jiff::Timestamp;
use uuid::Uuid;

/// For what the outside world says of its own accord: the thing that it speaks of is the request that all else follows from.
pub fn unasked(id: Uuid, actor: &str) -> Context {
    let cause = Causation { kind: CausationKind::Request, id };
    Context::because_of(cause, id, Actor(actor.to_owned()), Timestamp::now())
}
