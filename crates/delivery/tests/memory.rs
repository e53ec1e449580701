//! A handler decides on what its process remembers, and never commits what does not follow from what stands in the table.

use std::sync::Arc;

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::{Aggregate, Context, RecordedEvent, Seq, events};
use event_store::{Store, UnitOfWork};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::derivation::request;
use crate::stage::Stage;

const TALLY: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tallied {
    sum: i64,
}

events! {
    pub enum TallyEvent { Tallied = 1 }
}

#[derive(Clone)]
struct Tally {
    sum: i64,
}

impl Aggregate for Tally {
    const CATEGORY: &'static str = "tally";
    type Event = TallyEvent;
    type Command = ();
    type Refusal = ();

    fn evolve(_: Option<Self>, TallyEvent::Tallied(tallied): &TallyEvent) -> Option<Self> {
        Some(Self { sum: tallied.sum })
    }

    fn decide(state: Option<&Self>, (): (), _: &Context) -> Result<Vec<TallyEvent>, ()> {
        Ok(vec![Tallied { sum: state.map_or(0, |tally| tally.sum) + 1 }.into()])
    }
}

/// Tallies each note.
struct Tallying;

#[async_trait]
impl Handler for Tallying {
    fn name(&self) -> &'static str {
        "tallying"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["note"] }
    }

    async fn handle(&self, _: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        unit.execute::<Tally>(TALLY, ()).await?;
        Ok(())
    }
}

async fn sums(store: &Store) -> Vec<i64> {
    let events = store.read(&Tally::stream(TALLY), Seq::ZERO, 100).await.unwrap();
    let sum = |event: &Arc<RecordedEvent>| serde_json::from_str::<Tallied>(event.data.get()).unwrap().sum;
    events.into_iter().map(Arc::new).map(|event| sum(&event)).collect()
}

#[tokio::test]
async fn what_is_remembered_is_never_decided_on_when_the_table_has_something_else() {
    let stage = Stage::create().await;
    let engine = stage.engine(Tallying, &CancellationToken::new());
    for _ in 0..3 {
        engine.deliver(&stage.append("note-1", 1).await).await.unwrap();
    }
    assert_eq!(sums(&stage.store).await, [1, 2, 3]);

    // Another process goes on with the same stream.
    let other = stage.database.store().await;
    other.execute::<Tally>(TALLY, (), request()).await.unwrap();
    engine.deliver(&stage.append("note-1", 1).await).await.unwrap();
    assert_eq!(sums(&stage.store).await, [1, 2, 3, 4, 5]);

    // The table goes back to what it was, as a restore makes it, under a server that is the same.
    let mut superuser = stage.database.superuser_connection().await;
    let restore =
        "set session_replication_role = replica; delete from event where stream like 'tally-%' and seq > 2";
    sqlx::raw_sql(restore).execute(&mut superuser).await.unwrap();
    for _ in 0..3 {
        engine.deliver(&stage.append("note-1", 1).await).await.unwrap();
    }
    assert_eq!(sums(&stage.store).await, [1, 2, 3, 4, 5]);
    stage.drop().await;
}
