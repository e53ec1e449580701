//! One thing that was looked at: what it is, where it stands in the log, and what to do about it.

use std::fmt::{self, Display, Formatter};

use pgoutput::Lsn;

use crate::{Cause, Error};

/// How much a finding weighs; a session starts only when none is a [`Weight::Doubt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    Good,
    /// Worth knowing, nothing to do.
    Note,
    Warning,
    Doubt,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub weight: Weight,
    pub cause: Cause,
    pub what: String,
    /// The places in the log that the finding rests on.
    pub positions: Vec<(&'static str, Lsn)>,
    /// Empty when there is nothing to do.
    pub remedy: String,
    /// Events may be missing in the sink, and only a refill brings them back.
    pub needs_refill: bool,
}

impl Finding {
    pub(crate) fn new(weight: Weight, cause: Cause, what: impl Into<String>) -> Self {
        let (what, remedy) = (what.into(), String::new());
        Self { weight, cause, what, positions: Vec::new(), remedy, needs_refill: false }
    }

    pub(crate) fn good(cause: Cause, what: impl Into<String>) -> Self {
        Self::new(Weight::Good, cause, what)
    }

    pub(crate) fn note(cause: Cause, what: impl Into<String>) -> Self {
        Self::new(Weight::Note, cause, what)
    }

    pub(crate) fn warning(cause: Cause, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..Self::new(Weight::Warning, cause, what) }
    }

    /// Something that a person can put right without anything having been missed.
    pub(crate) fn doubt(cause: Cause, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..Self::new(Weight::Doubt, cause, what) }
    }

    /// Something after which events may be missing in the sink.
    pub(crate) fn gap(cause: Cause, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { needs_refill: true, ..Self::doubt(cause, what, remedy) }
    }

    pub(crate) fn at<const N: usize>(mut self, positions: [(&'static str, Lsn); N]) -> Self {
        self.positions.extend(positions);
        self
    }
}

/// What was found, with its positions.
impl Display for Finding {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)?;
        for (n, (name, lsn)) in self.positions.iter().enumerate() {
            let before = if n == 0 { " (" } else { ", " };
            write!(formatter, "{before}{name} {lsn}")?;
        }
        if self.positions.is_empty() { Ok(()) } else { formatter.write_str(")") }
    }
}

impl From<Finding> for Error {
    fn from(finding: Finding) -> Self {
        Self::halted_by(finding.cause, finding.to_string(), finding.remedy)
    }
}
