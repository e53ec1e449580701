//! What a sink holds, stream by stream: how a refill knows what is missing.

use std::collections::HashMap;

/// What a sink can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    Nothing,
    /// All that it was ever given.
    All,
    /// The beginning may be gone: a stream that it does not know may be one that it had.
    Recent,
}

/// The sink has the events of the stream before `next_seq`, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub stream: String,
    pub next_seq: i64,
}

/// The streams of one partition, while its records are read in order.
#[derive(Debug)]
pub(crate) struct Holdings {
    next_seqs: HashMap<Box<str>, i64>,
    pub(crate) is_shortened: bool,
}

impl Holdings {
    /// `is_shortened`: retention may have removed the first records. Then a stream is taken to begin where it is first
    /// seen; otherwise it begins at 1, and one that does not has a hole.
    pub(crate) fn new(is_shortened: bool) -> Self {
        Self { next_seqs: HashMap::new(), is_shortened }
    }

    /// A seq that was seen before is a repetition, and one that comes too early leaves a hole: neither moves on. A hole
    /// may be filled later, by a refill.
    pub(crate) fn see(&mut self, stream: &str, seq: i64) {
        if let Some(next_seq) = self.next_seqs.get_mut(stream) {
            *next_seq += i64::from(*next_seq == seq);
            return;
        }
        let next_seq = if self.is_shortened || seq == 1 { seq.saturating_add(1) } else { 1 };
        self.next_seqs.insert(stream.into(), next_seq);
    }

    pub(crate) fn into_held(self) -> impl Iterator<Item = Held> {
        self.next_seqs.into_iter().map(|(stream, next_seq)| Held { stream: stream.into(), next_seq })
    }
}

#[cfg(test)]
mod tests {
    use super::Holdings;

    fn next_seq(is_shortened: bool, seqs: &[i64]) -> i64 {
        let mut holdings = Holdings::new(is_shortened);
        for seq in seqs {
            holdings.see("note-1", *seq);
        }
        holdings.into_held().next().unwrap().next_seq
    }

    #[test]
    fn a_stream_is_held_up_to_its_first_hole() {
        assert_eq!(next_seq(false, &[1, 2, 3]), 4);
        assert_eq!(next_seq(false, &[1, 2, 4, 5]), 3);
        assert_eq!(next_seq(false, &[2, 3]), 1);
    }

    #[test]
    fn a_repetition_changes_nothing_and_one_that_fills_the_hole_does() {
        assert_eq!(next_seq(false, &[1, 2, 3, 2, 3, 4]), 5);
        assert_eq!(next_seq(false, &[1, 2, 4, 5, 3, 4, 5, 6]), 7);
    }

    #[test]
    fn retention_may_have_removed_the_beginning_but_makes_no_hole() {
        assert_eq!(next_seq(true, &[5, 6]), 7);
        assert_eq!(next_seq(true, &[5, 6, 8]), 7);
    }
}
