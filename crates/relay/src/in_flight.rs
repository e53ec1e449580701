//! What the sink has been given and not acknowledged, and so how far the slot may be confirmed.
//!
//! A queue of transactions in commit order, and of keep-alives between them. The slot is confirmed up to the end of the
//! longest prefix whose events are all acknowledged. Never the last received, never the furthest acknowledged (that is how
//! relays lose events).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use metrics::Histogram;
use pgoutput::Lsn;
use tokio::sync::Notify;

use crate::Error;

/// Names the transaction that an event belongs to.
pub type Ticket = u64;

pub struct InFlight {
    queue: Mutex<Queue>,
    confirm: Box<dyn Fn(Lsn) + Send + Sync>,
    commit_to_ack: Histogram,
    failure: Mutex<Option<Error>>,
    failing: Notify,
}

#[derive(Default)]
struct Queue {
    first: Ticket,
    transactions: VecDeque<Transaction>,
    /// Of all transactions together.
    unacknowledged: u64,
}

/// Or a keep-alive: a transaction of which nothing is delivered.
#[derive(Default)]
struct Transaction {
    unacknowledged: usize,
    /// The sink was given something of it.
    is_delivered: bool,
    /// None while its commit has not been read.
    committed: Option<Committed>,
}

#[derive(Clone, Copy)]
struct Committed {
    end_lsn: Lsn,
    /// By the server's clock. Of no meaning where nothing is delivered.
    at: Timestamp,
}

impl InFlight {
    pub(crate) fn confirming(
        confirm: impl Fn(Lsn) + Send + Sync + 'static,
        commit_to_ack: Histogram,
    ) -> Self {
        Self {
            queue: Mutex::default(),
            confirm: Box::new(confirm),
            commit_to_ack,
            failure: Mutex::default(),
            failing: Notify::new(),
        }
    }

    pub fn begin(&self) -> Ticket {
        let mut queue = self.queue();
        queue.transactions.push_back(Transaction::default());
        queue.first + queue.transactions.len() as Ticket - 1
    }

    /// The sink has taken on `count` more deliveries of this transaction, each to be acknowledged.
    pub fn expect(&self, ticket: Ticket, count: usize) {
        let mut queue = self.queue();
        queue.unacknowledged += count as u64;
        if let Some(transaction) = queue.transaction(ticket) {
            transaction.unacknowledged += count;
            transaction.is_delivered = true;
        }
    }

    pub fn commit(&self, ticket: Ticket, end_lsn: Lsn, at: Timestamp) {
        let mut queue = self.queue();
        if let Some(transaction) = queue.transaction(ticket) {
            let beyond = u64::from(event::mutants::active("confirm_beyond_end"));
            let end_lsn = Lsn::new(end_lsn.as_u64() + beyond);
            transaction.committed = Some(Committed { end_lsn, at });
            if event::mutants::active("confirm_before_ack") {
                transaction.unacknowledged = 0;
            }
        }
        self.advance(queue);
    }

    /// One delivery of this transaction is with the sink for good. May be called from any thread.
    pub fn acknowledge(&self, ticket: Ticket) {
        self.acknowledge_all(&[(ticket, 1)]);
    }

    /// The same for many: tickets, each with how many of its deliveries.
    pub fn acknowledge_all(&self, runs: &[(Ticket, u32)]) {
        let mut queue = self.queue();
        for (ticket, count) in runs {
            if let Some(transaction) = queue.transaction(*ticket) {
                transaction.unacknowledged = transaction.unacknowledged.saturating_sub(*count as usize);
            }
            queue.unacknowledged = queue.unacknowledged.saturating_sub((*count).into());
        }
        self.advance(queue);
    }

    /// The server has nothing more before `wal_end`, which is confirmed once all that it has sent is acknowledged.
    pub fn idle(&self, wal_end: Lsn) {
        if event::mutants::active("confirm_keep_alive") {
            return (self.confirm)(wal_end);
        }
        let mut queue = self.queue();
        match queue.transactions.back_mut() {
            // Keep-alives that follow one another are one, also with a transaction without events.
            Some(Transaction { is_delivered: false, committed: Some(committed), .. }) => {
                committed.end_lsn = committed.end_lsn.max(wal_end);
            }
            _ => {
                let committed = Some(Committed { end_lsn: wal_end, at: Timestamp::UNIX_EPOCH });
                queue.transactions.push_back(Transaction { committed, ..Transaction::default() });
            }
        }
        self.advance(queue);
    }

