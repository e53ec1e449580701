//! What is tried in a unit and may have to be taken back: what it has decided, and what it has written at once.

use event_store::{Error, UnitOfWork};

/// From here on it can be taken back.
pub(crate) async fn begin(unit: &mut UnitOfWork) -> Result<(), Error> {
    unit.begin_part();
    sqlx::raw_sql("savepoint attempt").execute(unit.connection()).await?;
    Ok(())
}

/// As if it had not been tried. The unit goes on.
pub(crate) async fn take_back(unit: &mut UnitOfWork) -> Result<(), Error> {
    unit.take_back();
    sqlx::raw_sql("rollback to savepoint attempt").execute(unit.connection()).await?;
    Ok(())
}
