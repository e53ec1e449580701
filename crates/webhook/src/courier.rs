//! Tells endpoints what is queued for them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use event::{Actor, Causation, CausationKind, Context, RecordedEvent, Seq, StreamName};
use event_store::{Error, ExecuteError, Store};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, StatusCode};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fan_out::happened_at;
use crate::signature::Message;
use crate::target::Resolver;
use crate::{Endpoint, EndpointCommand, Reach, SigningKey, check};

const POLL: Duration = Duration::from_millis(200);
/// Of one endpoint, at once: a slow one has no more of us than that, and nobody waits for it.
const STREAMS_EACH: i64 = 8;
/// Of one stream, before others have their turn.
const EVENTS_EACH: u32 = 16;
const TURNS_MAX: usize = 128;
/// Beyond what a turn takes. A process that dies in between holds what it has claimed for so long.
const CLAIM_ROOM: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
const TOLD: &str = "lunaria_webhook_events_total";
/// Of an endpoint's answer, in the queue.
const ERROR_CHARS_MAX: usize = 300;

/// What an endpoint may do.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long an answer may take.
    pub timeout: Duration,
    /// After the first failure; it doubles with each further one, up to an hour.
    pub retry_pause: Duration,
    /// An endpoint that takes nothing of a stream for so long is paused.
    pub give_up_after: SignedDuration,
    pub reach: Reach,
}

/// One process's; several share the work.
pub struct Courier {
    store: Store,
    key: SigningKey,
    policy: Policy,
    http: Client,
}

/// A stream of which an endpoint has something to hear, claimed.
#[derive(sqlx::FromRow)]
struct Turn {
    endpoint_id: Uuid,
    stream: String,
    next_seq: i64,
    last_seq: i64,
    attempts: i32,
    /// When the claim ends: it is lost as soon as the row says otherwise.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    due_at: Timestamp,
    url: String,
    generation: i64,
    #[sqlx(try_from = "Option<jiff_sqlx::Timestamp>")]
    previous_until: crate::endpoint_view::Until,
}

/// The body of a request.
#[derive(Serialize)]
struct Payload<'a> {
    /// The contract and the event's type, such as `transfer.v1.StatusChanged`.
    r#type: String,
    timestamp: Timestamp,
    stream: &'a StreamName,
    seq: i64,
    data: &'a serde_json::value::RawValue,
}

enum Told {
    Yes,
    Later(String),
    /// It wants to hear nothing any more.
    Never(String),
}

impl Told {
    fn count(&self) {
        let outcome = if matches!(self, Self::Yes) { "taken" } else { "failed" };
        metrics::counter!(TOLD, "outcome" => outcome).increment(1);
    }
}

