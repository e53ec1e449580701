//! What this process has last read or written of each aggregate, so that it need not be folded again for the next event.
//!
//! It may be out of date, as other processes append too. Whoever decides on it has asked which server this is, and learns of the
//! rest when they commit: an append to a stream that has moved on is a conflict, and streams that were only read are looked up;
//! after a conflict, what it was about is forgotten. A decision that fails on what is remembered, or comes to nothing, says nothing.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{Aggregate, Seq, StreamName};
use jiff::Timestamp;

use crate::snapshot::{Snapshot, Take, take_of};

/// Of a few hundred bytes each: some tens of megabytes.
const STATES_MAX: usize = 100_000;

#[derive(Clone)]
pub(crate) struct Loaded {
    /// `Option<A>`, or `()` for an external stream.
    pub(crate) state: Arc<dyn Any + Send + Sync>,
    pub(crate) seq: Seq,
    take: Option<Take>,
}

impl Loaded {
    pub(crate) fn of<A: Aggregate>(state: Option<A>, seq: Seq) -> Self {
        Self { state: Arc::new(state), seq, take: take_of::<A>() }
    }

    /// Where an external stream ends.
    pub(crate) fn end(seq: Seq) -> Self {
        Self { state: Arc::new(()), seq, take: None }
    }

    pub(crate) fn snapshot(&self, stream: &StreamName) -> Option<Snapshot> {
        self.take.and_then(|take| take(&*self.state, stream, self.seq))
    }
}

#[derive(Default)]
pub(crate) struct Memory(Mutex<States>);

/// Counts the servers that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// Which server, and which database of it: one that was restored, or has taken another's place, may have lost what is remembered.
/// In SQL: `pg_postmaster_start_time()`, and the `oid` of the current database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    pub started_at: Timestamp,
    pub database: i64,
}

#[derive(Default)]
struct States {
    /// Unknown: nothing is remembered.
    server: Option<Server>,
    epoch: u64,
    recent: HashMap<StreamName, Loaded>,
    /// Those that were not wanted since the recent ones began.
    older: HashMap<StreamName, Loaded>,
}

impl Memory {
    /// Forgets what is of another server.
    pub(crate) fn is_of(&self, server: Server) -> Epoch {
        let mut states = self.states();
        if states.server != Some(server) {
            *states = States { server: Some(server), epoch: states.epoch + 1, ..States::default() };
        }
        Epoch(states.epoch)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.states().epoch)
    }

    pub(crate) fn find(&self, stream: &StreamName) -> Option<Loaded> {
        let mut states = self.states();
        if let Some(loaded) = states.recent.get(stream) {
            return Some(loaded.clone());
        }
        let (stream, loaded) = states.older.remove_entry(stream)?;
        states.put(stream, loaded.clone());
        Some(loaded)
    }

    /// Keeps what is newer than what is known.
    pub(crate) fn keep(&self, epoch: Epoch, loaded: impl IntoIterator<Item = (StreamName, Loaded)>) {
        let mut states = self.states();
        if states.server.is_none() || Epoch(states.epoch) != epoch {
            return;
        }
        for (stream, loaded) in loaded {
            let is_older = |known: Option<&Loaded>| known.is_some_and(|known| known.seq >= loaded.seq);
            // That there is nothing is not worth knowing.
            if loaded.seq > Seq::ZERO
                && !is_older(states.recent.get(&stream))
                && !is_older(states.older.get(&stream))
            {
                states.put(stream, loaded);
            }
        }
    }

    pub(crate) fn forget(&self, stream: &StreamName) {
        let mut states = self.states();
        states.recent.remove(stream);
        states.older.remove(stream);
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl States {
    fn put(&mut self, stream: StreamName, loaded: Loaded) {
        if self.recent.len() >= STATES_MAX / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(stream, loaded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stream: &StreamName, seq: i64) -> (StreamName, Loaded) {
        (stream.clone(), Loaded::end(Seq::new(seq)))
    }

    fn seq(memory: &Memory, stream: &StreamName) -> Option<i64> {
        memory.find(stream).map(|loaded| loaded.seq.get())
    }

    fn server(second: i64) -> Server {
        Server { started_at: Timestamp::from_second(second).unwrap(), database: 5 }
    }

    #[test]
    fn the_newest_is_kept_until_the_server_is_another() {
        let (memory, stream) = (Memory::default(), "account-1".parse().unwrap());
        memory.keep(memory.epoch(), [at(&stream, 1)]);
        assert_eq!(seq(&memory, &stream), None, "nothing is known of the server");
        let epoch = memory.is_of(server(1));
        memory.keep(epoch, [at(&stream, 2)]);
        memory.keep(epoch, [at(&stream, 1)]);
        memory.is_of(server(1));
        assert_eq!(seq(&memory, &stream), Some(2));
        memory.is_of(server(2));
        // Read before the server changed.
        memory.keep(epoch, [at(&stream, 3)]);
        assert_eq!(seq(&memory, &stream), None);
    }

    #[test]
    fn what_is_wanted_outlives_what_is_not() {
        let (memory, wanted) = (Memory::default(), "account-wanted".parse().unwrap());
        memory.is_of(server(1));
        let keep = |n: usize| memory.keep(memory.epoch(), [at(&format!("account-{n}").parse().unwrap(), 1)]);
        memory.keep(memory.epoch(), [at(&wanted, 1)]);
        for n in 0..3 * STATES_MAX {
            keep(n);
            assert_eq!(seq(&memory, &wanted), Some(1));
        }
        assert_eq!(seq(&memory, &"account-0".parse().unwrap()), None);
        let states = memory.states();
        assert!(states.recent.len() + states.older.len() <= STATES_MAX);
    }
}
