//! Corrections: what operators mend by compensating events, seen before it is done and approved by somebody else.
//!
//! ```text
//!                                       ┌─ CorrectionRejected
//! CorrectionRequested, Previewed ─► … ──┼─ CorrectionExpired
//!            ▲                          └─► CorrectionApproved (as often as the policy wants) ─┬─► CorrectionExecuted
//!            └── previewed anew ◄───────────────────────────────────────────────────────────── └─► CorrectionStale
//! ```
//!
//! A preview is the execution, rolled back: the same code on the same states, and then the handlers and read models on what it
//! has decided. It says on which seqs it was computed. An approval is of one preview, by its hash; what is executed is compared with it,
//! event by event, and where it is not the same nothing is done. Nothing is ever changed or deleted: a correction is corrected by another.
//!
//! Many are corrected by a `bulk` correction: a frozen list, approved as one by what each item would do, done item by item.

mod kind;
pub use kind::{Kind, ReasonCode};

mod preview;
pub use preview::{AccountChange, At, Preview, Previewed, SagaChange, Told, Verdict};

mod correction_event;
pub use correction_event::{
    CorrectionApproved, CorrectionEvent, CorrectionExecuted, CorrectionExpired, CorrectionFailed,
    CorrectionPreviewed, CorrectionRejected, CorrectionRequested, CorrectionStale, Part,
};

mod correction;
pub use correction::{Correction, CorrectionCommand, CorrectionRefusal, Request, Status};

mod policy;
pub use policy::{OverLimit, Policy};

mod attempt;
mod carry_out;
pub use carry_out::{CarryOutError, carry_out};

mod trial;
pub use trial::{Trial, preview};

mod execute;
pub use execute::{ExecuteError, execute};

mod correction_view;
pub use correction_view::{CorrectionRow, CorrectionView, ListFilter, corrected_by, list};

mod bulk_event;
pub use bulk_event::{
    BulkAborted, BulkApproved, BulkCanaryEnded, BulkEnded, BulkEvent, BulkExpired, BulkPaused, BulkPreviewed,
    BulkRejected, BulkRequested, BulkResumed, BulkStarted,
};

mod bulk;
pub use bulk::{Bulk, BulkCommand, BulkRefusal, BulkRequest, BulkStatus, BulkWork};

mod bulk_part;
pub use bulk_part::{PartDone, execute_part, list_hash, part_id, request_bulk};

mod bulk_runner;
pub use bulk_runner::BulkRunner;

mod bulk_view;
pub use bulk_view::{BulkFilter, BulkItem, BulkRow, BulkView, ItemCounts, item_counts, items, list_bulks};
