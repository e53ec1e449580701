//! Work that one process does at a time.

use sqlx::{Connection, PgConnection};

use crate::{Error, Store};

/// While it lives, nobody else has the same name. It goes with its connection, however the work ends.
pub struct Alone(PgConnection);

impl Store {
    /// None: somebody else is at it.
    pub async fn alone(&self, name: &str) -> Result<Option<Alone>, Error> {
        let mut connection = self.pool().acquire().await?;
        let is_ours: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(name)
            .fetch_one(&mut *connection)
            .await?;
        Ok(is_ours.then(|| Alone(connection.detach())))
    }
}

impl Alone {
    pub async fn end(self) -> Result<(), Error> {
        Ok(self.0.close().await?)
    }
}
