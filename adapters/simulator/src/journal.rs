//! The journal: an append-only file with one JSON line per decision, on disk before the answer goes out.
//!
//! ```text
//!  append ─► queue (bounded) ─► writer thread: take all that wait ─► write ─► sync_data ─► tell each its number
//! ```
//!
//! Concurrent decisions share one sync, so that the disk's latency limits the batch and not the payment.
//! A crash can tear only what nobody was answered about, hence a last line without its newline is cut off.
//! A failed write or sync ends the house: what the disk holds is then known only by reading it again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::line::Line;

const QUEUE_LINES_MAX: usize = 1_024;
/// One sync takes at most what the queue holds.
const BATCH_LINES_MAX: usize = QUEUE_LINES_MAX;
/// A line is below 6,000 bytes, most of them of the address, two names and the remittance; more is no line of ours.
const LINE_BYTES_MAX: u64 = 8_192;
const PAGE_LINES_MAX: usize = 1_000;

/// The writer has ended, and its error with it.
#[derive(Debug)]
pub(crate) struct Stopped;

#[derive(Debug, Clone)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Append>,
    file: Arc<File>,
    /// Where each line ends in the file, for lines that are on disk: lines are read from the file, not kept.
    ends: Arc<RwLock<Vec<u64>>>,
}

#[derive(Debug)]
struct Append {
    line: Line,
    written: oneshot::Sender<()>,
}

impl Journal {
    /// Returns when the line is on disk. Cancel safe: a line that is in the queue is written regardless.
    pub(crate) async fn append(&self, line: Line) -> Result<(), Stopped> {
        let (written, on_disk) = oneshot::channel();
        self.queue.send(Append { line, written }).await.map_err(|_| Stopped)?;
        on_disk.await.map_err(|_| Stopped)
    }

    /// The lines after number `after` as one JSON array, a page at most. Blocks on the disk.
    pub(crate) fn page(&self, after: u64) -> io::Result<String> {
        let (start, end) = {
            let ends = self.ends.read().unwrap_or_else(PoisonError::into_inner);
            let first = usize::try_from(after).unwrap_or(usize::MAX).min(ends.len());
            let last = first.saturating_add(PAGE_LINES_MAX).min(ends.len());
            (line_end(&ends, first), line_end(&ends, last))
        };
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, start)?;
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        Ok(format!("[{}]", text.trim_end().replace('\n', ",")))
    }
}

fn line_end(ends: &[u64], lines: usize) -> u64 {
    lines.checked_sub(1).map_or(0, |last| ends[last])
}

/// The only one who writes; `run` ends when the last `Journal` is dropped and the queue is empty.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: Arc<File>,
    ends: Arc<RwLock<Vec<u64>>>,
    queue: mpsc::Receiver<Append>,
}

/// Opens or creates the file and shows each line to `restore`, which refuses with a reason. Blocks on the disk.
pub(crate) fn open(
    path: &Path,
    mut restore: impl FnMut(&Line) -> Result<(), &'static str>,
) -> Result<(Journal, Writer), Error> {
    let failed = |action| move |source| Error::Journal { path: path.to_owned(), action, source };
    let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed("open"))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::JournalInUse { path: path.to_owned() },
        TryLockError::Error(source) => failed("lock")(source),
    })?;
    let ends = read_back(path, &file, &mut restore)?;
    // A new file is there after a crash only if its folder is on disk too.
    sync_folder(path).map_err(failed("sync the folder of"))?;

    let (sender, queue) = mpsc::channel(QUEUE_LINES_MAX);
    let (file, ends) = (Arc::new(file), Arc::new(RwLock::new(ends)));
    let journal = Journal { queue: sender, file: Arc::clone(&file), ends: Arc::clone(&ends) };
    Ok((journal, Writer { path: path.to_owned(), file, ends, queue }))
}

