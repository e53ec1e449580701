//! Tells endpoints what is queued for them.

use std::time::{Duration, Instant};

use event::{Actor, Causation, CausationKind, Context, RecordedEvent, Seq, StreamName};
use event_store::{Error, ExecuteError, Store};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, StatusCode};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::signature::Message;
use crate::target::Resolver;
use crate::{Endpoint, EndpointCommand, Reach, SigningKey, check};

const POLL: Duration = Duration::from_millis(200);
/// Of one endpoint, at once: a slow one has no more of us than that.
const STREAMS_EACH: i64 = 4;
/// Of one stream, before others have their turn.
const EVENTS_EACH: u32 = 16;
const ENDPOINTS_AT_ONCE: usize = 32;
/// Beyond what a turn takes. A process that dies in between holds what it has claimed for so long.
const CLAIM_ROOM: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
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
    url: String,
    generation: i64,
    #[sqlx(try_from = "Option<jiff_sqlx::Timestamp>")]
    previous_until: crate::endpoint_view::Until,
    #[sqlx(try_from = "Option<jiff_sqlx::Timestamp>")]
    failing_since: crate::endpoint_view::Until,
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

impl Courier {
    pub fn new(store: Store, key: SigningKey, policy: Policy) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .timeout(policy.timeout)
            .redirect(Redirects::none())
            .dns_resolver(Resolver(policy.reach))
            .user_agent("lunaria-webhooks")
            .build()?;
        Ok(Self { store, key, policy, http })
    }

    /// Until shutdown. As long as the database cannot be asked, nothing is told.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            let told = self.tell_once().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "webhooks wait for the database");
                0
            });
            let pause = if told > 0 { Duration::ZERO } else { POLL };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How many streams had their turn.
    async fn tell_once(&self) -> Result<usize, Error> {
        let turns = self.claim().await?;
        let count = turns.len();
        futures::stream::iter(turns)
            .for_each_concurrent(ENDPOINTS_AT_ONCE, async |turn| {
                if let Err(error) = self.take(&turn).await {
                    tracing::warn!(%error, endpoint = %turn.endpoint_id, stream = turn.stream, "not told, it is tried again");
                }
            })
            .await;
        Ok(count)
    }

    /// The endpoints in turn, and of each what has waited longest.
    async fn claim(&self) -> Result<Vec<Turn>, Error> {
        Ok(sqlx::query_as(
            "update webhook_queue as queue set due_at = now() + $2 * interval '1 millisecond'
             from webhook_endpoint as endpoint
             cross join lateral (
                 select stream from webhook_queue
                 where endpoint_id = endpoint.id and due_at <= now()
                 order by due_at limit $1 for update skip locked
             ) as due
             where endpoint.status = 'active' and queue.endpoint_id = endpoint.id and queue.stream = due.stream
             returning queue.endpoint_id, queue.stream, next_seq, last_seq, attempts, url, generation, previous_until, failing_since",
        )
        .bind(STREAMS_EACH)
        .bind(millis(2 * self.policy.timeout + CLAIM_ROOM))
        .fetch_all(self.store.pool())
        .await?)
    }

    async fn take(&self, turn: &Turn) -> Result<(), Error> {
        let Ok(stream) = turn.stream.parse::<StreamName>() else { return Ok(()) };
        let events = self.store.read(&stream, Seq::new(turn.next_seq - 1), EVENTS_EACH).await?;
        let (mut next, until) = (turn.next_seq, Instant::now() + self.policy.timeout);
        for event in events.iter().filter(|event| event.seq.get() <= turn.last_seq) {
            match self.tell(turn, event).await {
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
            timestamp: event.recorded_at,
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

    /// Moves on from where the turn began, unless a replay has meanwhile gone back.
    async fn go_on(&self, turn: &Turn, next: i64) -> Result<(), Error> {
        let mut transaction = self.store.pool().begin().await?;
        sqlx::query(
            "update webhook_queue
             set next_seq = case when next_seq = $3 then $4 else next_seq end,
                 due_at = now(), attempts = 0, failing_since = null, last_error = null
             where endpoint_id = $1 and stream = $2",
        )
        .bind(turn.endpoint_id)
        .bind(&turn.stream)
        .bind(turn.next_seq)
        .bind(next)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "delete from webhook_queue where endpoint_id = $1 and stream = $2 and next_seq > last_seq",
        )
        .bind(turn.endpoint_id)
        .bind(&turn.stream)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    async fn put_off(&self, turn: &Turn, next: i64, error: &str) -> Result<(), Error> {
        let pause = self.pause_after(turn.attempts);
        // Not all at the same time.
        let pause = rand::random_range(pause - pause / 5..=pause + pause / 5);
        let shown: String = error.chars().take(ERROR_CHARS_MAX).collect();
        sqlx::query(
            "update webhook_queue
             set next_seq = case when next_seq = $3 then $4 else next_seq end,
                 due_at = now() + $5 * interval '1 millisecond', attempts = attempts + 1,
                 failing_since = coalesce(failing_since, now()), last_error = $6
             where endpoint_id = $1 and stream = $2",
        )
        .bind(turn.endpoint_id)
        .bind(&turn.stream)
        .bind(turn.next_seq)
        .bind(next)
        .bind(millis(pause))
        .bind(&shown)
        .execute(self.store.pool())
        .await?;
        let Some(since) = turn.failing_since.0 else { return Ok(()) };
        if Timestamp::now().duration_since(since) > self.policy.give_up_after {
            self.pause(turn.endpoint_id, format!("nothing was taken since {since}: {shown}")).await?;
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
