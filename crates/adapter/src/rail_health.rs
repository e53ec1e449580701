//! Whether the other side of a rail answers, as the processes of an adapter's service see it: its `rail-…` stream.

use event::{Aggregate, Context, events};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The stream of a service's rail.
pub(crate) fn rail_id(service: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(service)[..16]);
    Uuid::new_v8(bytes)
}

/// The other side has not answered so many calls in a row; new payments wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitOpened {
    pub opened_at: Timestamp,
    pub failures: u32,
    /// Of the last one.
    pub reason: String,
}

/// It answers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitClosed {
    pub opened_at: Timestamp,
}

events! {
    /// The events of a `rail` stream.
    pub enum RailEvent { CircuitOpened = 1, CircuitClosed = 1 }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailHealth {
    open_since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RailCommand {
    OpenCircuit { failures: u32, reason: String },
    CloseCircuit,
}

impl Aggregate for RailHealth {
    const CATEGORY: &'static str = "rail";
    type Event = RailEvent;
    type Command = RailCommand;
    type Refusal = std::convert::Infallible;

    fn evolve(_: Option<Self>, event: &RailEvent) -> Option<Self> {
        let open_since = match event {
            RailEvent::CircuitOpened(opened) => Some(opened.opened_at),
            RailEvent::CircuitClosed(_) => None,
        };
        Some(Self { open_since })
    }

    fn decide(
        state: Option<&Self>,
        command: RailCommand,
        context: &Context,
    ) -> Result<Vec<RailEvent>, std::convert::Infallible> {
        Ok(match (state.and_then(|rail| rail.open_since), command) {
            (None, RailCommand::OpenCircuit { failures, reason }) => {
                vec![CircuitOpened { opened_at: context.now, failures, reason }.into()]
            }
            (Some(opened_at), RailCommand::CloseCircuit) => vec![CircuitClosed { opened_at }.into()],
            (Some(_), RailCommand::OpenCircuit { .. }) | (None, RailCommand::CloseCircuit) => vec![],
        })
    }
}

#[cfg(test)]
mod tests {
    use event::given::{context, given};

    use super::*;

    fn open() -> RailCommand {
        RailCommand::OpenCircuit { failures: 3, reason: "silence".to_owned() }
    }

    fn opened() -> CircuitOpened {
        CircuitOpened { opened_at: context().now, failures: 3, reason: "silence".to_owned() }
    }

    fn closed() -> CircuitClosed {
        CircuitClosed { opened_at: context().now }
    }

    #[test]
    fn each_change_is_recorded_once() {
        given::<RailHealth>([]).when(RailCommand::CloseCircuit).then([]);
        given::<RailHealth>([]).when(open()).then([opened().into()]);
        given::<RailHealth>([opened().into()]).when(open()).then([]);
        given::<RailHealth>([opened().into()]).when(RailCommand::CloseCircuit).then([closed().into()]);
        given::<RailHealth>([opened().into(), closed().into()]).when(open()).then([opened().into()]);
    }

    #[test]
    fn events_keep_their_shape() {
        event::samples::check("samples/rail", &[RailEvent::from(opened()), closed().into()]);
    }
}
