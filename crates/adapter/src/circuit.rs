//! A rail's circuit breaker: while the other side answers nothing, no new payment is sent into the silence.
//!
//! ```text
//!            failures in a row                    the pause is over: one call tries
//! ┌────────┐ ──────────────────► ┌──────┐ ─────────────────────────────────────────► ┌────────┐
//! │ closed │                     │ open │                                            │ trying │
//! └────────┘ ◄────────────────── └──────┘ ◄───────────────────────────────────────── └────────┘
//!      ▲        any success                  it fails: the pause doubles                  │
//!      └──────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! It is a process's own view, and starts anew with each. That it opens and closes is recorded in the rail's stream (`rail_health.rs`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_store::{ExecuteError, Store};
use jiff::{SignedDuration, Timestamp};
use metrics::gauge;

use crate::rail_health::{CircuitOpened, RailCommand, RailEvent, RailHealth, rail_id};
use crate::unasked;

const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(1);
const OPEN: &str = "lunaria_rail_circuit_open";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// So many calls in a row have to fail.
    pub failures: u32,
    /// Until one call tries again. It doubles each time that one fails, up to a minute.
    pub pause: SignedDuration,
}

/// Cheap to clone: all of them are one.
#[derive(Clone)]
pub struct Circuit {
    service: &'static str,
    policy: CircuitPolicy,
    view: Arc<Mutex<View>>,
}

struct View {
    state: State,
    /// Whether the record may say otherwise: it was written by an earlier process.
    is_new: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Timestamp, pause: SignedDuration },
    Trying { until: Timestamp, pause: SignedDuration },
}

impl Circuit {
    pub fn new(service: &'static str, policy: CircuitPolicy) -> Self {
        gauge!(OPEN, "service" => service).set(0.0);
        let view = View { state: State::Closed { failures: 0 }, is_new: true };
        Self { service, policy, view: Arc::new(Mutex::new(view)) }
    }

    /// Until when nothing new is to be sent. None: it may be sent now; where the circuit is open, as the one call that tries.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut view = self.view();
        match view.state {
            State::Closed { .. } => None,
            State::Open { until, .. } | State::Trying { until, .. } if now < until => Some(until),
            // One that was to try and has not called is not waited for.
            State::Open { pause, .. } | State::Trying { pause, .. } => {
                view.state = State::Trying { until: now.saturating_add(pause).unwrap_or(now), pause };
                None
            }
        }
    }

    /// The other side has said something: whatever it was, it is there. Returns what is to be recorded.
    pub fn succeeded(&self) -> Option<RailCommand> {
        let mut view = self.view();
        let was_closed = matches!(view.state, State::Closed { .. });
        view.state = State::Closed { failures: 0 };
        let was_new = std::mem::take(&mut view.is_new);
        if was_closed && !was_new {
            return None;
        }
        gauge!(OPEN, "service" => self.service).set(0.0);
        Some(RailCommand::CloseCircuit)
    }

    /// The other side could not be reached, or has not answered.
    pub fn failed(&self, now: Timestamp, reason: &str) -> Option<RailCommand> {
        let mut view = self.view();
        let failures = match view.state {
            State::Closed { failures } if failures + 1 < self.policy.failures => {
                view.state = State::Closed { failures: failures + 1 };
                return None;
            }
            State::Closed { failures } => {
                view.state = self.open(now, self.policy.pause);
                failures + 1
            }
            State::Trying { pause, .. } => {
                view.state = self.open(now, PAUSE_MAX.min(pause * 2));
                return None;
            }
            // One that was sent before it opened.
            State::Open { .. } => return None,
        };
        view.is_new = false;
        gauge!(OPEN, "service" => self.service).set(1.0);
        Some(RailCommand::OpenCircuit { failures, reason: reason.to_owned() })
    }

    /// Writes a change to the rail's stream.
    pub async fn record(&self, store: &Store, command: RailCommand) {
        let id = rail_id(self.service);
        let changed = match store.execute::<RailHealth>(id, command, unasked(id, "circuit")).await {
            Ok(done) => done.events,
            Err(ExecuteError::Store(error)) => {
                tracing::error!(service = self.service, %error, "a change of the rail's circuit is not recorded");
                return;
            }
            Err(ExecuteError::Refused(never)) => match never {},
        };
        for event in changed {
            match event {
                RailEvent::CircuitOpened(CircuitOpened { failures, reason, .. }) => {
                    tracing::error!(
                        service = self.service,
                        failures,
                        reason,
                        "the rail does not answer, new payments wait"
                    );
                }
                RailEvent::CircuitClosed(_) => {
                    tracing::warn!(service = self.service, "the rail answers again");
                }
            }
        }
    }

    fn open(&self, now: Timestamp, pause: SignedDuration) -> State {
        State::Open { until: now.saturating_add(pause).unwrap_or(now), pause }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: SignedDuration = SignedDuration::from_secs(2);

    fn circuit() -> Circuit {
        Circuit::new("adapter-test", CircuitPolicy { failures: 3, pause: PAUSE })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn opened_at_zero() -> Circuit {
        let circuit = circuit();
        assert_eq!(circuit.failed(at(0), "silence"), None);
        assert_eq!(circuit.failed(at(0), "silence"), None);
        assert_eq!(circuit.open_until(at(0)), None);
        let opened = RailCommand::OpenCircuit { failures: 3, reason: "silence".to_owned() };
        assert_eq!(circuit.failed(at(0), "silence"), Some(opened));
        circuit
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let circuit = circuit();
        for _ in 0..5 {
            circuit.failed(at(0), "silence");
            circuit.failed(at(0), "silence");
            circuit.succeeded();
        }
        assert_eq!(circuit.open_until(at(0)), None);
    }

    #[test]
    fn one_call_tries_after_the_pause_and_the_others_wait() {
        let circuit = opened_at_zero();
        assert_eq!(circuit.open_until(at(1)), Some(at(2)));
        assert_eq!(circuit.open_until(at(2)), None, "this one tries");
        assert_eq!(circuit.open_until(at(3)), Some(at(4)));
        assert_eq!(circuit.succeeded(), Some(RailCommand::CloseCircuit));
        assert_eq!(circuit.open_until(at(3)), None);
        assert_eq!(circuit.succeeded(), None, "it is closed already");
    }

    #[test]
    fn a_try_that_fails_doubles_the_pause_up_to_a_minute() {
        let circuit = opened_at_zero();
        let mut now = at(2);
        for pause in [4, 8, 16, 32, 60, 60] {
            assert_eq!(circuit.open_until(now), None);
            assert_eq!(circuit.failed(now, "silence"), None);
            let until = now + SignedDuration::from_secs(pause);
            assert_eq!(circuit.open_until(now), Some(until));
            now = until;
        }
    }

    #[test]
    fn a_call_that_never_tries_does_not_keep_it_open() {
        let circuit = opened_at_zero();
        assert_eq!(circuit.open_until(at(2)), None);
        assert_eq!(circuit.open_until(at(4)), None, "the one before has not called");
    }

    #[test]
    fn what_an_earlier_process_has_left_open_is_closed_by_the_first_answer() {
        let circuit = circuit();
        assert_eq!(circuit.succeeded(), Some(RailCommand::CloseCircuit));
        assert_eq!(circuit.succeeded(), None);
    }
}