fn read_back(
    path: &Path,
    file: &File,
    restore: &mut impl FnMut(&Line) -> Result<(), &'static str>,
) -> Result<Vec<u64>, Error> {
    let failed = |action| move |source| Error::Journal { path: path.to_owned(), action, source };
    let mut reader = BufReader::new(file);
    let (mut ends, mut end, mut text) = (Vec::new(), 0, Vec::new());
    for n in 1.. {
        text.clear();
        let limited = &mut reader.by_ref().take(LINE_BYTES_MAX);
        let bytes = limited.read_until(b'\n', &mut text).map_err(failed("read"))?;
        if bytes == 0 {
            break;
        }
        let malformed = |reason| Error::JournalMalformed { path: path.to_owned(), line: n, reason };
        if text.last() != Some(&b'\n') {
            if limited.limit() == 0 {
                return Err(malformed(format!("it is longer than {LINE_BYTES_MAX} bytes")));
            }
            tracing::warn!(path = %path.display(), line = n, bytes, "torn last line of the journal is cut off");
            file.set_len(end).and_then(|()| file.sync_all()).map_err(failed("cut"))?;
            break;
        }
        let line: Line = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if line.number() != n {
            return Err(malformed("its number does not follow the line before".to_owned()));
        }
        restore(&line).map_err(|reason| malformed(reason.to_owned()))?;
        end += u64::try_from(bytes).map_err(|error| malformed(error.to_string()))?;
        ends.push(end);
    }
    Ok(ends)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

impl Writer {
    /// Blocks: for a thread of its own.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let mut batch = Vec::with_capacity(BATCH_LINES_MAX);
        while self.queue.blocking_recv_many(&mut batch, BATCH_LINES_MAX) > 0 {
            self.write(&mut batch).map_err(|source| Error::Journal {
                path: self.path.clone(),
                action: "write",
                source,
            })?;
            for append in batch.drain(..) {
                // Nobody waits when the sender's task was dropped at shutdown; the line stands all the same.
                let _ = append.written.send(());
            }
        }
        Ok(())
    }

    fn write(&self, batch: &mut [Append]) -> io::Result<()> {
        let (lines, end) = {
            let ends = self.ends.read().unwrap_or_else(PoisonError::into_inner);
            (ends.len(), line_end(&ends, ends.len()))
        };
        let mut bytes = Vec::new();
        let mut new_ends = Vec::with_capacity(batch.len());
        for (n, append) in (lines + 1..).zip(batch) {
            append.line.set_number(u64::try_from(n).map_err(io::Error::other)?);
            serde_json::to_writer(&mut bytes, &append.line)?;
            bytes.push(b'\n');
            new_ends.push(end + u64::try_from(bytes.len()).map_err(io::Error::other)?);
        }
        (&*self.file).write_all(&bytes)?;
        self.file.sync_data()?;
        self.ends.write().unwrap_or_else(PoisonError::into_inner).extend(new_ends);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::{Arc, RwLock};

    use jiff::Timestamp;
    use tokio::sync::mpsc;

    use super::{Journal, Line, Writer, open};
    use crate::decision::Decision;
    use crate::error::Error;
    use crate::payment::tests::{payment, transfer};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn line(end_to_end_id: &str) -> Line {
        let mut transfer = transfer();
        transfer.end_to_end_id = end_to_end_id.to_owned();
        let decision = Decision { reason_code: None, decided_at: NOW, told_at: NOW };
        Line::payment(&payment(transfer), &decision)
    }

    /// Appends payments to the journal at `path` and gives the lines that it then holds.
    async fn written(path: &Path, payments: u32) -> String {
        let (journal, writer) = open(path, |_| Ok(())).unwrap();
        let writer = tokio::task::spawn_blocking(|| writer.run());
        for id in 0..payments {
            journal.append(line(&format!("e{id}"))).await.unwrap();
        }
        drop(journal);
        writer.await.unwrap().unwrap();
        fs::read_to_string(path).unwrap()
    }

    fn reopened(path: &Path) -> Result<u64, Error> {
        let mut last = 0;
        open(path, |line: &Line| {
            last = line.number();
            match line {
                Line::Payment(line) => line.restored().map(drop),
                _ => Ok(()),
            }
        })?;
        Ok(last)
    }

    #[tokio::test]
    async fn a_torn_last_line_is_cut_wherever_it_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let text = written(&path, 2).await;
        let first_end = text.find('\n').unwrap() + 1;
        for length in first_end..text.len() {
            fs::write(&path, &text[..length]).unwrap();
            assert_eq!(reopened(&path).unwrap(), 1, "torn at {length}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text[..first_end]);
        }
    }

    #[test]
    fn a_journal_from_before_iso_20022_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let line = r#"{"n":1,"uetr":"0b2c1f7e-3f0d-4c39-9d6e-4b8f3c1a2d5e","end_to_end_id":"e","status":"ACSC","reason_code":null,"#
            .to_owned()
            + r#""amount":"1","currency":"DKK","creditor_iban":"DK9520000123456789","decided_at":"1970-01-01T00:00:00Z","#
            + r#""content_hash":"64d8c67c5d3b7fd08d7016a39a9a8cca"}"#;
        fs::write(&path, line + "\n").unwrap();
        assert_eq!(reopened(&path).unwrap(), 1);
    }

    #[tokio::test]
    async fn anything_else_malformed_halts_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let text = written(&path, 2).await;
        let changes = [
            ("\"n\":2", "\"n\":3"),
            ("ACSC", "RJCT"),
            ("\"amount\":\"1250\"", "\"amount\":\"-1250\""),
            ("\"e1\"", "\"e1"),
            ("\"e1\"", "\"e1\",\"note\":1"),
        ];
        for (old, new) in changes {
            let (before, last) = text.split_at(text.find('\n').unwrap() + 1);
            fs::write(&path, format!("{before}{}", last.replace(old, new))).unwrap();
            let error = reopened(&path).unwrap_err();
            assert!(matches!(error, Error::JournalMalformed { line: 2, .. }), "{new}: {error}");
        }
        fs::write(&path, format!("{text}{}", "x".repeat(9_000))).unwrap();
        assert!(matches!(reopened(&path), Err(Error::JournalMalformed { line: 3, .. })));
    }

    #[tokio::test]
    async fn pages_start_after_the_asked_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        written(&path, 3).await;
        let (journal, _writer) = open(&path, |_| Ok(())).unwrap();
        for (after, first) in [(0, Some(1)), (2, Some(3)), (3, None), (u64::MAX, None)] {
            let lines: Vec<Line> = serde_json::from_str(&journal.page(after).unwrap()).unwrap();
            assert_eq!(lines.first().map(Line::number), first);
        }
    }

    #[tokio::test]
    async fn a_write_that_fails_ends_the_writer_and_confirms_nothing() {
        let file = Arc::new(File::options().append(true).open("/dev/full").unwrap());
        let ends = Arc::new(RwLock::new(Vec::new()));
        let (sender, queue) = mpsc::channel(1);
        let writer =
            Writer { path: "/dev/full".into(), file: Arc::clone(&file), ends: Arc::clone(&ends), queue };
        let writer = tokio::task::spawn_blocking(|| writer.run());
        let journal = Journal { queue: sender, file, ends };
        assert!(journal.append(line("e1")).await.is_err());
        assert!(matches!(writer.await.unwrap(), Err(Error::Journal { action: "write", .. })));
    }

    #[test]
    fn two_houses_cannot_share_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let _first = open(&path, |_| Ok(())).unwrap();
        assert!(matches!(open(&path, |_| Ok(())), Err(Error::JournalInUse { .. })));
    }
}
