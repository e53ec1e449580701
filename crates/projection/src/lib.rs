//! Read models: followed live, built anew while the old one serves, compared with what they ought to be.
//!
//! ```text
//!              ┌──────────────► public.t   what is read      ◄─┐ changes places when
//!  events ─► handler                                           │ the last stream is
//!              └─ of streams ─► rebuild.t  what is being built ┘ loaded
//!                 that are loaded   ▲
//!  event table ─► chunk by chunk ───┘
//! ```
//!
//! A projection is a function of events into tables of its own, which say nothing that the events do not: it can be thrown away. A
//! rebuild needs no pause, no second set of cursors and no catching up: what is loaded already is written by the handler too, in the
//! transaction of its cursor, and each chunk of the load has the handler stand still for as long as its own transaction takes. A
//! comparison is a rebuild that does not change places.
//!
//! A small one that is asked often can be kept in memory ([`InMemory`]), one for another store there ([`delivery::Elsewhere`]).

mod projection;
pub use projection::{Projecting, Projection};

mod stream_row;
pub use stream_row::{RowPerStream, StreamRow};

mod rebuild;
pub use rebuild::{
    Difference, Purpose, Rebuild, RebuildCommand, RebuildEvent, RebuildRefusal, RebuildRequested, Status,
};

mod desk;
pub use desk::RebuildDesk;

mod progress;
pub use progress::{Overview, Progress, is_kept, list, progress, under_way_in};

mod in_memory;
pub use in_memory::{InMemory, MemoryView};

mod counts;
pub use counts::{StatusCount, count_by_status};

mod newest;
pub use newest::{Newest, Page, words_of};

mod keeper;
pub use keeper::Keeper;

mod finish;
mod load;
mod pace;
mod read_ahead;
mod run;
