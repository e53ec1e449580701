//! Idempotent requests: one key, one effect, one answer.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Error, Server, UnitOfWork};

/// Whose request it is, for what, under which key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    pub principal: String,
    pub operation: &'static str,
    pub key: String,
}

/// A request that was answered: its content as it was asked, and the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub id: Uuid,
    pub content: Value,
    pub status: u16,
    /// The body as it was sent.
    pub answer: String,
    pub accepted_at: Timestamp,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// Nothing: it is this unit's until that ends.
    Ours,
    /// Another unit is deciding just now.
    Theirs,
    Answered(Request),
}

#[derive(sqlx::FromRow)]
struct Row {
    is_ours: bool,
    id: Option<Uuid>,
    content: Option<Json<Value>>,
    status: Option<i16>,
    answer: Option<String>,
    accepted_at: Option<jiff_sqlx::Timestamp>,
}

impl Row {
    fn answered(self) -> Option<Request> {
        Some(Request {
            id: self.id?,
            content: self.content?.0,
            status: self.status?.unsigned_abs(),
            answer: self.answer?,
            accepted_at: self.accepted_at?.to_jiff(),
        })
    }
}

impl UnitOfWork {
    /// The request that was answered under this key before, or the key itself. The rows of a unit that is open are invisible, its lock
    /// is not.
    pub async fn claim_request(&mut self, key: &RequestKey) -> Result<Claim, Error> {
        let row: Row = sqlx::query_as(
            "select is_ours, id, content, status, answer, accepted_at
             from (select pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', $1, $2, $3), 0)) as is_ours) as claim
             left join request on principal = $1 and operation = $2 and key = $3",
        )
        .bind(&key.principal)
        .bind(key.operation)
        .bind(&key.key)
        .fetch_one(self.connection())
        .await?;
        let is_ours = row.is_ours;
        Ok(match row.answered() {
            Some(answered) => Claim::Answered(answered),
            None if is_ours => Claim::Ours,
            None => Claim::Theirs,
        })
    }

    /// Which server this is, and which of these keys have an answer already or are being answered; the others are this unit's.
    pub(crate) async fn server_and_taken(
        &mut self,
        keys: &[&RequestKey],
    ) -> Result<(Server, HashSet<RequestKey>), Error> {
        let (started_at, database, taken): (jiff_sqlx::Timestamp, i64, Vec<i64>) = sqlx::query_as(
            "select pg_postmaster_start_time(),
                 (select oid::bigint from pg_database where datname = current_database()),
                 array(select n from unnest($1::text[], $2::text[], $3::text[])
                           with ordinality as asked (principal, operation, key, n)
                       where (select true from request where request.principal = asked.principal
                           and request.operation = asked.operation and request.key = asked.key)
                          or not pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', principal, operation, key), 0)))",
        )
        .bind(keys.iter().map(|key| key.principal.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.operation).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>())
        .fetch_one(self.connection())
        .await?;
        let server = Server { started_at: started_at.to_jiff(), database };
        let taken = taken.iter().filter_map(|n| keys.get(usize::try_from(n - 1).ok()?));
        Ok((server, taken.map(|key| (*key).clone()).collect()))
    }
}

/// In one statement. A conflict when another one has a key already: its answer stands.
pub(crate) async fn insert_requests(
    connection: &mut PgConnection,
    requests: &[(RequestKey, Request)],
) -> Result<(), Error> {
    if requests.is_empty() {
        return Ok(());
    }
    // In one order everywhere, so that two units never wait for each other's keys.
    let mut requests: Vec<_> = requests.iter().collect();
    requests.sort_by(|(a, _), (b, _)| a.cmp(b));
    let column =
        |of: fn(&RequestKey) -> &str| -> Vec<&str> { requests.iter().map(|(key, _)| of(key)).collect() };
    let ids: Vec<Uuid> = requests.iter().map(|(_, request)| request.id).collect();
    let contents: Vec<Json<&Value>> = requests.iter().map(|(_, request)| Json(&request.content)).collect();
    let statuses: Vec<i16> =
        requests.iter().map(|(_, request)| i16::try_from(request.status).unwrap_or_default()).collect();
    let answers: Vec<&str> = requests.iter().map(|(_, request)| request.answer.as_str()).collect();
    let times: Vec<jiff_sqlx::Timestamp> =
        requests.iter().map(|(_, request)| jiff_sqlx::Timestamp::from(request.accepted_at)).collect();
    let inserted = sqlx::query(
        "insert into request (principal, operation, key, id, content, status, answer, accepted_at)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::jsonb[], $6::smallint[], $7::text[],
             $8::timestamptz[])
         on conflict (principal, operation, key) do nothing",
    )
    .bind(column(|key| &key.principal))
    .bind(column(|key| key.operation))
    .bind(column(|key| &key.key))
    .bind(ids)
    .bind(contents)
    .bind(statuses)
    .bind(answers)
    .bind(times)
    .execute(connection)
    .await?;
    let all = u64::try_from(requests.len()).unwrap_or(u64::MAX);
    if inserted.rows_affected() == all { Ok(()) } else { Err(Error::Conflict) }
}
