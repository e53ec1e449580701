//! What must be true in the end: compares witness, table, topics and samples, each read once.
//!
//! | check | of |
//! | --- | --- |
//! | C1 | no committed event is missing in Kafka |
//! | C2 | no record is anything but a committed event, as it stands in the table |
//! | C3 | each stream's first occurrences are in order, without a gap; a session never repeats itself; every duplicate has its fault |
//! | C4 | each partition's first occurrences are in commit order |
//! | C5 | the slot was at no instant confirmed beyond what Kafka had |
//! | C6 | what Postgres has acknowledged is in the table, what was rolled back is not |
//! | C13 | the lag is gone soon after the last fault (judged by [`crate::run`]) |
//! | C16 | offsets have no holes, high watermarks never fall, two readers read the same |

use std::collections::HashMap;

use crate::load::Written;
use crate::nemesis::Inflicted;
use crate::record::Record;
use crate::sampler::Sample;
use crate::violations::Violations;
use crate::witness::{Event, Log};

/// How long after a fault a session may still begin because of it.
const EXPLAINED_MS: i64 = 30_000;

/// A row of the event table.
pub(crate) struct TableRow {
    pub(crate) id: u128,
    pub(crate) stream: String,
    pub(crate) seq: i64,
    pub(crate) hash: u64,
}

#[derive(Debug, Clone, Default)]
struct PartitionState {
    next_offset: i64,
    /// Commit order and offset of each first occurrence.
    firsts: Vec<(u32, i64)>,
    /// Of each session: the last event that it sent.
    last_of_epoch: HashMap<i64, u32>,
}