impl Courier {
    pub fn new(store: Store, key: SigningKey, policy: Policy) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .timeout(policy.timeout)
            .redirect(Redirects::none())
            // It would resolve names in our place.
            .no_proxy()
            .dns_resolver(Resolver(policy.reach))
            .user_agent("lunaria-webhooks")
            .build()?;
        Ok(Self { store, key, policy, http })
    }

    /// Until shutdown, and then until what is under way has been answered. As long as the database cannot be asked, nothing is told.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut turns = FuturesUnordered::new();
        // Endpoints, and how many turns of theirs are under way.
        let mut busy: HashMap<Uuid, i64> = HashMap::new();
        while !shutdown.is_cancelled() {
            for turn in self.claimed(&busy, TURNS_MAX.saturating_sub(turns.len())).await {
                *busy.entry(turn.endpoint_id).or_default() += 1;
                turns.push(self.give(turn));
            }
            tokio::select! {
                Some(endpoint) = turns.next() => {
                    if let Some(left) = busy.get_mut(&endpoint) {
                        *left -= 1;
                    }
                    busy.retain(|_, left| *left > 0);
                }
                () = tokio::time::sleep(POLL) => {}
                () = shutdown.cancelled() => {}
            }
        }
        let answered = async { while turns.next().await.is_some() {} };
        // What takes longer is told once more by whoever claims it next.
        let _ = tokio::time::timeout(self.policy.timeout, answered).await;
    }

    async fn claimed(&self, busy: &HashMap<Uuid, i64>, places: usize) -> Vec<Turn> {
        if places == 0 {
            return Vec::new();
        }
        self.claim(busy, places).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "webhooks wait for the database");
            Vec::new()
        })
    }

    /// Returns whose turn it was.
    async fn give(&self, turn: Turn) -> Uuid {
        if let Err(error) = self.take(&turn).await {
            tracing::warn!(%error, endpoint = %turn.endpoint_id, stream = turn.stream, "not told, it is tried again");
        }
        turn.endpoint_id
    }

    /// Of each endpoint what has waited longest, as far as it has places left.
    async fn claim(&self, busy: &HashMap<Uuid, i64>, places: usize) -> Result<Vec<Turn>, Error> {
        let (endpoints, counts): (Vec<Uuid>, Vec<i64>) = busy.iter().map(|(id, count)| (*id, *count)).unzip();
        Ok(sqlx::query_as(
            "with due as (
                 select endpoint.id, url, generation, previous_until, stream
                 from webhook_endpoint as endpoint
                 left join unnest($1::uuid[], $2::bigint[]) as busy (id, turns) on busy.id = endpoint.id
                 cross join lateral (
                     select stream from webhook_queue
                     where endpoint_id = endpoint.id and due_at <= now()
                     order by due_at limit greatest($3 - coalesce(busy.turns, 0), 0) for update skip locked
                 ) as waiting
                 where endpoint.status = 'active' limit $4
             )
             update webhook_queue as queue set due_at = clock_timestamp() + $5 * interval '1 millisecond'
             from due where queue.endpoint_id = due.id and queue.stream = due.stream
             returning queue.endpoint_id, queue.stream, next_seq, last_seq, attempts, due_at, url, generation, previous_until",
        )
        .bind(endpoints)
        .bind(counts)
        .bind(STREAMS_EACH)
        .bind(i64::try_from(places).unwrap_or(i64::MAX))
        .bind(millis(2 * self.policy.timeout + CLAIM_ROOM))
        .persistent(false)
        .fetch_all(self.store.pool())
        .await?)
    }

    async fn take(&self, turn: &Turn) -> Result<(), Error> {
        let Ok(stream) = turn.stream.parse::<StreamName>() else { return Ok(()) };
        let events = self.store.read(&stream, Seq::new(turn.next_seq - 1), EVENTS_EACH).await?;
        let (mut next, until) = (turn.next_seq, Instant::now() + self.policy.timeout);
        for event in events.iter().filter(|event| event.seq.get() <= turn.last_seq) {
            let told = self.tell(turn, event).await;
            told.count();
            match told {
                Told::Yes => {
                    next = event.seq.get() + 1;
                    if Instant::now() > until {
                        break;
                    }
                }
                Told::Later(error) => return self.put_off(turn, next, &error).await,
                Told::Never(reason) => {
                    self.put_off(turn, next, &reason).await?;
                    return self.pause(turn.endpoint_id, reason).await;
                }
            }
        }
        self.go_on(turn, next).await
    }

    async fn tell(&self, turn: &Turn, event: &RecordedEvent) -> Told {
        let Ok(url) = check(&turn.url, self.policy.reach) else {
            return Told::Never("its address may no longer be called".to_owned());
        };
        let payload = Payload {
            r#type: format!("{}.{}", event.stream.category(), event.event_type),
            timestamp: happened_at(event),
            stream: &event.stream,
            seq: event.seq.get(),
            data: &event.data,
        };
        let Ok(body) = serde_json::to_string(&payload) else {
            return Told::Later("the event cannot be written".to_owned());
        };
        let (id, sent_at) = (event.id.to_string(), Timestamp::now());
        let message = Message { id: &id, sent_at, body: &body };
        let signature = self.key.sign(turn.endpoint_id, &turn.generations(sent_at), &message);
        let request = self.http.post(url).header(CONTENT_TYPE, "application/json").header("webhook-id", &id);
        let request = request.header("webhook-timestamp", sent_at.as_second());
        match request.header("webhook-signature", signature).body(body).send().await {
            Ok(answer) if answer.status().is_success() => Told::Yes,
            Ok(answer) if answer.status() == StatusCode::GONE => {
                Told::Never("the endpoint has answered 410 Gone".to_owned())
            }
            Ok(answer) => Told::Later(format!("the endpoint has answered {}", answer.status())),
            Err(error) => Told::Later(reason(&error)),
        }
    }

    /// Moves on, unless the claim was lost meanwhile: to a replay, or to another process, when this one was away for long.
    async fn go_on(&self, turn: &Turn, next: i64) -> Result<(), Error> {
        let mut transaction = self.store.pool().begin().await?;
        let moved = sqlx::query(
            "update webhook_queue
             set next_seq = $4, due_at = now(), attempts = 0, failing_since = null, last_error = null
             where endpoint_id = $1 and stream = $2 and due_at = $3",
        )
        .bind(turn.endpoint_id)
        .bind(&turn.stream)
        .bind(jiff_sqlx::Timestamp::from(turn.due_at))
        .bind(next)
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() == 1 {
            sqlx::query(
                "delete from webhook_queue where endpoint_id = $1 and stream = $2 and next_seq > last_seq",
            )
            .bind(turn.endpoint_id)
            .bind(&turn.stream)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn put_off(&self, turn: &Turn, next: i64, error: &str) -> Result<(), Error> {
        // What moves on is not what has failed before.
        let attempts = if next > turn.next_seq { 0 } else { turn.attempts };
        let pause = self.pause_after(attempts);
        // Not all at the same time.
        let pause = rand::random_range(pause - pause / 5..=pause + pause / 5);
        let shown: String = error.chars().take(ERROR_CHARS_MAX).collect();
        let since: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
            "update webhook_queue
             set next_seq = $4, due_at = now() + $5 * interval '1 millisecond', attempts = $6 + 1,
                 failing_since = case when $6 = 0 then now() else coalesce(failing_since, now()) end, last_error = $7
             where endpoint_id = $1 and stream = $2 and due_at = $3
             returning failing_since",
        )
        .bind(turn.endpoint_id)
        .bind(&turn.stream)
        .bind(jiff_sqlx::Timestamp::from(turn.due_at))
        .bind(next)
        .bind(millis(pause))
        .bind(attempts)
        .bind(&shown)
        .fetch_optional(self.store.pool())
        .await?;
        let Some(since) = since.map(jiff_sqlx::Timestamp::to_jiff) else { return Ok(()) };
        if Timestamp::now().duration_since(since) > self.policy.give_up_after {
            self.pause(turn.endpoint_id, format!("{} was not taken since {since}: {shown}", turn.stream))
                .await?;
        }
        Ok(())
    }

    fn pause_after(&self, attempts: i32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.unsigned_abs().min(31));
        PAUSE_MAX.min(self.policy.retry_pause.saturating_mul(doubled))
    }

    async fn pause(&self, endpoint: Uuid, reason: String) -> Result<(), Error> {
        tracing::warn!(%endpoint, reason, "a webhook endpoint is paused");
        let cause = Causation { kind: CausationKind::Request, id: endpoint };
        let actor = Actor::service(self.store.service(), "webhook.courier");
        let context = Context::because_of(cause, endpoint, actor, Timestamp::now());
        match self.store.execute::<Endpoint>(endpoint, EndpointCommand::Pause { reason }, context).await {
            Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }
}

impl Turn {
    /// Of the secrets that sign: the present one first.
    fn generations(&self, now: Timestamp) -> Vec<u32> {
        let present = u32::try_from(self.generation).unwrap_or(1);
        let previous = self.previous_until.0.filter(|until| now < *until).map(|_| present.saturating_sub(1));
        std::iter::once(present).chain(previous).collect()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Down to what happened first.
fn reason(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        reason = format!("{reason}: {error}");
        source = error.source();
    }
    reason
}
