//! External streams follow from internal ones, and whether they do can be looked up.

use delivery::{Derivation, Derived, Deriving, Verified, Verify};
use event::{Aggregate, Context, Deadline, RecordedEvent, Seq, events};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stage::Stage;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    step: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rested {}

events! {
    pub enum CounterEvent { Counted = 1, Rested = 1 }
}

/// Remembers its first step.
#[derive(Clone)]
struct Counter {
    first: u64,
}

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Event = CounterEvent;
    type Command = Vec<CounterEvent>;
    type Refusal = ();

    fn evolve(state: Option<Self>, event: &CounterEvent) -> Option<Self> {
        match event {
            CounterEvent::Counted(counted) => state.or(Some(Self { first: counted.step })),
            CounterEvent::Rested(_) => state,
        }
    }

    fn decide(_: Option<&Self>, command: Vec<CounterEvent>, _: &Context) -> Result<Vec<CounterEvent>, ()> {
        Ok(command)
    }
}

/// The step alone.
struct Old;

impl Derivation for Old {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = "count.v1";
    type From = Counter;
    type To = CounterEvent;

    fn derive(_: Uuid, event: CounterEvent) -> Result<Derived<Counter, CounterEvent>, String> {
        Ok(if let CounterEvent::Rested(_) = event { Derived::Nothing } else { Derived::Event(event) })
    }
}

/// Counts from the first step on.
struct New;

impl Derivation for New {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = "count.v2";
    type From = Counter;
    type To = CounterEvent;

    fn derive(_: Uuid, event: CounterEvent) -> Result<Derived<Counter, CounterEvent>, String> {
        let CounterEvent::Counted(counted) = event else { return Ok(Derived::Nothing) };
        Ok(Derived::With(Box::new(move |counter| Ok(Counted { step: counted.step - counter.first }.into()))))
    }
}

pub(crate) fn request() -> Context {
    let cause = Deadline { id: Uuid::now_v7(), due_at: Timestamp::now() };
    Context::at_deadline(&cause, cause.id, "core", Timestamp::now())
}

async fn verify(stage: &Stage, derivation: impl Verify) -> Verified {
    derivation.verify(&stage.store).await.unwrap()
}

/// Two versions of a contract side by side, and one of them tampered with.
#[tokio::test]
async fn what_was_derived_is_compared_with_what_follows() {
    let stage = Stage::create().await;
    let counters: Vec<Uuid> = (0..2).map(|_| Uuid::now_v7()).collect();
    for counter in &counters {
        let events = vec![Counted { step: 5 }.into(), Rested {}.into(), Counted { step: 7 }.into()];
        stage.store.execute::<Counter>(*counter, events, request()).await.unwrap();
    }
    let old = stage.joined_feed(Deriving::<Old>::new()).await;
    let new = stage.joined_feed(Deriving::<New>::new()).await;
    for verified in
        [verify(&stage, Deriving::<Old>::new()).await, verify(&stage, Deriving::<New>::new()).await]
    {
        let Verified { streams, events, waiting, differences, .. } = verified;
        assert_eq!((streams, events, waiting, differences), (2, 4, 0, vec![]));
    }
    let external = format!("count.v2-{}", counters[0]).parse().unwrap();
    let derived = stage.store.read(&external, Seq::ZERO, 9);
    let steps: Vec<u64> = derived.await.unwrap().iter().map(step).collect();
    assert_eq!(steps, [0, 2]);

    // One more, that the handlers have not seen.
    stage.store.execute::<Counter>(counters[0], vec![Counted { step: 9 }.into()], request()).await.unwrap();
    assert_eq!(verify(&stage, Deriving::<Old>::new()).await.waiting, 1);

    let mut superuser = stage.database.superuser_connection().await;
    let tamper = format!(
        "set session_replication_role = replica;
         update event set data = '{{\"step\": 8}}' where stream = 'count.v1-{0}' and seq = 2;
         delete from event where stream = 'count.v1-{1}' and seq = 2;
         update event set stream = 'count.v2-{2}' where stream = 'count.v2-{1}'",
        counters[0],
        counters[1],
        Uuid::nil(),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(tamper)).execute(&mut superuser).await.unwrap();
    let told = |verified: Verified| -> Vec<String> {
        verified.differences.iter().map(|difference| difference.what.clone()).collect()
    };
    let source = |counter: Uuid| format!("counter-{counter}@3");
    assert_eq!(
        told(verify(&stage, Deriving::<Old>::new()).await),
        [
            format!("its data is not what {} derives", source(counters[0])),
            format!("missing; {} derives it", source(counters[1]))
        ]
    );
    let strays = told(verify(&stage, Deriving::<New>::new()).await);
    assert_eq!(strays.len(), 3, "{strays:?}");
    assert_eq!(strays[2], format!("counter-{} does not exist", Uuid::nil()));

    old.stop().await;
    new.stop().await;
    stage.drop().await;
}

fn step(event: &RecordedEvent) -> u64 {
    serde_json::from_str::<Counted>(event.data.get()).unwrap().step
}