pub(crate) struct Checker<'a> {
    log: &'a Log,
    by_id: HashMap<u128, u32>,
    faults: &'a [Inflicted],
    /// By event: the session that sent it first.
    firsts: Vec<Option<i64>>,
    partitions: Vec<PartitionState>,
    /// By stream: the last seq, and its partition.
    streams: Vec<Option<(u32, usize)>>,
    pub(crate) duplicates: u64,
    pub(crate) records: u64,
    pub(crate) violations: Violations,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(log: &'a Log, faults: &'a [Inflicted], partitions: usize) -> Self {
        let by_id: HashMap<u128, u32> =
            log.events.iter().zip(0..).map(|(event, number)| (event.id, number)).collect();
        let mut violations = Violations::default();
        if by_id.len() != log.events.len() {
            violations.add("C6 durable", || "the witness has an event twice".to_owned());
        }
        Self {
            by_id,
            faults,
            firsts: vec![None; log.events.len()],
            partitions: vec![PartitionState::default(); partitions],
            streams: vec![None; log.streams.len()],
            duplicates: 0,
            records: 0,
            violations,
            log,
        }
    }

    /// Of the whole table, once.
    pub(crate) fn table(&mut self, rows: &[TableRow], written: &Written) {
        if rows.len() != self.log.events.len() {
            let counts = (rows.len(), self.log.events.len());
            self.violations.add("C6 durable", || format!("(table, witness) have {counts:?} events"));
        }
        for row in rows {
            let event = self.by_id.get(&row.id).map(|number| &self.log.events[*number as usize]);
            let is_equal = event.is_some_and(|event| {
                (event.hash, i64::from(event.seq)) == (row.hash, row.seq)
                    && self.log.streams[event.stream as usize] == row.stream
            });
            if !is_equal {
                let (stream, seq) = (&row.stream, row.seq);
                self.violations.add("C6 durable", || format!("the witness has another {stream}@{seq}"));
            }
        }
        for id in written.committed.iter().filter(|id| !self.by_id.contains_key(id)) {
            self.violations.add("C6 durable", || format!("{id:032x} was acknowledged and is gone"));
        }
        for id in written.aborted.iter().filter(|id| self.by_id.contains_key(id)) {
            self.violations.add("C6 durable", || format!("{id:032x} was rolled back and is there"));
        }
    }

    /// Of each record, in the order of its partition.
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let partition = &mut self.partitions[record.partition];
        if record.offset != partition.next_offset {
            self.violations.add("C16 offsets", || format!("a hole before {}", shown(record)));
        }
        partition.next_offset = record.offset + 1;
        let Some(number) = self.by_id.get(&record.id).copied() else {
            self.violations.add("C2 phantom", || format!("{} is not in the table", shown(record)));
            return;
        };
        let event = &self.log.events[number as usize];
        if !is_the_same(record, event, self.log) {
            self.violations.add("C2 phantom", || format!("{} differs from the table", shown(record)));
        }
        // In commit order within a session: then it neither repeats itself nor goes back.
        let before = partition.last_of_epoch.insert(record.epoch, number);
        if before.is_some_and(|before| before >= number) {
            self.violations.add("C3 order", || format!("{} comes after a later one", shown(record)));
        }
        match self.firsts[number as usize] {
            None => self.first(record, number),
            Some(first_epoch) => self.duplicate(record, first_epoch),
        }
    }

    fn first(&mut self, record: &Record<'_>, number: u32) {
        let Record { partition, offset, epoch, .. } = *record;
        self.firsts[number as usize] = Some(epoch);
        let firsts = &mut self.partitions[partition].firsts;
        if firsts.last().is_some_and(|(before, _)| *before > number) {
            self.violations
                .add("C4 commit order", || format!("{} comes after a later commit", shown(record)));
        }
        firsts.push((number, offset));
        let event = &self.log.events[number as usize];
        let stream = &mut self.streams[event.stream as usize];
        let (last, home) = stream.unwrap_or((0, partition));
        if (last + 1, home) != (event.seq, partition) {
            self.violations
                .add("C3 order", || format!("{} follows @{last} of partition {home}", shown(record)));
        }
        *stream = Some((event.seq, partition));
    }

    fn duplicate(&mut self, record: &Record<'_>, first_epoch: i64) {
        self.duplicates += 1;
        let has_fault = self
            .faults
            .iter()
            .any(|fault| (fault.start_ms..=fault.end_ms + EXPLAINED_MS).contains(&record.time_ms));
        if !has_fault || record.epoch <= first_epoch {
            self.violations
                .add("C3 duplicate", || format!("{} has no fault that explains it", shown(record)));
        }
    }

    /// What can be said only when all was read: C1, C5, C16.
    pub(crate) fn finish(&mut self, samples: &[Sample]) {
        for (event, first) in self.log.events.iter().zip(&self.firsts) {
            if first.is_none() {
                let stream = &self.log.streams[event.stream as usize];
                self.violations.add("C1 loss", || format!("{stream}@{} is not in Kafka", event.seq));
            }
        }
        let mut highest = vec![0; self.partitions.len()];
        for sample in samples {
            for (number, high) in sample.highs.iter().enumerate().filter_map(|(n, high)| Some((n, (*high)?)))
            {
                if high < highest[number] {
                    let before = highest[number];
                    self.violations.add("C16 offsets", || {
                        format!("partition {number} had {before} records and then {high}")
                    });
                }
                highest[number] = high;
                self.confirmed_and_had(sample.confirmed, number, high);
            }
        }
    }

    /// C5: the last event of the partition that was confirmed stands below the high watermark.
    fn confirmed_and_had(&mut self, confirmed: u64, partition: usize, high: i64) {
        let firsts = &self.partitions[partition].firsts;
        let end = |number: u32| self.log.events[number as usize].end_lsn;
        let confirmed_here = firsts.partition_point(|(number, _)| end(*number) <= confirmed);
        let last = confirmed_here.checked_sub(1).map(|last| firsts[last]);
        if let Some((number, offset)) = last.filter(|(_, offset)| *offset >= high) {
            let lsn = pgoutput::Lsn::new(end(number));
            self.violations.add("C5 confirmed too early", || {
                format!(
                    "{lsn} was confirmed, partition {partition} had {high} records, it stands at {offset}"
                )
            });
        }
    }

    /// How many events sessions had to go over again, which the one before had sent already: by the slot's account they
    /// were not with Kafka, by Kafka's they were.
    pub(crate) fn resent(&self, samples: &[Sample]) -> u64 {
        let begun = samples.windows(2).filter(|pair| pair[0].epoch < pair[1].epoch);
        let resent = begun.map(|pair| {
            let (confirmed, epoch) = (pair[0].confirmed, pair[1].epoch);
            let from = self.log.events.partition_point(|event| event.end_lsn <= confirmed);
            let sent = self.firsts[from..].iter().take_while(|first| first.is_some_and(|sent| sent < epoch));
            sent.count() as u64
        });
        resent.sum()
    }
}

fn is_the_same(record: &Record<'_>, event: &Event, log: &Log) -> bool {
    (record.hash, record.seq, record.commit_lsn, record.ordinal)
        == (event.hash, event.seq, event.commit_lsn, event.ordinal)
        && log.number_of(record.stream) == Some(event.stream)
}

