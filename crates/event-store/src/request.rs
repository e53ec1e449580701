//! Idempotent requests: one key, one effect, one answer.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Error, UnitOfWork};

/// Whose request it is, for what, under which key.
#[derive(Debug, Clone, PartialEq, Eq)]
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

type Row = (Uuid, Json<Value>, i16, String, jiff_sqlx::Timestamp);

impl UnitOfWork {
    /// The request that was answered under this key before, if any.
    pub async fn find_request(&mut self, key: &RequestKey) -> Result<Option<Request>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "select id, content, status, answer, accepted_at from request
             where principal = $1 and operation = $2 and key = $3",
        )
        .bind(&key.principal)
        .bind(key.operation)
        .bind(&key.key)
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|(id, content, status, answer, accepted_at)| Request {
            id,
            content: content.0,
            status: status.unsigned_abs(),
            answer,
            accepted_at: accepted_at.to_jiff(),
        }))
    }

    /// Records the request and its answer beside the events that follow from it.
    ///
    /// Waits for a rival with the same key that has not committed yet. False when the rival was first: then this
    /// unit must be dropped and the rival's answer given.
    pub async fn record_request(&mut self, key: &RequestKey, request: &Request) -> Result<bool, Error> {
        let status = i16::try_from(request.status).unwrap_or_default();
        let inserted = sqlx::query(
            "insert into request (principal, operation, key, id, content, status, answer, accepted_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (principal, operation, key) do nothing",
        )
        .bind(&key.principal)
        .bind(key.operation)
        .bind(&key.key)
        .bind(request.id)
        .bind(Json(&request.content))
        .bind(status)
        .bind(&request.answer)
        .bind(jiff_sqlx::Timestamp::from(request.accepted_at))
        .execute(self.connection())
        .await?;
        Ok(inserted.rows_affected() == 1)
    }
}
