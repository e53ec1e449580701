//! What needs a person now, by what has caused it: a view in memory.

use std::collections::{BTreeMap, HashMap};

use delivery::{HandleError, Subscription};
use event::{Aggregate, RecordedEvent};
use jiff::Timestamp;
use money::Money;
use projection::MemoryView;
use uuid::Uuid;

use crate::Case;

const EXAMPLES_MAX: usize = 5;
/// Stands where a cause had what differs from case to case.
const VARYING: &str = "…";

#[derive(Default)]
pub struct OpenCases {
    cases: HashMap<Uuid, Followed>,
}

struct Followed {
    case: Case,
    raised_at: Timestamp,
}

/// The open cases of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseGroup {
    /// Of the things that they are about, such as `transfer`.
    pub category: String,
    pub cause: String,
    pub count: u64,
    /// What is at stake, in each currency.
    pub amounts: Vec<Money>,
    pub oldest_raised_at: Timestamp,
    pub newest_raised_at: Timestamp,
    /// The oldest of them.
    pub examples: Vec<Uuid>,
}

impl MemoryView for OpenCases {
    const NAME: &'static str = "case.open";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &[Case::CATEGORY] };

    fn take(&mut self, event: &RecordedEvent) -> Result<(), HandleError> {
        let unnamed = || HandleError::Failed(format!("{} is named by no UUID", event.stream));
        let id = event.stream.uuid().ok_or_else(unnamed)?;
        let decoded = event.decode()?;
        let known = self.cases.remove(&id);
        let was_open = known.as_ref().filter(|known| known.case.is_open);
        let raised_at = was_open.map_or(event.recorded_at, |known| known.raised_at);
        if let Some(case) = Case::evolve(known.map(|known| known.case), &decoded) {
            self.cases.insert(id, Followed { case, raised_at });
        }
        Ok(())
    }
}

impl OpenCases {
    /// The largest first. Fails where the amounts cannot be reckoned with.
    pub fn groups(&self) -> Result<Vec<CaseGroup>, money::Error> {
        let mut open: Vec<(&Uuid, &Followed)> =
            self.cases.iter().filter(|(_, followed)| followed.case.is_open).collect();
        open.sort_unstable_by_key(|(id, followed)| (followed.raised_at, **id));
        let mut groups: BTreeMap<(&str, String), CaseGroup> = BTreeMap::new();
        for (id, Followed { case, raised_at }) in open {
            let (category, cause) = (case.subject.stream.category(), cause_of(&case.reason));
            let group = groups.entry((category, cause.clone())).or_insert_with(|| CaseGroup {
                category: category.to_owned(),
                cause,
                count: 0,
                amounts: Vec::new(),
                oldest_raised_at: *raised_at,
                newest_raised_at: *raised_at,
                examples: Vec::new(),
            });
            group.count += 1;
            let amount = case.subject.amount;
            match group.amounts.iter_mut().find(|sum| sum.currency() == amount.currency()) {
                Some(sum) => *sum = sum.plus(amount)?,
                None => group.amounts.push(amount),
            }
            group.newest_raised_at = *raised_at;
            if group.examples.len() < EXAMPLES_MAX {
                group.examples.push(*id);
            }
        }
        let mut groups: Vec<CaseGroup> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        Ok(groups)
    }
}

/// A reason without what differs from case to case: words with a digit in them, which are amounts, identifiers, times.
pub fn cause_of(reason: &str) -> String {
    let word = |word| if is_varying(word) { VARYING } else { word };
    reason.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

fn is_varying(word: &str) -> bool {
    word.contains(|letter: char| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests;
