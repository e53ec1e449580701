//! A part of a unit of work, which can be taken back without what was decided before it.

use std::collections::HashMap;

use event::{NewEvent, StreamName};

use super::{MovedDeadline, UnitOfWork, last_places};
use crate::StreamSeq;
use crate::memory::Loaded;

/// What the unit was before a part of it: one of several that are decided one after the other.
pub(super) struct Part {
    pub(super) pending: usize,
    pub(super) requests: usize,
    pub(super) loaded: HashMap<StreamName, Option<Loaded>>,
    pub(super) deadlines: HashMap<StreamName, Option<MovedDeadline>>,
    /// It has seen a state that may be out of date, or that may never be committed.
    pub(super) is_uncertain: bool,
}

impl UnitOfWork {
    /// What is decided from here on can be taken back, without what was decided before.
    pub fn begin_part(&mut self) {
        self.part = Some(Part {
            pending: self.pending.len(),
            requests: self.requests.len(),
            loaded: HashMap::new(),
            deadlines: HashMap::new(),
            is_uncertain: false,
        });
    }

    /// Takes back what the part has decided so far; it goes on with nothing.
    pub fn take_back(&mut self) {
        let is_uncertain = self.undo_part();
        self.begin_part();
        if let Some(part) = &mut self.part {
            part.is_uncertain = is_uncertain;
        }
    }

    /// Returns what the part has written.
    pub(crate) fn end_part(&mut self) -> Vec<StreamSeq> {
        let from = self.part.take().map_or(0, |part| part.pending);
        let mut written: Vec<&NewEvent> = self.pending[from..].iter().collect();
        written.sort_by(|a, b| (&a.stream, a.seq).cmp(&(&b.stream, b.seq)));
        let places = last_places(written);
        self.written.extend(places.iter().map(|at| at.stream.clone()));
        places
    }

    /// Returns whether the part has seen what may not be so: then its failure says nothing.
    pub(crate) fn undo_part(&mut self) -> bool {
        let Some(part) = self.part.take() else { return false };
        self.pending.truncate(part.pending);
        self.requests.truncate(part.requests);
        for (stream, loaded) in part.loaded {
            put_back(&mut self.loaded, stream, loaded);
        }
        for (stream, deadline) in part.deadlines {
            put_back(&mut self.deadlines, stream, deadline);
        }
        part.is_uncertain
    }

    pub(super) fn keep_for_undo(&mut self, stream: &StreamName, loaded: impl FnOnce() -> Option<Loaded>) {
        if let Some(part) = &mut self.part
            && !part.loaded.contains_key(stream)
        {
            part.loaded.insert(stream.clone(), loaded());
        }
    }
}

fn put_back<T>(into: &mut HashMap<StreamName, T>, stream: StreamName, earlier: Option<T>) {
    match earlier {
        Some(earlier) => into.insert(stream, earlier),
        None => into.remove(&stream),
    };
}
