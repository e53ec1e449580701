//! Versions: `ETag` on what is read, `If-Match` on what is asked because of it. A version is the seq of the last event.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use event::{Aggregate, Seq};
use event_store::{Error, UnitOfWork};
use futures::future::BoxFuture;
use serde::Serialize;
use uuid::Uuid;

use crate::{Code, Problem};

/// A document with its version.
pub(crate) struct Versioned<T>(pub(crate) Seq, pub(crate) T);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, format!("\"{}\"", self.0))], Json(self.1)).into_response()
    }
}

/// The version that a request is about. None: whatever there is.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Seq>, Problem> {
    let invalid = || {
        let detail = "send the ETag of what you have read as it came, such as `\"7\"`, or `*`";
        Problem::new(Code::IfMatchInvalid, detail)
    };
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| invalid())?.trim();
    if values.next().is_some() {
        return Err(invalid());
    }
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let version = version.parse().ok().filter(|version| *version > 0).ok_or_else(invalid)?;
    Ok(Some(Seq::new(version)))
}

/// The version that something has to have.
pub(crate) struct Precondition {
    id: Uuid,
    wanted: Seq,
    version: for<'a> fn(&'a mut UnitOfWork, Uuid) -> BoxFuture<'a, Result<Seq, Error>>,
}

impl Precondition {
    pub(crate) fn of<A: Aggregate>(id: Uuid, wanted: Seq) -> Self {
        Self { id, wanted, version: |unit, id| Box::pin(async move { Ok(unit.load::<A>(id).await?.1) }) }
    }

    /// Why not, where it has changed. What is not there is for others to say.
    pub(crate) async fn refuse(&self, unit: &mut UnitOfWork) -> Result<Option<Problem>, Error> {
        let (wanted, version) = (self.wanted, (self.version)(unit, self.id).await?);
        if version == wanted || version == Seq::ZERO {
            return Ok(None);
        }
        let detail = format!("you have seen version {wanted}, and it has version {version}: read it again");
        Ok(Some(Problem::new(Code::VersionChanged, detail)))
    }
}
