//! How fast messages of a real server are decoded: `cargo bench -p pgoutput`.

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pgoutput::{Column, Lsn, Message, ServerFrame, decode};

const BEGIN: &[u8] = include_bytes!("../samples/begin.bin");
const RELATION: &[u8] = include_bytes!("../samples/relation.bin");
const INSERT: &[u8] = include_bytes!("../samples/insert.bin");
const COMMIT: &[u8] = include_bytes!("../samples/commit.bin");

/// What one read of a full socket brings, more or less.
const RUN_BYTES: usize = 256 * 1024;

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, sample) in [("begin", BEGIN), ("relation", RELATION), ("insert", INSERT), ("commit", COMMIT)] {
        let body = Bytes::from_static(sample);
        group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: length(sample.len()) });
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| decode(black_box(body.clone())));
        });
    }
    let body = Bytes::from_static(INSERT);
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: length(INSERT.len()) });
    group.bench_function("insert and its columns", |bencher| {
        bencher.iter(|| {
            let message = decode(black_box(body.clone()));
            value_bytes(&message)
        });
    });
    group.finish();
}

/// The relay's case: transactions of one event each, as slices of one read. An element is an event.
fn transactions(criterion: &mut Criterion) {
    let (run, lengths) = run();
    let events = lengths.len() / 3;
    let mut group = criterion.benchmark_group("decode a read");
    group.throughput(Throughput::ElementsAndBytes { elements: length(events), bytes: length(run.len()) });
    group.bench_function("of single-event transactions", |bencher| {
        bencher.iter(|| {
            let mut rest = run.clone();
            let mut bytes = 0;
            for length in &lengths {
                let frame = ServerFrame::decode(rest.split_to(*length));
                if let Ok(ServerFrame::XLogData { body, .. }) = frame {
                    bytes += value_bytes(&decode(body));
                }
            }
            black_box(bytes)
        });
    });
    group.finish();
}

fn run() -> (Bytes, Vec<usize>) {
    let (mut run, mut lengths) = (BytesMut::new(), Vec::new());
    while run.len() < RUN_BYTES {
        for sample in [BEGIN, INSERT, COMMIT] {
            let before = run.len();
            run.put_u8(b'w');
            run.put_u64(Lsn::ZERO.as_u64());
            run.put_u64(Lsn::ZERO.as_u64());
            run.put_i64(0);
            run.put_slice(sample);
            lengths.push(run.len() - before);
        }
    }
    (run.freeze(), lengths)
}

fn value_bytes(message: &Result<Message, pgoutput::Error>) -> usize {
    let Ok(Message::Insert { tuple, .. }) = message else { return 0 };
    let values = tuple.columns().map(|column| match column {
        Column::Binary(value) | Column::Text(value) => value.len(),
        Column::Null | Column::Unchanged => 0,
    });
    values.sum()
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

criterion_group!(benches, messages, transactions);
criterion_main!(benches);
