//! Server processes that outlived their owner, found by the directory that they work in.
//!
//! A pid file can be stale, and its number can belong to a stranger by now; the working directory cannot lie.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::process::Rung;

/// Each look reads all of /proc.
const POLL: Duration = Duration::from_millis(50);

pub(crate) struct Survivor {
    pub(crate) pid: Pid,
    parent: Option<Pid>,
}

/// Stops every process of `program` whose working directory is `directory`, by ever harder signals. The caller owns
/// the directory; a person's shell may be in it too, and is left alone.
pub(crate) fn stop_all(program: &str, directory: &Path, ladder: &[Rung]) -> Result<(), Error> {
    // Without it no process would be found, and two servers could work on the same data.
    let own = Path::new("/proc/self/cwd");
    fs::metadata(own).map_err(Error::file("read", own))?;
    for survivor in find(program, directory) {
        // A paused one would heed no rung but the last.
        let _ = kill_process(survivor.pid, Signal::CONT);
    }
    for rung in ladder {
        let survivors = find(program, directory);
        if survivors.is_empty() {
            return Ok(());
        }
        for survivor in &survivors {
            // A server stops its children in order itself; a kill has to reach each one.
            let has_parent = survivors.iter().any(|other| Some(other.pid) == survivor.parent);
            if !has_parent || rung.signal == Signal::KILL {
                // It may have ended meanwhile; what has not is still there after the last rung.
                let _ = kill_process(survivor.pid, rung.signal);
            }
        }
        let deadline = Instant::now() + rung.patience;
        while Instant::now() < deadline && !find(program, directory).is_empty() {
            sleep(POLL);
        }
    }
    find(program, directory).first().map_or(Ok(()), |survivor| {
        let pid = survivor.pid.as_raw_nonzero().get();
        Err(Error::Survivor { directory: directory.to_owned(), pid })
    })
}

/// Every process of `program` whose working directory is `directory`.
pub(crate) fn find(program: &str, directory: &Path) -> Vec<Survivor> {
    let Ok(wanted) = fs::metadata(directory) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            if name.trim_end() != program {
                return None;
            }
            // A process of another user, or one that has ended, has no readable working directory.
            let cwd = fs::metadata(entry.path().join("cwd")).ok()?;
            let is_inside = (cwd.dev(), cwd.ino()) == (wanted.dev(), wanted.ino());
            is_inside.then(|| Survivor { pid, parent: parent(pid) })
        })
        .collect()
}

fn parent(pid: Pid) -> Option<Pid> {
    Pid::from_raw(stat_field(pid, 4)?.parse().ok()?)
}

/// Stopped by a signal, or ended. <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
pub(crate) fn is_still(pid: Pid) -> bool {
    stat_field(pid, 3).is_none_or(|state| ["T", "t", "Z", "X"].contains(&state.as_str()))
}

/// A field of proc_pid_stat(5) by its number there, after a program name in parentheses that may itself hold any
/// character.
fn stat_field(pid: Pid, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(number - 3).map(ToOwned::to_owned)
}
