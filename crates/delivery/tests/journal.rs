//! A handler that writes down each event it gets, fails when told to, and waits when told to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use tokio::sync::watch;

/// Cheap to clone; the clones share what they are told.
#[derive(Clone)]
pub(crate) struct Journal {
    pub(crate) name: &'static str,
    pub(crate) categories: &'static [&'static str],
    pub(crate) concurrency: usize,
    fails: Arc<Mutex<HashSet<String>>>,
    closed: Arc<watch::Sender<bool>>,
}

impl Journal {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            categories: &["note"],
            concurrency: 4,
            fails: Arc::default(),
            closed: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Fails at `stream@seq` until it is mended.
    pub(crate) fn fail(&self, event: &str) {
        self.fails.lock().unwrap().insert(event.to_owned());
    }

    pub(crate) fn mend(&self, event: &str) {
        assert!(self.fails.lock().unwrap().remove(event));
    }

    /// Handles nothing until it is opened again.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) fn open(&self) {
        self.closed.send_replace(false);
    }
}

#[async_trait]
impl Handler for Journal {
    fn name(&self) -> &'static str {
        self.name
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: self.categories }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        self.closed.subscribe().wait_for(|closed| !closed).await.unwrap();
        // Before the failure, which has to take it back.
        sqlx::query("insert into effect (handler, stream, seq) values ($1, $2, $3)")
            .bind(self.name)
            .bind(event.stream.as_str())
            .bind(event.seq.get())
            .execute(unit.connection())
            .await?;
        let event = format!("{}@{}", event.stream, event.seq);
        if self.fails.lock().unwrap().contains(&event) {
            return Err(HandleError::Failed(format!("told to fail at {event}")));
        }
        Ok(())
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}
