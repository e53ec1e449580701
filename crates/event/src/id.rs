//! Event ids: UUIDv7 for new decisions, UUIDv8 for what follows from an event.
//!
//! Ids are made once per decision and kept while it is retried, so that a retry whose first try did commit is
//! recognised as "already appended". A derivation that is repeated gives the same ids for the same reason.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The ids of one decision, in the order in which it asks for them.
#[derive(Debug)]
pub struct Ids {
    origin: Origin,
    issued: Mutex<Issued>,
}

#[derive(Debug)]
enum Origin {
    Fresh,
    Derived { source: Uuid, by: String },
}

#[derive(Debug, Default)]
struct Issued {
    next: usize,
    ids: Vec<Uuid>,
}

impl Ids {
    /// New UUIDv7s.
    pub fn fresh() -> Self {
        Self { origin: Origin::Fresh, issued: Mutex::default() }
    }

    /// UUIDv8s that follow from `source` and the name of what derives from it.
    pub fn derived(source: Uuid, by: impl Into<String>) -> Self {
        Self { origin: Origin::Derived { source, by: by.into() }, issued: Mutex::default() }
    }

    pub fn next(&self) -> Uuid {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let n = issued.next;
        issued.next += 1;
        if n == issued.ids.len() {
            issued.ids.push(match &self.origin {
                Origin::Fresh => Uuid::now_v7(),
                Origin::Derived { source, by } => derived_id(*source, by, n),
            });
        }
        issued.ids[n]
    }

    /// Starts again with the first id: for a decision that is taken once more after a conflict.
    pub fn rewind(&self) {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).next = 0;
    }
}

/// The `n`-th id that `by` derives from `source`: a UUIDv8 of the source's timestamp, so that the index stays
/// local, and a hash of all three.
pub fn derived_id(source: Uuid, by: &str, n: usize) -> Uuid {
    const TIMESTAMP_BYTES: usize = 6;
    let mut hash = Sha256::new();
    hash.update(source.as_bytes());
    hash.update(by.as_bytes());
    hash.update((n as u64).to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    bytes[..TIMESTAMP_BYTES].copy_from_slice(&source.as_bytes()[..TIMESTAMP_BYTES]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewound_sequence_repeats_its_ids() {
        for ids in [Ids::fresh(), Ids::derived(Uuid::now_v7(), "ledger")] {
            let first = [ids.next(), ids.next()];
            ids.rewind();
            assert_eq!([ids.next(), ids.next()], first);
            assert_ne!(first[0], first[1]);
        }
    }

    #[test]
    fn a_derived_id_depends_on_source_handler_and_number_and_keeps_the_time() {
        let source = Uuid::now_v7();
        let id = derived_id(source, "a", 0);
        assert_eq!(id, derived_id(source, "a", 0));
        assert_ne!(id, derived_id(source, "b", 0));
        assert_ne!(id, derived_id(source, "a", 1));
        assert_ne!(id, derived_id(Uuid::now_v7(), "a", 0));
        assert_eq!(id.get_version_num(), 8);
        assert_eq!(id.as_bytes()[..6], source.as_bytes()[..6]);
    }
}
