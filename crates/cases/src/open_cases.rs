//! What needs a person now, by what has caused it: a view in memory.

use std::collections::{BTreeMap, HashMap};

use delivery::{HandleError, Subscription, cause_of};
use event::{Aggregate, RecordedEvent};
use jiff::Timestamp;
use money::Money;
use projection::MemoryView;
use uuid::Uuid;

use crate::Case;

const EXAMPLES_MAX: usize = 5;

/// It knows all cases that there were, since each may be raised again.
#[derive(Default)]
pub struct OpenCases {
    cases: HashMap<Uuid, Followed>,
    /// The oldest first.
    open: BTreeMap<(Timestamp, Uuid), Open>,
}

struct Followed {
    case: Case,
    raised_at: Timestamp,
}

struct Open {
    category: String,
    cause: String,
    amount: Money,
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
        let was_open = known.as_ref().filter(|known| known.case.is_open());
        let raised_at = was_open.map_or(event.recorded_at, |known| known.raised_at);
        self.open.remove(&(raised_at, id));
        if let Some(case) = Case::evolve(known.map(|known| known.case), &decoded) {
            if case.is_open() {
                let (category, cause) = (case.subject.stream.category().to_owned(), cause_of(&case.reason));
                self.open.insert((raised_at, id), Open { category, cause, amount: case.subject.amount });
            }
            self.cases.insert(id, Followed { case, raised_at });
        }
        Ok(())
    }
}

impl OpenCases {
    /// The largest first. Fails where the amounts cannot be reckoned with.
    pub fn groups(&self) -> Result<Vec<CaseGroup>, money::Error> {
        let mut groups: BTreeMap<(&str, &str), CaseGroup> = BTreeMap::new();
        for ((raised_at, id), Open { category, cause, amount }) in &self.open {
            let group = groups.entry((category, cause)).or_insert_with(|| CaseGroup {
                category: category.clone(),
                cause: cause.clone(),
                count: 0,
                amounts: Vec::new(),
                oldest_raised_at: *raised_at,
                newest_raised_at: *raised_at,
                examples: Vec::new(),
            });
            group.count += 1;
            match group.amounts.iter_mut().find(|sum| sum.currency() == amount.currency()) {
                Some(sum) => *sum = sum.plus(*amount)?,
                None => group.amounts.push(*amount),
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

#[cfg(test)]
mod tests;
