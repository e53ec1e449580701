//! The list of customers: a projection of the `customer` streams (migrations/core/1010_customer.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::CustomerEvent;

pub type CustomerView = RowPerStream<CustomerRow>;

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct CustomerRow {
    pub id: Uuid,
    pub name: String,
    /// Of the name: what it is found by.
    pub words: Vec<String>,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub registered_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for CustomerRow {
    const PROJECTION: &'static str = "customer.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &["customer"] };
    const TABLE: &'static str = "customer_view";
    type Event = CustomerEvent;
    type Row<'a> = &'a Self;

    fn evolve(row: Option<Self>, id: Uuid, event: CustomerEvent, at: Timestamp) -> Option<Self> {
        match event {
            CustomerEvent::Registered(event) => {
                let words = distinct_words(&event.name.0);
                Some(Self { id, name: event.name.0, words, registered_at: at, changed_at: at })
            }
            CustomerEvent::Renamed(event) => {
                let words = distinct_words(&event.name.0);
                Some(Self { name: event.name.0, words, changed_at: at, ..row? })
            }
        }
    }

    fn row(&self, _: Uuid) -> &Self {
        self
    }
}

/// Each once: the server takes no other for a text to search in.
fn distinct_words(name: &str) -> Vec<String> {
    let mut words = projection::words_of(name);
    words.sort_unstable();
    words.dedup();
    words
}

/// What to list. The newest come first.
#[derive(Debug, Clone)]
pub struct ListFilter {
    /// Words of the name, or how they begin.
    pub words: Option<String>,
    pub page: Page,
}

/// A page of customers, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<CustomerRow>, event_store::Error> {
    let words = filter.words.as_deref().map(projection::words_of);
    Newest::of("customer_view", "registered_at", filter.page)
        .words("words", words.as_deref())
        .rows(store)
        .await
}
