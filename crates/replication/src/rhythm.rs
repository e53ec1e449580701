//! How much a reader takes from a busy socket at a time, and how long it then leaves the socket alone.
//!
//! The server sends each message of a transaction by itself. While the reader's buffer has room, each passes through all
//! of TCP, and wakes a reader that waits in epoll; while the buffer is full, what is sent gathers on the server's side and
//! leaves in large segments. In `lunaria bench relay` that took two thirds of the walsender's system time away, and nine
//! tenths of the reader's. So the buffer is small, and the reader sleeps, and then takes a little less than the server could
//! have sent. Where the buffer is not small, it reads until nothing is left, every millisecond:
//!
//! ```text
//! hardly anything comes ──────► no pause: to be woken so rarely costs little
//! a little comes ─────────────► 1 ms, and then all there is
//! much, and nothing is left ──► 2 ms, so that it gathers, and then twice what comes in a millisecond
//! more is left ───────────────► 1 ms, and then a little more
//! ```

use std::time::{Duration, Instant};

/// The most that Linux grants without being configured (`net.core.rmem_max`).
pub(crate) const BUFFER_BYTES: u32 = 212_992;

/// What is taken at a time as long as nothing is known.
pub(crate) const QUOTA_BYTES: usize = 128 * 1024;

/// With less in a millisecond a pause spares hardly anything.
const SLOW_BYTES_PER_MS: u128 = 4 * 1024;

/// With less in a millisecond the server is not held up by a reader that is prompt.
const BUSY_BYTES_PER_MS: u128 = 24 * 1024;

/// No latency that matters is as short, and no timer here is finer.
const PAUSE: Duration = Duration::from_millis(1);
const GATHERING: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Rhythm {
    /// Whether the buffer is small; else a full one says nothing, and no pause is longer than the shortest.
    is_limited: bool,
    quota_bytes: usize,
    came_bytes: usize,
    since: Instant,
}

impl Rhythm {
    pub(crate) fn new(is_limited: bool, now: Instant) -> Self {
        Self { is_limited, quota_bytes: QUOTA_BYTES, came_bytes: 0, since: now }
    }

    /// How much to take before the next pause.
    pub(crate) fn left(&self) -> usize {
        self.quota_bytes.saturating_sub(self.came_bytes)
    }

    /// After a read of no more than [`Rhythm::left`], which has left nothing behind, or may have. None: read on.
    pub(crate) fn pause_after(&mut self, bytes: usize, is_drained: bool, now: Instant) -> Option<Duration> {
        self.came_bytes += bytes;
        let took = now - self.since;
        if self.left() > 0 && (!is_drained || took < PAUSE) {
            return None;
        }
        let per_ms = self.came_bytes as u128 * 1_000_000 / took.as_nanos().max(1);
        (self.came_bytes, self.since) = (0, now);
        if !is_drained {
            self.quota_bytes += self.quota_bytes / 32;
            return self.is_limited.then_some(PAUSE);
        }
        self.quota_bytes = QUOTA_BYTES;
        if per_ms >= BUSY_BYTES_PER_MS && self.is_limited {
            self.quota_bytes = usize::try_from(2 * per_ms).unwrap_or(QUOTA_BYTES);
            return Some(GATHERING);
        }
        (per_ms >= SLOW_BYTES_PER_MS).then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{QUOTA_BYTES, Rhythm};

    /// Reads, each so many milliseconds after the one before.
    struct Reader {
        rhythm: Rhythm,
        now: Instant,
    }

    impl Reader {
        fn new(is_limited: bool) -> Self {
            let now = Instant::now();
            Self { rhythm: Rhythm::new(is_limited, now), now }
        }

        /// The pause in milliseconds.
        fn read(&mut self, after_ms: u64, bytes: usize, is_drained: bool) -> Option<u128> {
            self.now += Duration::from_millis(after_ms);
            self.rhythm.pause_after(bytes, is_drained, self.now).map(|pause| pause.as_millis())
        }
    }

    #[test]
    fn a_slow_stream_is_not_left_alone_at_all() {
        let mut reader = Reader::new(true);
        for (after_ms, bytes) in [(1, 3000), (0, 100_000), (30, 1), (5, 20_000)] {
            assert_eq!(reader.read(after_ms, bytes, true), None);
        }
    }

    #[test]
    fn a_moderate_stream_is_read_every_millisecond() {
        let mut reader = Reader::new(true);
        for _ in 0..3 {
            assert_eq!(reader.read(2, 20_000, true), Some(1));
            assert_eq!(reader.rhythm.left(), QUOTA_BYTES);
        }
    }

    #[test]
    fn a_busy_stream_that_was_drained_gathers_and_one_that_was_not_is_read_a_little_faster() {
        let mut reader = Reader::new(true);
        assert_eq!(reader.read(1, 64_000, true), Some(2));
        assert_eq!(reader.rhythm.left(), 128_000);
        assert_eq!(reader.read(3, 128_000, false), Some(1));
        assert_eq!(reader.rhythm.left(), 132_000);
        assert_eq!(reader.read(2, 100_000, true), Some(2));
        assert_eq!(reader.rhythm.left(), 100_000);
    }

    #[test]
    fn what_may_still_be_there_is_read_on_up_to_the_quota() {
        let mut reader = Reader::new(true);
        assert_eq!(reader.read(1, 16_000, false), None);
        assert_eq!(reader.rhythm.left(), QUOTA_BYTES - 16_000);
        let rest = reader.rhythm.left();
        assert_eq!(reader.read(0, rest, false), Some(1));
    }

    #[test]
    fn where_the_buffer_grows_with_what_comes_it_says_nothing() {
        let mut reader = Reader::new(false);
        assert_eq!(reader.read(1, 64_000, true), Some(1));
        assert_eq!(reader.read(1, QUOTA_BYTES, false), None);
        assert!(reader.rhythm.left() > QUOTA_BYTES);
        assert_eq!(reader.read(1, QUOTA_BYTES, true), Some(1));
        assert_eq!(reader.rhythm.left(), QUOTA_BYTES);
    }
}
