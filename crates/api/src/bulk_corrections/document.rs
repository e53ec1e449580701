//! How bulk corrections are shown.

use correction::{Bulk, BulkItem, BulkPreviewed, BulkRow, BulkStatus, ItemCounts, ReasonCode, Status};
use event::{Aggregate, Deadline};
use jiff::Timestamp;
use money::Money;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Object;
use uuid::Uuid;

use crate::page::money;
use crate::{Problem, schema};

pub(super) fn statuses() -> Object {
    schema::words(&BulkStatus::NAMES)
}

pub(super) fn item_statuses() -> Object {
    schema::words(&Status::NAMES)
}

#[derive(Serialize, ToSchema)]
#[schema(as = BulkCorrection)]
pub(super) struct BulkDocument {
    bulk_id: Uuid,
    #[schema(schema_with = statuses)]
    status: &'static str,
    /// Why what is left is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    /// How many the list has.
    items: u32,
    /// SHA-256 of the list, as it was frozen.
    list_hash: String,
    #[schema(schema_with = crate::corrections::reason_codes)]
    reason_code: &'static str,
    evidence: String,
    /// So many of the first that can be done are done before a person looks once more.
    canary: u32,
    per_second: u32,
    requested_by: String,
    /// Absent while it is being found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<BulkPreview>,
    approved_by: Vec<String>,
    /// Who has let it go on last.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_by: Option<String>,
    /// Until when it waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_until: Option<Timestamp>,
    /// Only where it is read by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<BulkProgress>,
}

/// What all items would do together.
#[derive(Serialize, ToSchema)]
struct BulkPreview {
    /// What an approval names. Of another list, or of items that would do something else, it is another one.
    hash: String,
    /// What is at stake, by currency.
    #[schema(value_type = Vec<schema::Money>)]
    totals: Vec<Money>,
    /// Items that can be done.
    ready: u32,
    /// Items that cannot. They have failed.
    refused: u32,
    /// The last item that is done before a person looks once more.
    canary_to: u32,
    /// How many others have to approve.
    approvals: u8,
}

/// How many items have come how far.
#[derive(Serialize, ToSchema)]
struct BulkProgress {
    /// Of which it is known what they would do.
    previewed: i64,
    executed: i64,
    failed: i64,
    /// That were not done because it was over before.
    left: i64,
}

impl BulkDocument {
    pub(super) fn of(bulk_id: Uuid, bulk: &Bulk, counts: Option<ItemCounts>) -> Self {
        let requested = &bulk.requested;
        let shown = |counts: ItemCounts| {
            let ItemCounts { previewed, executed, failed, left } = counts;
            BulkProgress { previewed, executed, failed, left }
        };
        Self {
            bulk_id,
            status: bulk.status.as_str(),
            status_reason: bulk.over(),
            items: requested.items,
            list_hash: requested.list_hash.clone(),
            reason_code: ReasonCode::as_str(requested.reason_code),
            evidence: requested.evidence.clone(),
            canary: requested.canary,
            per_second: requested.per_second,
            requested_by: requested.by.0.clone(),
            preview: bulk.preview.clone().map(Into::into),
            approved_by: bulk.approved_by.iter().cloned().collect(),
            run_by: bulk.run_by.as_ref().map(|actor| actor.0.clone()),
            waits_until: bulk.deadline().map(|Deadline { due_at, .. }| due_at),
            progress: counts.map(shown),
        }
    }
}

impl From<BulkPreviewed> for BulkPreview {
    fn from(previewed: BulkPreviewed) -> Self {
        let BulkPreviewed { hash, totals, ready, refused, canary_to, approvals } = previewed;
        Self { hash, totals, ready, refused, canary_to, approvals }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = BulkCorrectionList)]
pub(super) struct List {
    pub(super) bulk_corrections: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedBulkCorrection)]
pub(super) struct Listed {
    bulk_id: Uuid,
    #[schema(schema_with = statuses)]
    status: String,
    items: i32,
    reason_code: String,
    evidence: String,
    requested_by: String,
    requested_at: Timestamp,
    changed_at: Timestamp,
}

impl From<BulkRow> for Listed {
    fn from(row: BulkRow) -> Self {
        Self {
            bulk_id: row.id,
            status: row.status,
            items: row.items,
            reason_code: row.reason_code,
            evidence: row.evidence,
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            changed_at: row.changed_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = BulkItemList)]
pub(super) struct Items {
    pub(super) items: Vec<Item>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// An item, and what has become of it.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkItem)]
pub(super) struct Item {
    number: i32,
    /// Each is a correction with its own preview and events.
    correction_id: Uuid,
    kind: String,
    /// The stream that it is about.
    subject: String,
    #[schema(schema_with = item_statuses)]
    status: String,
    /// Why it has failed, or was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    /// What is at stake; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Money>)]
    amount: Option<Money>,
}

impl Item {
    pub(super) fn of(item: BulkItem) -> Result<Self, Problem> {
        let amount = item.amount.zip(item.currency.as_deref());
        Ok(Self {
            number: item.number,
            correction_id: item.id,
            kind: item.kind,
            subject: item.subject,
            status: item.status,
            status_reason: item.reason,
            amount: amount.map(|(minor, currency)| money(minor, currency)).transpose()?,
        })
    }
}
