//! Cases: what needs a person.
//!
//! A saga that its policy has given up on says why a person has to look. In the transaction in which it says so a case is raised, one for each
//! saga and reason; when the reason is gone by itself, the case is withdrawn in the same way. So no reason is without its case, not for a moment.
//! People say who looks after it, what they have found out, and that it is resolved; the saga does not hear of that.
//!
//! ```text
//! transfer, incoming: reasons before ─► decision ─► reasons after ─► follow ─► CaseRaised | CaseRaisedAgain | CaseWithdrawn ─► CaseView, OpenCases
//! ```

mod case;
pub use case::{
    Case, CaseAssigned, CaseCommand, CaseEvent, CaseNoted, CaseRaised, CaseRaisedAgain, CaseRefusal,
    CaseReopened, CaseResolved, CaseWithdrawn, Status, Subject, case_id,
};

mod follow;
pub use follow::follow;

mod open_cases;
pub use open_cases::{CaseGroup, OpenCases};

mod gauge;
pub use gauge::keep_gauge;

mod case_view;
pub use case_view::{CaseRow, CaseView, ListFilter, list};
