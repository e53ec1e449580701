//! What a session counts, added up over each batch: a shared counter for every event would cost more than the event.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

pub(crate) struct Meters {
    events: Counter,
    bytes: Counter,
    transactions: Counter,
    batch_events: Histogram,
    in_flight: Gauge,
    batch: Batch,
}

/// Read at once, sent on at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Batch {
    pub(crate) events: u64,
    /// Of `data` and `metadata`.
    pub(crate) bytes: u64,
    pub(crate) transactions: u64,
}

impl Meters {
    pub(crate) fn new(service: &str) -> Self {
        let service = || service.to_owned();
        Self {
            events: counter!("lunaria_relay_events_total", "service" => service()),
            bytes: counter!("lunaria_relay_bytes_total", "service" => service()),
            transactions: counter!("lunaria_relay_transactions_total", "service" => service()),
            batch_events: histogram!("lunaria_relay_batch_events", "service" => service()),
            in_flight: gauge!("lunaria_relay_in_flight_events", "service" => service()),
            batch: Batch::default(),
        }
    }

    pub(crate) fn event(&mut self, bytes: usize) {
        self.batch.events += 1;
        self.batch.bytes += bytes as u64;
    }

    pub(crate) fn transaction(&mut self) {
        self.batch.transactions += 1;
    }

    pub(crate) fn publish(&mut self, in_flight: u64) -> Batch {
        let batch = std::mem::take(&mut self.batch);
        if batch.events > 0 {
            self.batch_events.record(batch.events as f64);
        }
        self.events.increment(batch.events);
        self.bytes.increment(batch.bytes);
        self.transactions.increment(batch.transactions);
        self.in_flight.set(in_flight as f64);
        batch
    }
}

/// From the server's commit to the sink's acknowledgement.
pub(crate) fn commit_to_ack(service: &str) -> Histogram {
    histogram!("lunaria_relay_commit_to_ack_seconds", "service" => service.to_owned())
}
