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

mod kind;
pub use kind::{Kind, ReasonCode};

mod preview;
pub use preview::{AccountChange, At, Preview, Previewed, SagaChange, Told, Verdict};

mod correction_event;
pub use correction_event::{
    CorrectionApproved, CorrectionEvent, CorrectionExecuted, CorrectionExpired, CorrectionPreviewed,
    CorrectionRejected, CorrectionRequested, CorrectionStale,
};

mod correction;
pub use correction::{Correction, CorrectionCommand, CorrectionRefusal, Request, Status};

mod policy;
pub use policy::{OverLimit, Policy};

mod carry_out;
pub use carry_out::{CarryOutError, carry_out};

mod trial;
pub use trial::{Trial, preview};

mod execute;
pub use execute::{ExecuteError, execute};

mod correction_view;
pub use correction_view::{CorrectionRow, CorrectionView, ListFilter, corrected_by, list};