fn shown(record: &Record<'_>) -> String {
    let Record { partition, offset, stream, seq, epoch, .. } = record;
    format!("{stream}@{seq} (partition {partition}, offset {offset}, epoch {epoch})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two streams in one partition, in this commit order; each transaction has one event.
    const EVENTS: [(&str, u32); 4] = [("a-1", 1), ("a-2", 1), ("a-1", 2), ("a-2", 2)];

    fn log() -> Log {
        let mut log = Log::default();
        for (number, (stream, seq)) in (0_u32..).zip(EVENTS) {
            let (id, hash) = (u128::from(number), u64::from(number));
            let commit_lsn = 100 * (hash + 1);
            let (stream, end_lsn) = (log.stream(stream), commit_lsn + 50);
            log.events.push(Event { id, stream, seq, hash, commit_lsn, ordinal: 0, end_lsn });
        }
        log
    }

    fn record(event: usize, offset: i64, epoch: i64) -> Record<'static> {
        let ((stream, seq), number) = (EVENTS[event], event as u64);
        Record {
            partition: 0,
            offset,
            time_ms: 1000,
            stream,
            seq,
            id: number.into(),
            hash: number,
            commit_lsn: 100 * (number + 1),
            ordinal: 0,
            epoch,
        }
    }

    fn table() -> (Vec<TableRow>, Written) {
        let row = |(number, (stream, seq)): (u64, (&str, u32))| TableRow {
            id: number.into(),
            stream: stream.to_owned(),
            seq: seq.into(),
            hash: number,
        };
        let written = Written { committed: vec![0, 1, 2, 3], aborted: vec![9], unknown: 0 };
        ((0..).zip(EVENTS).map(row).collect(), written)
    }

    fn fault() -> Inflicted {
        Inflicted {
            fault: crate::nemesis::Fault::KillRelay,
            target: String::new(),
            start_ms: 900,
            end_ms: 950,
            in_flight: 1,
            hit_leader: true,
            takeover: None,
            leaders_moved: false,
        }
    }

    fn judged(faults: &[Inflicted], records: &[Record<'_>], samples: &[(u64, i64)]) -> Vec<&'static str> {
        let log = log();
        let mut checker = Checker::new(&log, faults, 1);
        let (rows, written) = table();
        checker.table(&rows, &written);
        records.iter().for_each(|record| checker.record(record));
        let sample = |(confirmed, high): &(u64, i64)| Sample {
            confirmed: *confirmed,
            epoch: 1,
            is_active: true,
            highs: vec![Some(*high)],
        };
        checker.finish(&samples.iter().map(sample).collect::<Vec<_>>());
        checker.violations.checks()
    }

    fn all_in_order() -> Vec<Record<'static>> {
        (0..4).zip(0..).map(|(event, offset)| record(event, offset, 1)).collect()
    }

    #[test]
    fn what_is_right_passes_and_a_duplicate_with_its_fault_does_too() {
        assert!(judged(&[], &all_in_order(), &[(0, 0), (150, 1), (450, 4)]).is_empty());
        let repeated = [record(0, 0, 1), record(1, 1, 1), record(1, 2, 2), record(2, 3, 2), record(3, 4, 2)];
        assert!(judged(&[fault()], &repeated, &[]).is_empty());
    }

    #[test]
    fn a_duplicate_without_a_fault_or_by_the_same_session_is_seen() {
        let repeated = [record(0, 0, 1), record(1, 1, 1), record(1, 2, 2), record(2, 3, 2), record(3, 4, 2)];
        assert_eq!(judged(&[], &repeated, &[]), ["C3 duplicate"]);
        let same = [record(0, 0, 1), record(1, 1, 1), record(1, 2, 1), record(2, 3, 1), record(3, 4, 1)];
        assert_eq!(judged(&[fault()], &same, &[]), ["C3 duplicate", "C3 order"]);
    }

    #[test]
    fn a_loss_a_phantom_and_an_altered_record_are_seen() {
        let lost = [record(0, 0, 1), record(1, 1, 1), record(3, 2, 1)];
        assert_eq!(judged(&[], &lost, &[]), ["C1 loss"]);
        let mut records = all_in_order();
        records.push(Record { id: 77, ..record(3, 4, 1) });
        assert_eq!(judged(&[], &records, &[]), ["C2 phantom"]);
        records.pop();
        records[3].hash = 99;
        assert_eq!(judged(&[], &records, &[]), ["C2 phantom"]);
    }

    #[test]
    fn another_order_than_that_of_the_commits_is_seen() {
        // Of two streams: each of them is in order.
        let swapped = [record(0, 0, 1), record(2, 1, 1), record(1, 2, 2), record(3, 3, 2)];
        assert_eq!(judged(&[fault()], &swapped, &[]), ["C4 commit order"]);
    }

    #[test]
    fn a_confirm_before_its_record_is_seen() {
        assert_eq!(judged(&[], &all_in_order(), &[(250, 1)]), ["C5 confirmed too early"]);
        assert!(judged(&[], &all_in_order(), &[(249, 1)]).is_empty());
    }

    #[test]
    fn a_hole_in_the_offsets_and_a_watermark_that_falls_are_seen() {
        let mut records = all_in_order();
        records[3].offset = 4;
        assert_eq!(judged(&[], &records, &[]), ["C16 offsets"]);
        assert_eq!(judged(&[], &all_in_order(), &[(0, 3), (0, 2)]), ["C16 offsets"]);
    }

    #[test]
    fn a_commit_that_is_gone_and_a_rollback_that_is_not_are_seen() {
        let log = log();
        let (rows, written) = table();
        for wrong in [
            Written { committed: vec![8], ..Written::default() },
            Written { aborted: vec![2], ..Written::default() },
        ] {
            let mut checker = Checker::new(&log, &[], 1);
            checker.table(&rows, &wrong);
            assert_eq!(checker.violations.of("C6 durable"), 1);
        }
        let mut checker = Checker::new(&log, &[], 1);
        checker.table(&rows[1..], &written);
        assert_eq!(checker.violations.of("C6 durable"), 1);
    }
}
