//! ISO 20022 messages of instant rails: narrow structs, read from hostile bytes and written as the published schemas want.
//!
//! ```text
//!  bytes ─► Element (limits, no DTD, no entities) ─► Message: header, and one of
//!                                                      CreditTransfer   pacs.008   StatusReport            pacs.002
//!                                                      StatusRequest    pacs.028   PaymentReturn           pacs.004
//!                                                      CancellationRequest camt.056  CancellationResolution camt.029
//! ```
//!
//! A message is an `AppHdr` (head.001.001.02) and a `Document` in a business message envelope (nvlp.001.001.01), and it
//! carries one transaction, as instant rails have it. What differs between rails is data: a [`Profile`]. Elements that these structs do
//! not name are not an error; whoever has to prove what was said keeps the message as it came.

mod error;
pub use error::Error;

mod element;
pub use element::{BYTES_MAX, Element};

mod amount;

mod profile;
pub use profile::{Profile, UnknownProfile};

mod message;
pub use message::{Document, Message};

mod agent;

mod original;
pub use original::{Original, OriginalKind, Reason};

mod credit_transfer;
pub use credit_transfer::{CreditTransfer, Party};

mod status;
pub use status::{PendingStatus, StatusReport, StatusRequest, TransactionStatus};

mod payment_return;
pub use payment_return::PaymentReturn;

mod cancellation;
pub use cancellation::{CancellationRequest, CancellationResolution, CancellationStatus};

#[cfg(test)]
mod tests;
