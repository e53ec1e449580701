//! What a run has violated.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

const EXAMPLES_MAX: usize = 3;

/// By check; each with how often, and some examples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(BTreeMap<&'static str, (u64, Vec<String>)>);

impl Violations {
    pub(crate) fn add(&mut self, check: &'static str, example: impl FnOnce() -> String) {
        let (count, examples) = self.0.entry(check).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(example());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which checks were violated.
    pub fn checks(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// How often a check was violated.
    pub fn of(&self, check: &str) -> u64 {
        self.0.get(check).map_or(0, |(count, _)| *count)
    }
}

impl Display for Violations {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (check, (count, examples)) in &self.0 {
            writeln!(formatter, "{check}: {count} times, such as")?;
            examples.iter().try_for_each(|example| writeln!(formatter, "    {example}"))?;
        }
        Ok(())
    }
}
