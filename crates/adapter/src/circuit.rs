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

const PAUSE_MAX: SignedDuration = SignedDuration::from_secs(10);
const OPEN: &str = "lunaria_rail_circuit_open";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// So many calls in a row have to fail.
    pub failures: u32,
    /// Until one call tries again: longer than that waits for its answer. It doubles each time that one fails, up to ten seconds.
    pub pause: SignedDuration,
}

/// Cheap to clone: all of them are one.
#[derive(Clone)]
pub struct Circuit {
    service: &'static str,
    policy: CircuitPolicy,
    view: Arc<Mutex<View>>,
    /// One change is recorded after the other, each as it is by then.
    recording: Arc<tokio::sync::Mutex<()>>,
}

struct View {
    state: State,
    /// The failures, and what the last one was, while it is open.
    opened: Option<(u32, String)>,
    /// The record may say otherwise: it was written by an earlier process, or could not be.
    is_recorded: bool,
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
        let view = View { state: State::Closed { failures: 0 }, opened: None, is_recorded: false };
        Self { service, policy, view: Arc::new(Mutex::new(view)), recording: Arc::default() }
    }

    /// Until when nothing new is to be sent. None: it may be sent now; where the circuit is open, as the one call that tries.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut view = self.view();
        match view.state {
            State::Closed { .. } => None,
            State::Open { until, .. } if now < until => Some(until),
            // Its answer is not far away.
            State::Trying { until, .. } if now < until => Some(until.min(after(now, self.policy.pause))),
            // One that was to try and has not called is not waited for.
            State::Open { pause, .. } | State::Trying { pause, .. } => {
                view.state = State::Trying { until: after(now, pause), pause };
                None
            }
        }
    }

    /// The other side has said something: whatever it was, it is there. Returns whether that is to be recorded.
    pub fn succeeded(&self) -> bool {
        let mut view = self.view();
        view.state = State::Closed { failures: 0 };
        gauge!(OPEN, "service" => self.service).set(0.0);
        view.opened.take().is_some() || !view.is_recorded
    }

    /// The other side could not be reached, or has not answered. Returns whether that is to be recorded.
    pub fn failed(&self, now: Timestamp, reason: &str) -> bool {
        let mut view = self.view();
        match view.state {
            State::Closed { failures } if failures + 1 < self.policy.failures => {
                view.state = State::Closed { failures: failures + 1 };
                return false;
            }
            State::Closed { failures } => {
                view.state = open(now, self.policy.pause);
                view.opened = Some((failures + 1, reason.to_owned()));
            }
            State::Trying { pause, .. } => {
                view.state = open(now, PAUSE_MAX.max(self.policy.pause).min(pause * 2));
                return false;
            }
            // One that was sent before it opened.
            State::Open { .. } => return false,
        }
        gauge!(OPEN, "service" => self.service).set(1.0);
        true
    }

    /// Writes to the rail's stream how it is now, in a task of its own: nobody waits for it.
    pub fn record(&self, store: &Store) {
        let (circuit, store) = (self.clone(), store.clone());
        tokio::spawn(async move {
            let _recording = circuit.recording.lock().await;
            let recorded = circuit.write(&store).await;
            circuit.view().is_recorded = recorded.is_ok();
            if let Err(error) = recorded {
                tracing::error!(service = circuit.service, %error, "a change of the rail's circuit is not recorded");
            }
        });
    }

    async fn write(&self, store: &Store) -> Result<(), event_store::Error> {
        let command = match &self.view().opened {
            Some((failures, reason)) => {
                RailCommand::OpenCircuit { failures: *failures, reason: reason.clone() }
            }
            None => RailCommand::CloseCircuit,
        };
        let id = rail_id(self.service);
        let changed = match store.execute::<RailHealth>(id, command, unasked(id, "circuit")).await {
            Ok(done) => done.events,
            Err(ExecuteError::Store(error)) => return Err(error),
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
        Ok(())
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(now: Timestamp, pause: SignedDuration) -> State {
    State::Open { until: after(now, pause), pause }
}

fn after(now: Timestamp, pause: SignedDuration) -> Timestamp {
    now.saturating_add(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use testbed::{TestDatabase, eventually};

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
        assert!(!circuit.failed(at(0), "silence"));
        assert!(!circuit.failed(at(0), "silence"));
        assert_eq!(circuit.open_until(at(0)), None);
        assert!(circuit.failed(at(0), "silence"));
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
        assert!(circuit.succeeded());
        assert_eq!(circuit.open_until(at(3)), None);
    }

    #[test]
    fn a_try_that_fails_doubles_the_pause_up_to_ten_seconds() {
        let circuit = opened_at_zero();
        let mut now = at(2);
        for pause in [4, 8, 10, 10] {
            assert_eq!(circuit.open_until(now), None);
            assert!(!circuit.failed(now, "silence"));
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
    fn while_one_tries_for_long_the_others_look_again_soon() {
        let circuit = opened_at_zero();
        let mut now = at(2);
        for _ in 0..3 {
            assert_eq!(circuit.open_until(now), None);
            circuit.failed(now, "silence");
            now = circuit.open_until(now).unwrap();
        }
        assert_eq!(circuit.open_until(now), None, "this one may take ten seconds");
        assert_eq!(circuit.open_until(now), Some(now + PAUSE));
    }

    #[tokio::test]
    async fn what_an_earlier_process_has_left_open_is_closed_by_the_first_answer() {
        let database = TestDatabase::create("adapter-test").await;
        let store = database.store().await;
        let states = async || store.load::<RailHealth>(rail_id("adapter-test")).await.unwrap().1.get();
        opened_at_zero().record(&store);
        eventually("it is open", async || (states().await == 1).then_some(())).await;
        let circuit = circuit();
        assert!(circuit.succeeded());
        circuit.record(&store);
        eventually("it is closed", async || (states().await == 2).then_some(())).await;
        eventually("that is known", async || (!circuit.succeeded()).then_some(())).await;
        store.pool().close().await;
        database.drop_database().await;
    }
}