    /// A delivery has failed for good: the session has to end, and the next one begins at what is confirmed. The first
    /// failure is the one that is told.
    pub fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failing.notify_one();
    }

    /// Waits until a delivery fails. For one waiter, once.
    pub async fn failed(&self) -> Error {
        loop {
            let failing = self.failing.notified();
            if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return error;
            }
            failing.await;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.queue().transactions.is_empty()
    }

    /// Events that the sink has been given and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.queue().unacknowledged
    }

    fn advance(&self, mut queue: MutexGuard<'_, Queue>) {
        let mut reached = None;
        let mut now = None;
        while let Some(Transaction { unacknowledged: 0, is_delivered, committed: Some(committed) }) =
            queue.transactions.front()
        {
            reached = reached.max(Some(committed.end_lsn));
            if *is_delivered {
                let took = now.get_or_insert_with(Timestamp::now).duration_since(committed.at);
                self.commit_to_ack.record(took.as_secs_f64().max(0.0));
            }
            queue.transactions.pop_front();
            queue.first += 1;
        }
        drop(queue);
        if let Some(lsn) = reached {
            (self.confirm)(lsn);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn transaction(&mut self, ticket: Ticket) -> Option<&mut Transaction> {
        self.transactions.get_mut(usize::try_from(ticket.checked_sub(self.first)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn observed() -> (InFlight, Arc<AtomicU64>) {
        let confirmed = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&confirmed);
        let confirm = move |lsn: Lsn| {
            seen.fetch_max(lsn.as_u64(), Ordering::SeqCst);
        };
        (InFlight::confirming(confirm, Histogram::noop()), confirmed)
    }

    #[test]
    fn a_later_transaction_that_is_faster_confirms_nothing() {
        let (in_flight, confirmed) = observed();
        let (slow, fast) = (in_flight.begin(), in_flight.begin());
        in_flight.expect(slow, 1);
        in_flight.commit(slow, Lsn::new(10), Timestamp::UNIX_EPOCH);
        in_flight.expect(fast, 1);
        in_flight.commit(fast, Lsn::new(20), Timestamp::UNIX_EPOCH);
        in_flight.acknowledge(fast);
        assert_eq!(confirmed.load(Ordering::SeqCst), 0);
        in_flight.acknowledge(slow);
        assert_eq!(confirmed.load(Ordering::SeqCst), 20);
    }

    #[test]
    fn a_keep_alive_confirms_when_all_before_it_is_acknowledged_and_nothing_behind_it() {
        let (in_flight, confirmed) = observed();
        let ticket = in_flight.begin();
        in_flight.expect(ticket, 1);
        in_flight.commit(ticket, Lsn::new(10), Timestamp::UNIX_EPOCH);
        in_flight.idle(Lsn::new(20));
        in_flight.idle(Lsn::new(30));
        let behind = in_flight.begin();
        in_flight.expect(behind, 1);
        assert_eq!(confirmed.load(Ordering::SeqCst), 0);
        in_flight.acknowledge(ticket);
        assert_eq!(confirmed.load(Ordering::SeqCst), 30);
        in_flight.idle(Lsn::new(50));
        in_flight.commit(behind, Lsn::new(40), Timestamp::UNIX_EPOCH);
        assert_eq!(confirmed.load(Ordering::SeqCst), 30);
        in_flight.acknowledge(behind);
        assert_eq!(confirmed.load(Ordering::SeqCst), 50);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn the_first_failure_is_the_one_that_is_told() {
        let (in_flight, _) = observed();
        in_flight.fail(Error::Sink("broker".to_owned()));
        in_flight.fail(Error::Sink("later".to_owned()));
        assert_eq!(futures::executor::block_on(in_flight.failed()).to_string(), "sink: broker");
    }

    proptest! {
        /// Whatever the order of acknowledgements, the confirmed LSN is the end of the longest acknowledged prefix.
        #[test]
        fn the_confirmed_lsn_is_the_longest_acknowledged_prefix(
            sizes in proptest::collection::vec(0_usize..4, 1..20),
            order in any::<prop::sample::Index>(),
            seed in any::<usize>(),
        ) {
            let (in_flight, confirmed) = observed();
            let mut deliveries = Vec::new();
            let mut left = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                let ticket = in_flight.begin();
                in_flight.expect(ticket, *size);
                in_flight.commit(ticket, Lsn::new(10 * (n as u64 + 1)), Timestamp::UNIX_EPOCH);
                deliveries.extend(std::iter::repeat_n(n, *size));
                left.push(*size);
            }
            // A cheap seeded shuffle.
            let len = deliveries.len();
            for at in 0..len {
                let other = seed.wrapping_mul(at + 7).wrapping_add(order.index(len.max(1))) % len;
                deliveries.swap(at, other);
            }
            for n in deliveries {
                in_flight.acknowledge(n as Ticket);
                left[n] -= 1;
                let prefix = left.iter().take_while(|left| **left == 0).count() as u64;
                prop_assert_eq!(confirmed.load(Ordering::SeqCst), 10 * prefix);
            }
            prop_assert!(in_flight.is_empty());
        }
    }
}
