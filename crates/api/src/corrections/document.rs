//! How corrections are asked for and shown.

use correction::{AccountChange, At, Correction, Kind, Preview, Previewed, ReasonCode, Status, Told};
use delivery::ParkedEvent;
use event::Seq;
use jiff::Timestamp;
use ledger::{Balances, InternalAccount};
use money::Money;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use transfer::Resolution;
use utoipa::ToSchema;
use utoipa::openapi::Object;
use uuid::Uuid;

use crate::{Code, Problem, schema};

fn internal_accounts() -> Object {
    schema::words(&["settlement", "suspense", "funding"])
}

pub(super) fn statuses() -> Object {
    schema::words(&Status::NAMES)
}

/// What is to be corrected.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = CorrectionKind)]
pub(crate) enum Wanted {
    /// What became of a payment that nobody can tell the outcome of, as the rail's evidence says.
    ResolveTransfer { transfer_id: Uuid, outcome: Outcome },
    /// Takes a settled book transfer back.
    ReverseTransfer { transfer_id: Uuid },
    /// Moves money between an account and one of the ledger's own: into the account where the amount is positive, out of it where it is
    /// negative.
    AdjustAccount {
        account_id: Uuid,
        #[schema(value_type = schema::Money)]
        amount: Money,
        #[schema(schema_with = internal_accounts)]
        against: InternalAccount,
    },
    /// Has a handler leave out an event that it cannot handle: its stream goes on behind it. `GET /v1/parked` shows what is parked. A read model leaves
    /// nothing out.
    SkipParked {
        #[schema(pattern = "^[a-z0-9._-]{1,100}$")]
        handler: String,
        #[schema(pattern = "^[a-z][a-z0-9.]{0,50}-[A-Za-z0-9_.:@-]{1,100}$")]
        stream: String,
        #[schema(minimum = 1)]
        seq: i64,
    },
}

#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = PaymentOutcome)]
pub(crate) enum Outcome {
    /// The rail has paid.
    Settled { settled_at: Timestamp },
    /// It has not, and will not.
    Rejected {
        /// ISO 20022 `ExternalStatusReason1Code`.
        #[schema(pattern = "^[A-Z0-9]{4}$", example = "AC04")]
        reason_code: String,
    },
}

impl Wanted {
    /// `within`: where it stands in the body.
    pub(crate) fn checked(self, within: &str) -> Result<Kind, Problem> {
        let invalid = |detail: &str, at: &str| {
            Err(Problem::new(Code::InvalidField, detail).at(&format!("{within}{at}")))
        };
        Ok(match self {
            Self::ResolveTransfer { outcome: Outcome::Settled { settled_at }, .. }
                if settled_at > Timestamp::now() || settled_at < Timestamp::UNIX_EPOCH =>
            {
                return invalid("it lies in the past", "/outcome/settled_at");
            }
            Self::ResolveTransfer { transfer_id, outcome: Outcome::Settled { settled_at } } => {
                Kind::ResolveTransfer { transfer_id, outcome: Resolution::Settled { settled_at } }
            }
            Self::ResolveTransfer { transfer_id, outcome: Outcome::Rejected { reason_code } } => {
                let is_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
                if reason_code.len() != 4 || !reason_code.bytes().all(is_code) {
                    return invalid("it has four capital letters or digits", "/outcome/reason_code");
                }
                Kind::ResolveTransfer { transfer_id, outcome: Resolution::Rejected { reason_code } }
            }
            Self::ReverseTransfer { transfer_id } => Kind::ReverseTransfer { transfer_id },
            // Nothing stays between the two events of a book transfer.
            Self::AdjustAccount { against: InternalAccount::InTransit, .. } => {
                return invalid("it is settlement, suspense or funding", "/against");
            }
            Self::AdjustAccount { account_id, amount, against } => {
                Kind::AdjustAccount { account_id, amount, against }
            }
            Self::SkipParked { seq, .. } if seq < 1 => return invalid("it is 1 or more", "/seq"),
            Self::SkipParked { handler, stream, seq } => {
                let is_name =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
                if handler.is_empty() || handler.len() > 100 || !handler.bytes().all(is_name) {
                    return invalid("no handler is called so", "/handler");
                }
                match stream.parse() {
                    Ok(stream) => Kind::SkipParked { handler, stream, seq: Seq::new(seq) },
                    Err(_) => return invalid("it is `category-id`", "/stream"),
                }
            }
        })
    }
}

impl From<Kind> for Wanted {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::ResolveTransfer { transfer_id, outcome: Resolution::Settled { settled_at } } => {
                Self::ResolveTransfer { transfer_id, outcome: Outcome::Settled { settled_at } }
            }
            Kind::ResolveTransfer { transfer_id, outcome: Resolution::Rejected { reason_code } } => {
                Self::ResolveTransfer { transfer_id, outcome: Outcome::Rejected { reason_code } }
            }
            Kind::ReverseTransfer { transfer_id } => Self::ReverseTransfer { transfer_id },
            Kind::AdjustAccount { account_id, amount, against } => {
                Self::AdjustAccount { account_id, amount, against }
            }
            Kind::SkipParked { handler, stream, seq } => {
                Self::SkipParked { handler, stream: stream.to_string(), seq: seq.get() }
            }
        }
    }
}

/// A place in a stream.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamPlace)]
pub(super) struct Place {
    /// `category-id`.
    stream: String,
    seq: i64,
}

/// An event that would be appended.
#[derive(Serialize, ToSchema)]
#[schema(as = PreviewedEvent)]
struct PreviewedEvent {
    stream: String,
    seq: i64,
    r#type: String,
    version: i16,
    #[schema(value_type = Object)]
    data: Value,
}

