//! What a run came to, as a table for people.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub(crate) rows: Vec<(&'static str, String)>,
}

impl Figures {
    pub(crate) fn put(&mut self, name: &'static str, value: impl Display) {
        self.rows.push((name, value.to_string()));
    }

    /// Median and largest.
    pub(crate) fn put_spread<T: Ord + Copy>(
        &mut self,
        name: &'static str,
        mut values: Vec<T>,
        show: impl Fn(T) -> String,
    ) {
        values.sort_unstable();
        if let (Some(median), Some(largest)) = (values.get(values.len() / 2), values.last()) {
            self.put(name, format!("{} / {}", show(*median), show(*largest)));
        }
    }
}

impl Display for Figures {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        self.rows.iter().try_for_each(|(name, value)| writeln!(formatter, "{name:width$}  {value}"))
    }
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
