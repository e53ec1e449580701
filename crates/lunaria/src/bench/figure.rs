//! A measured figure, its floor, and their ratio: a table for people, JSON lines for programs.

use std::io::Write;

use hdrhistogram::Histogram;
use serde_json::json;

/// `floor` is what the value is compared with; `ratio` says how.
pub(super) struct Figure {
    pub(super) bench: &'static str,
    pub(super) measure: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) floor: Option<f64>,
}

impl Figure {
    #[expect(clippy::float_arithmetic, reason = "a ratio of rates, far from any money")]
    fn ratio(&self) -> Option<f64> {
        self.floor.map(|floor| self.value / floor)
    }
}

pub(super) fn print(figures: &[Figure], as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if !as_json {
        writeln!(out, "{:<34} {:>14} {:<10} {:>14} {:>7}", "measure", "value", "unit", "floor", "ratio")?;
    }
    for figure in figures {
        let Figure { bench, measure, value, unit, floor } = figure;
        if as_json {
            let line = json!({
                "bench": bench, "measure": measure, "value": value, "unit": unit,
                "floor": floor, "ratio": figure.ratio(),
            });
            writeln!(out, "{line}")?;
        } else {
            let shown =
                |number: Option<f64>, digits| number.map_or_else(String::new, |n| format!("{n:.digits$}"));
            let (floor, ratio) = (shown(*floor, 0), shown(figure.ratio(), 2));
            writeln!(out, "{measure:<34} {value:>14.1} {unit:<10} {floor:>14} {ratio:>7}")?;
        }
    }
    Ok(())
}

/// Of times in microseconds.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a time, far from any money")]
pub(super) fn quantile_ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}