/// What others would be told. Its seq is not known yet.
#[derive(Serialize, ToSchema)]
#[schema(as = PreviewedMessage)]
struct Message {
    stream: String,
    r#type: String,
    version: i16,
    #[schema(value_type = Object)]
    data: Value,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CorrectedBalances)]
struct ShownBalances {
    #[schema(value_type = schema::Money)]
    posted: Money,
    #[schema(value_type = schema::Money)]
    reserved: Money,
}

/// What an account has before, and after.
#[derive(Serialize, ToSchema)]
#[schema(as = CorrectedAccount)]
struct ShownAccount {
    account_id: Uuid,
    before: ShownBalances,
    after: ShownBalances,
}

/// Where the saga stands before, and after.
#[derive(Serialize, ToSchema)]
#[schema(as = CorrectedSaga)]
struct ShownSaga {
    stream: String,
    before: String,
    after: String,
}

/// Whether a rule holds after it.
#[derive(Serialize, ToSchema)]
#[schema(as = InvariantVerdict)]
struct ShownVerdict {
    invariant: String,
    holds: bool,
}

/// What a correction would do.
#[derive(Serialize, ToSchema)]
#[schema(as = CorrectionPreview)]
pub(super) struct PreviewDocument {
    /// What an approval names. Of another preview, it is another one.
    hash: String,
    /// What is at stake, if it is money.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Money>)]
    amount: Option<Money>,
    /// On what it was computed: the last event of each stream that it would append to.
    computed_on: Vec<Place>,
    events: Vec<PreviewedEvent>,
    accounts: Vec<ShownAccount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saga: Option<ShownSaga>,
    /// What other services, and subscribers, would be told.
    messages: Vec<Message>,
    invariants: Vec<ShownVerdict>,
    /// What a handler would leave out, and what it fails at there.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<ShownSkip>,
}

/// A parked event.
#[derive(Serialize, ToSchema)]
#[schema(as = SkippedEvent)]
struct ShownSkip {
    event_id: Uuid,
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Correction)]
pub(super) struct CorrectionDocument {
    correction_id: Uuid,
    #[schema(schema_with = statuses)]
    status: &'static str,
    /// Why it was rejected, is stale, or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    correction: Wanted,
    #[schema(schema_with = super::reason_codes)]
    reason_code: &'static str,
    evidence: String,
    /// The earlier correction that was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrects: Option<Uuid>,
    /// Those that correct this one; only where it is read by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    corrected_by: Vec<Uuid>,
    /// Of which bulk correction it is a part. That is what is approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk_id: Option<Uuid>,
    requested_by: String,
    /// How many others have to approve.
    approvals: u8,
    /// Who has approved the preview that there is.
    approved_by: Vec<String>,
    /// Until then.
    execute_by: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<PreviewDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed_by: Option<String>,
    /// What it has come to.
    events: Vec<Place>,
}

impl CorrectionDocument {
    pub(super) fn of(correction_id: Uuid, correction: Correction, corrected_by: Vec<Uuid>) -> Self {
        let Correction { requested, status, preview, approved_by, executed_by, events } = correction;
        let name = status.as_str();
        let status_reason = status.reason().map(str::to_owned);
        Self {
            correction_id,
            status: name,
            status_reason,
            correction: requested.kind.into(),
            reason_code: ReasonCode::as_str(requested.reason_code),
            evidence: requested.evidence,
            corrects: requested.corrects,
            corrected_by,
            bulk_id: requested.part.map(|part| part.bulk_id),
            requested_by: requested.by.0,
            approvals: requested.approvals,
            approved_by: approved_by.into_iter().collect(),
            execute_by: requested.deadline.due_at,
            preview: preview.map(Into::into),
            executed_by: executed_by.map(|actor| actor.0),
            events: events.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<At> for Place {
    fn from(at: At) -> Self {
        Self { stream: at.stream.to_string(), seq: at.seq.get() }
    }
}

impl From<Previewed> for PreviewedEvent {
    fn from(event: Previewed) -> Self {
        let Previewed { stream, seq, event_type, version, data } = event;
        Self { stream: stream.to_string(), seq: seq.get(), r#type: event_type, version, data }
    }
}

impl From<Told> for Message {
    fn from(told: Told) -> Self {
        let Told { stream, event_type, version, data } = told;
        Self { stream: stream.to_string(), r#type: event_type, version, data }
    }
}

impl From<AccountChange> for ShownAccount {
    fn from(change: AccountChange) -> Self {
        let shown =
            |balances: Balances| ShownBalances { posted: balances.posted, reserved: balances.reserved };
        Self { account_id: change.account_id, before: shown(change.before), after: shown(change.after) }
    }
}

impl From<Preview> for PreviewDocument {
    fn from(preview: Preview) -> Self {
        Self {
            hash: preview.hash,
            amount: preview.amount,
            computed_on: preview.computed_on.into_iter().map(Into::into).collect(),
            events: preview.events.into_iter().map(Into::into).collect(),
            accounts: preview.accounts.into_iter().map(Into::into).collect(),
            saga: preview.saga.map(|saga| ShownSaga {
                stream: saga.stream.to_string(),
                before: saga.before,
                after: saga.after,
            }),
            messages: preview.messages.into_iter().map(Into::into).collect(),
            invariants: preview
                .invariants
                .into_iter()
                .map(|verdict| ShownVerdict { invariant: verdict.invariant, holds: verdict.holds })
                .collect(),
            skipped: preview.skipped.map(|ParkedEvent { event_id, reason }| ShownSkip { event_id, reason }),
        }
    }
}
