//! Cases: what needs a person.
//!
//! A saga that its policy has given up on says why a person has to look. In the transaction in which it says so a case is raised, one for each
//! saga and reason; when the reason is gone by itself, the case is withdrawn in the same way. So no reason is without its case, not for a moment.
//!
//! ```text
//! transfer, incoming: reasons before ─► decision ─► reasons after ─► follow ─► CaseRaised | CaseRaisedAgain | CaseWithdrawn ─► CaseView, OpenCases
//! ```

mod case;
pub use case::{Case, CaseCommand, CaseEvent, CaseRaised, CaseRaisedAgain, CaseWithdrawn, Subject, case_id};

mod follow;
pub use follow::follow;

mod open_cases;
pub use open_cases::{CaseGroup, OpenCases, cause_of};

mod gauge;
pub use gauge::keep_gauge;

mod case_view;
pub use case_view::{CaseRow, CaseView, ListFilter, list};
