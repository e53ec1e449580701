//! The keys that administrators have issued, as requests show them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use access::{IssuedKey, Principal, Role, digest_of, key_id_of};
use event::{Aggregate, StreamName};
use event_store::{Error, Store};
use jiff::Timestamp;
use sqlx::PgConnection;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// How long a key is taken for what it was. One that is revoked counts so much longer.
const REMEMBERED: Duration = Duration::from_secs(1);
const REMEMBERED_MAX: usize = 10_000;
/// Looks at the same time for keys that have not been seen here: whoever makes keys up is in the way of nobody who has one.
static LOOKS: Semaphore = Semaphore::const_new(8);

#[derive(Default)]
pub(crate) struct IssuedKeys {
    /// By digest: whose it was, and when that was looked up.
    found: Mutex<HashMap<String, (Arc<Principal>, Instant)>>,
}

/// What is known of a secret.
pub(crate) enum Shown {
    Known(Arc<Principal>),
    Unknown,
    /// Too many are looked up just now.
    Busy,
}

impl IssuedKeys {
    pub(crate) async fn find(&self, secret: &str, store: &Store) -> Result<Shown, Error> {
        let digest = digest_of(secret);
        let known = self.found().get(&digest).cloned();
        if let Some((principal, at)) = &known
            && at.elapsed() < REMEMBERED
        {
            return Ok(Shown::Known(Arc::clone(principal)));
        }
        let place = LOOKS.try_acquire();
        if place.is_err() && known.is_none() {
            return Ok(Shown::Busy);
        }
        let found = look_up(&digest, store).await?;
        let mut remembered = self.found();
        let Some(principal) = found else {
            remembered.remove(&digest);
            return Ok(Shown::Unknown);
        };
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
        }
        remembered.insert(digest, (Arc::clone(&principal), Instant::now()));
        Ok(Shown::Known(principal))
    }

    fn found(&self) -> MutexGuard<'_, HashMap<String, (Arc<Principal>, Instant)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look_up(digest: &str, store: &Store) -> Result<Option<Arc<Principal>>, Error> {
    let Some(id) = key_id_of(digest) else { return Ok(None) };
    let (key, _) = store.load::<IssuedKey>(id).await?;
    let counts = |key: &IssuedKey| key.issued.digest == digest && key.counts_at(Timestamp::now());
    Ok(key.filter(counts).and_then(|key| key.issued.principal().ok()).map(Arc::new))
}

/// Whether a key of this name was issued to somebody with other roles: the events would not say which of them has asked. By the index of
/// migrations/core/1011_key.sql, until the transaction ends.
pub(crate) async fn is_name_taken(
    connection: &mut PgConnection,
    name: &str,
    roles: &[Role],
) -> Result<bool, sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('key ' || $1, 0))")
        .bind(name)
        .execute(&mut *connection)
        .await?;
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    sqlx::query_scalar(
        "select exists (select from event where type = 'KeyIssued' and stream like 'key-%' and data->>'name' = $1
             and not data ? 'customer_id' and data->'roles' <> to_jsonb($2::text[]))",
    )
    .bind(name)
    .bind(roles)
    // Planned each time: a plan of the table's first minutes would scan it for ever.
    .persistent(false)
    .fetch_one(connection)
    .await
}

/// In the order of their ids.
pub(crate) async fn page(store: &Store, after: Option<Uuid>, limit: u32) -> Result<Vec<Uuid>, Error> {
    let after = after.map_or_else(|| "key-".to_owned(), |id| IssuedKey::stream(id).to_string());
    let found: Vec<String> = sqlx::query_scalar(
        "select stream from event where stream > $1 and stream < 'key.' and seq = 1 order by stream limit $2",
    )
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(store.pool())
    .await?;
    Ok(found.iter().filter_map(|stream| stream.parse::<StreamName>().ok()?.uuid()).collect())
}
