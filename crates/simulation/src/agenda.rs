//! What happens next, when, and how it goes wrong, all of it drawn from the seed.

use std::collections::BTreeMap;

use event::{Context, Deadline};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// Nothing repeats for ever: a run that goes on beyond this does not come to rest.
const STEPS_MAX: usize = 100_000;

/// `S` is what can happen at a moment.
pub(crate) struct Agenda<S> {
    pub(crate) now: Timestamp,
    pub(crate) random: StdRng,
    steps: BTreeMap<(Timestamp, u64), S>,
    scheduled: u64,
    done: usize,
    /// When the latest event of an external stream arrives: none overtakes another.
    arrivals: BTreeMap<Uuid, Timestamp>,
    ids: u64,
    seed: u64,
}

impl<S: Clone> Agenda<S> {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH,
            random: StdRng::seed_from_u64(seed),
            steps: BTreeMap::new(),
            scheduled: 0,
            done: 0,
            arrivals: BTreeMap::new(),
            ids: 0,
            seed,
        }
    }

    /// The next step, at whose moment it is now. None: all is done, or it would never be.
    pub(crate) fn next(&mut self) -> Option<S> {
        if self.done == STEPS_MAX {
            return None;
        }
        let ((at, _), step) = self.steps.pop_first()?;
        (self.now, self.done) = (at, self.done + 1);
        Some(step)
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn after(&mut self, wait: SignedDuration, step: S) {
        self.scheduled += 1;
        self.steps.insert((self.now + wait, self.scheduled), step);
    }

    /// At least once, and a repetition comes later.
    pub(crate) fn deliver(&mut self, limit_ms: i64, step: &S) {
        let at = self.millis(0..limit_ms);
        self.after_and_again(at, step);
    }

    /// The events of one stream do not overtake each other; a repetition comes later.
    pub(crate) fn deliver_in_order(&mut self, stream: Uuid, step: &S) {
        let earliest = self.now + self.millis(0..1_000);
        let at = self.arrivals.get(&stream).map_or(earliest, |last| earliest.max(*last));
        self.arrivals.insert(stream, at);
        self.after_and_again(at.duration_since(self.now), step);
    }

    /// Now and then twice.
    pub(crate) fn after_and_again(&mut self, wait: SignedDuration, step: &S) {
        self.after(wait, step.clone());
        if self.chance(10) {
            let later = self.millis(0..5_000);
            self.after(wait + later, step.clone());
        }
    }

    /// A scheduler fires a deadline a little late, and now and then twice, or does not run for a while.
    pub(crate) fn keep(&mut self, deadline: Deadline, step: &S) {
        let limit = if self.chance(3) { 20_000 } else { 200 };
        let wait = deadline.due_at.duration_since(self.now) + self.millis(0..limit);
        self.after_and_again(wait, step);
    }

    /// Its ids follow from the seed.
    pub(crate) fn context(&mut self) -> Context {
        let cause = Deadline { id: self.new_id(), due_at: self.now };
        Context::at_deadline(&cause, cause.id, "simulation", self.now)
    }

    pub(crate) fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        event::derived_id(Uuid::from_u64_pair(self.seed, self.ids), "simulation", 0)
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    pub(crate) fn random_below(&mut self, limit: u32) -> u32 {
        self.random.random_range(0..limit)
    }

    pub(crate) fn millis(&mut self, range: std::ops::Range<i64>) -> SignedDuration {
        SignedDuration::from_millis(self.random.random_range(range))
    }
}
