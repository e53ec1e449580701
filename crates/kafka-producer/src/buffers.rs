//! What waits to be sent, by partition, and what each batch acknowledges.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record_batch::{Headers, Records};

/// Uncompressed: larger batches compress no better, and cost memory.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// What a batch, and what its compression adds at worst.
const BATCH_OVERHEAD_BYTES: usize = 1024;
/// Buffers kept for reuse; more than are under way at once are given back.
const SPARE_MAX: usize = 32;

pub(crate) struct Buffers {
    partitions: Vec<Partition>,
    spare: Vec<Vec<u8>>,
    /// Uncompressed bytes that are not acknowledged yet.
    pub(crate) unacknowledged_bytes: usize,
    pub(crate) closed: bool,
}

struct Partition {
    topic: Arc<str>,
    index: i32,
    broker: usize,
    next_sequence: i32,
    /// Where its log ended after the last batch that was acknowledged; -1 before the first.
    end_offset: i64,
    open: Batch,
    sealed: VecDeque<Batch>,
    pending_bytes: usize,
    /// A record that is larger gets a batch of its own.
    batch_bytes_max: usize,
}

#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) records: Records,
    /// Tags in the order of their records, each with how many follow one another.
    pub(crate) runs: Vec<(u64, u32)>,
}

/// A batch on its way out.
pub(crate) struct Outgoing {
    pub(crate) partition: usize,
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    pub(crate) first_sequence: i32,
    pub(crate) batch: Batch,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self { partitions: Vec::new(), spare: Vec::new(), unacknowledged_bytes: 0, closed: false }
    }

    /// Returns the number by which the first of the topic's partitions is known here; the others follow it.
    pub(crate) fn add_topic(&mut self, topic: &str, brokers: &[usize], message_bytes_max: usize) -> usize {
        let first = self.partitions.len();
        let batch_bytes_max = BATCH_BYTES_MAX.min(message_bytes_max.saturating_sub(BATCH_OVERHEAD_BYTES));
        let topic: Arc<str> = topic.into();
        self.partitions.extend((0..).zip(brokers).map(|(index, broker)| Partition {
            topic: Arc::clone(&topic),
            index,
            broker: *broker,
            next_sequence: 0,
            end_offset: -1,
            open: Batch::default(),
            sealed: VecDeque::new(),
            pending_bytes: 0,
            batch_bytes_max,
        }));
        first
    }

    pub(crate) fn append(
        &mut self,
        partition: usize,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &Headers,
        tag: u64,
    ) {
        let Some(at) = self.partitions.get_mut(partition) else { return };
        let length = at.open.records.body_len(key, value, headers);
        if at.open.records.count() > 0 && at.open.records.len() + length > at.batch_bytes_max {
            at.seal(&mut self.spare);
        }
        let before = at.open.records.len();
        at.open.records.push(key, value, headers);
        match at.open.runs.last_mut() {
            Some((last, count)) if *last == tag => *count += 1,
            _ => at.open.runs.push((tag, 1)),
        }
        let added = at.open.records.len() - before;
        at.pending_bytes += added;
        self.unacknowledged_bytes += added;
    }

    /// How much waits for a broker.
    pub(crate) fn pending_bytes(&self, broker: usize) -> usize {
        self.partitions.iter().filter(|at| at.broker == broker).map(|at| at.pending_bytes).sum()
    }

    /// One batch of each of the broker's partitions that has something, with its place in the sequence.
    pub(crate) fn take(&mut self, broker: usize) -> Vec<Outgoing> {
        let mut taken = Vec::new();
        for (number, at) in self.partitions.iter_mut().enumerate() {
            if at.broker != broker || at.pending_bytes == 0 {
                continue;
            }
            let batch = at.sealed.pop_front().unwrap_or_else(|| {
                let fresh = Records::reusing(self.spare.pop().unwrap_or_default());
                std::mem::replace(&mut at.open, Batch { records: fresh, runs: Vec::new() })
            });
            at.pending_bytes -= batch.records.len();
            let first_sequence = at.next_sequence;
            at.next_sequence = next_sequence(first_sequence, batch.records.count());
            let (topic, index) = (Arc::clone(&at.topic), at.index);
            taken.push(Outgoing { partition: number, topic, index, first_sequence, batch });
        }
        taken
    }

    pub(crate) fn reuse(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && buffer.capacity() <= 2 * BATCH_BYTES_MAX {
            self.spare.push(buffer);
        }
    }

    pub(crate) fn acknowledged(&mut self, partition: usize, bytes: usize, end_offset: i64) {
        self.unacknowledged_bytes = self.unacknowledged_bytes.saturating_sub(bytes);
        if let Some(at) = self.partitions.get_mut(partition) {
            at.end_offset = end_offset;
        }
    }

    pub(crate) fn end_offsets(&self) -> Vec<(Arc<str>, i32, i64)> {
        let partitions = self.partitions.iter().filter(|at| at.end_offset >= 0);
        partitions.map(|at| (Arc::clone(&at.topic), at.index, at.end_offset)).collect()
    }
}

impl Partition {
    fn seal(&mut self, spare: &mut Vec<Vec<u8>>) {
        let records = Records::reusing(spare.pop().unwrap_or_default());
        self.sealed.push_back(std::mem::replace(&mut self.open, Batch { records, runs: Vec::new() }));
    }
}

/// Sequences are 32 bits and begin again at 0.
fn next_sequence(first: i32, count: i32) -> i32 {
    let next = (i64::from(first) + i64::from(count)) & i64::from(i32::MAX);
    i32::try_from(next).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Buffers, Headers, next_sequence};

    #[test]
    fn a_sequence_goes_on_after_its_largest_number_at_zero() {
        assert_eq!(next_sequence(0, 5), 5);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 4), 2);
    }

    #[test]
    fn batches_of_a_partition_leave_in_order_and_their_sequences_join() {
        let mut buffers = Buffers::new();
        let first = buffers.add_topic("t", &[0, 1], 1 << 20);
        let large = vec![b'x'; super::BATCH_BYTES_MAX];
        for tag in 0..3 {
            buffers.append(first, b"k", Some(&large), &Headers::default(), tag);
        }
        buffers.append(first, b"k", Some(b"small"), &Headers::default(), 3);
        buffers.append(first, b"k", Some(b"small"), &Headers::default(), 3);
        buffers.append(first + 1, b"k", Some(b"other broker"), &Headers::default(), 9);
        let mut seen = Vec::new();
        while buffers.pending_bytes(0) > 0 {
            for outgoing in buffers.take(0) {
                seen.push((outgoing.first_sequence, outgoing.batch.runs));
            }
        }
        assert_eq!(seen, [(0, vec![(0, 1)]), (1, vec![(1, 1)]), (2, vec![(2, 1)]), (3, vec![(3, 2)])]);
        assert!(buffers.pending_bytes(1) > 0);
    }
}
