//! Tables of an existing system: what happens to their rows, as change events.
//!
//! ```text
//! tables ─► WAL ─► a slot and a publication of their own ─► ChangeReader ─► one topic per table
//!    └──── rows, as the new slot's snapshot shows them ──────────┘          key: the row's, value: before and after
//! ```

mod change;
mod kind;
mod reader;
mod table;
mod tables;

pub use change::{Change, Image, Operation};
pub use reader::ChangeReader;
pub use tables::{CapturedColumn, CapturedTable};
pub(crate) use tables::{read_tables, without_topic};

/// Values are text: they have to read the same whatever the database's own settings are, in the log and in a copy.
pub(crate) const TEXT_SETTINGS: &str =
    "set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set timezone = 'UTC';
     set extra_float_digits = 1; set bytea_output = 'hex'; set lc_monetary = 'C'";
