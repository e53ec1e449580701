//! The list of card payments: a projection of the `authorisation` streams (migrations/core/1007_authorisation_view.sql).

use delivery::Subscription;
use event::Aggregate;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{Authorisation, AuthorisationEvent, Status};

const ATTENTION: &str = "requires_attention";

pub type AuthorisationView = RowPerStream<Followed>;

/// A payment by card, with the times of its first and its last event.
pub struct Followed {
    authorisation: Authorisation,
    opened_at: Timestamp,
    changed_at: Timestamp,
}

/// A row of `authorisation_view`.
#[derive(Serialize)]
pub struct Shown<'a> {
    id: Uuid,
    card_id: Uuid,
    account_id: Option<Uuid>,
    status: &'static str,
    attention: Option<&'a str>,
    approved: i64,
    held: i64,
    captured: i64,
    refunded: i64,
    currency: &'static str,
    opened_at: Timestamp,
    changed_at: Timestamp,
}

impl StreamRow for Followed {
    const PROJECTION: &'static str = "authorisation.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &["authorisation"] };
    const TABLE: &'static str = "authorisation_view";
    type Event = AuthorisationEvent;
    type Row<'a> = Shown<'a>;

    fn evolve(state: Option<Self>, _: Uuid, event: AuthorisationEvent, at: Timestamp) -> Option<Self> {
        let (before, opened_at) = state.map(|state| (state.authorisation, state.opened_at)).unzip();
        let authorisation = Authorisation::evolve(before, &event)?;
        Some(Self { authorisation, opened_at: opened_at.unwrap_or(at), changed_at: at })
    }

    fn row(&self, id: Uuid) -> Shown<'_> {
        let Self { authorisation: state, opened_at, changed_at } = self;
        Shown {
            id,
            card_id: state.payment.card_id,
            account_id: state.account_id,
            status: state.status.name(),
            attention: state.attention.last().map(String::as_str),
            approved: state.approved.minor(),
            held: state.held.minor(),
            captured: state.captured.minor(),
            refunded: state.refunded.minor(),
            currency: state.held.currency().code(),
            opened_at: *opened_at,
            changed_at: *changed_at,
        }
    }
}

impl Status {
    pub const NAMES: [&'static str; 9] = [
        "opened",
        "approved",
        "declined",
        "withdrawn",
        "reversed",
        "expired",
        "captured",
        "force_posted",
        "refunded",
    ];

    pub fn name(&self) -> &'static str {
        let n = match self {
            Self::Opened => 0,
            Self::Approved => 1,
            Self::Declined { .. } => 2,
            Self::Withdrawn => 3,
            Self::Reversed => 4,
            Self::Expired => 5,
            Self::Captured => 6,
            Self::ForcePosted => 7,
            Self::Refunded => 8,
        };
        Self::NAMES[n]
    }
}

/// What to list. The newest come first.
#[derive(Debug, Clone)]
pub struct ListFilter {
    /// `requires_attention` finds those of every status that a person has to look at.
    pub status: Option<String>,
    pub card_id: Option<Uuid>,
    pub accounts: Option<Vec<Uuid>>,
    pub page: Page,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AuthorisationRow {
    pub id: Uuid,
    pub card_id: Uuid,
    pub account_id: Option<Uuid>,
    pub status: String,
    pub attention: Option<String>,
    pub approved: i64,
    pub held: i64,
    pub captured: i64,
    pub refunded: i64,
    pub currency: String,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub opened_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

/// A page of card payments, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<AuthorisationRow>, event_store::Error> {
    let status = filter.status.as_deref();
    Newest::of("authorisation_view", "opened_at", filter.page)
        .text("status", status.filter(|status| *status != ATTENTION))
        .that(status.filter(|status| *status == ATTENTION).map(|_| "attention is not null"))
        .id("card_id", filter.card_id)
        .among("account_id", filter.accounts.as_deref())
        .rows(store)
        .await
}
