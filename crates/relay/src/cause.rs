//! Why a relay halts, as a word that machines can count.

use std::fmt::{self, Display, Formatter};

/// The label `reason` of `lunaria_relay_halts_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Another server, or one that is not set up for logical replication.
    Server,
    /// The server was promoted, and the slot did not come with it.
    Timeline,
    /// The server's log ends before what the sink has: it was restored to an earlier state.
    Restored,
    Role,
    /// The relay's own table is missing, or out of its reach.
    State,
    Publication,
    Table,
    Slot,
    /// The server has removed log that the slot needs.
    SlotLost,
    /// Somebody else has confirmed what the sink does not have.
    SlotAdvanced,
    /// Nothing is missing, but the log is the slow way to what is new.
    Backlog,
    /// An operator has asked for a refill.
    Requested,
    /// Nothing was captured of these tables yet, and what stands in them comes first.
    Snapshot,
    /// The sink holds less than it did, or something else.
    Topic,
    /// Events were updated, deleted or truncated.
    Tampered,
    TooLarge,
    /// What came out of the log cannot be read.
    Unreadable,
}

impl Cause {
    const ALL: [Self; 17] = [
        Self::Server,
        Self::Timeline,
        Self::Restored,
        Self::Role,
        Self::State,
        Self::Publication,
        Self::Table,
        Self::Slot,
        Self::SlotLost,
        Self::SlotAdvanced,
        Self::Backlog,
        Self::Requested,
        Self::Snapshot,
        Self::Topic,
        Self::Tampered,
        Self::TooLarge,
        Self::Unreadable,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Timeline => "timeline",
            Self::Restored => "restored",
            Self::Role => "role",
            Self::State => "state",
            Self::Publication => "publication",
            Self::Table => "table",
            Self::Slot => "slot",
            Self::SlotLost => "slot_lost",
            Self::SlotAdvanced => "slot_advanced",
            Self::Backlog => "backlog",
            Self::Requested => "requested",
            Self::Snapshot => "snapshot",
            Self::Topic => "topic",
            Self::Tampered => "tampered",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }

    /// Whether a relay may refill by itself. After a restore or a promotion the sink may hold what never happened, and
    /// that is for a person to judge; the rest is no gap.
    pub(crate) const fn is_mended_by_refill(self) -> bool {
        matches!(
            self,
            Self::State
                | Self::Publication
                | Self::Slot
                | Self::SlotLost
                | Self::SlotAdvanced
                | Self::Backlog
                | Self::Requested
                | Self::Snapshot
                | Self::Topic
        )
    }

    /// Whether what was with the sink before still is. After these it is not, or belongs to another history.
    pub(crate) const fn keeps_horizon(self) -> bool {
        !matches!(self, Self::Server | Self::Timeline | Self::Restored | Self::Topic)
    }
}

impl Display for Cause {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn every_cause_is_found_again_by_its_word() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_word(cause.as_str()), Some(cause));
        }
        assert_eq!(Cause::from_word("other"), None);
    }
}
