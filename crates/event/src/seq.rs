//! The two numbers of an event: its place in its stream, and its insertion number in the database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An event's number in its stream: 1, 2, 3 … without holes. 0 stands for "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(i64);

/// An event's insertion number. It has gaps and is **not** commit order; nothing may poll by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub i64);

impl Seq {
    pub const ZERO: Self = Self(0);
    pub const FIRST: Self = Self(1);

    /// Negative numbers, which no stream has, count as "before the first".
    pub fn new(seq: i64) -> Self {
        Self(seq.max(0))
    }

    pub fn get(self) -> i64 {
        self.0
    }

    /// Zero has none.
    #[must_use]
    pub fn previous(self) -> Self {
        Self::new(self.0 - 1)
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
