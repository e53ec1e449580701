//! What a process has used, from /proc.

use std::fs;

use anyhow::Context;

/// `sysconf(_SC_CLK_TCK)` on Linux: the unit of the CPU times in /proc.
const TICKS_A_SECOND: f64 = 100.0;

/// User and system time, in seconds.
#[expect(clippy::float_arithmetic, reason = "CPU time, far from any money")]
pub(super) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the program's name, which may hold anything: state is field 3, utime 14, stime 15.
    let (_, fields) = stat.rsplit_once(')').context("/proc/…/stat has changed")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    Ok(ticks.map(|field| field.parse::<f64>().unwrap_or_default()).sum::<f64>() / TICKS_A_SECOND)
}

#[expect(clippy::float_arithmetic, reason = "memory, far from any money")]
pub(super) fn peak_rss_megabytes(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
