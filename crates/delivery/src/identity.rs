//! Whose cursor, whose parked event, whose mark.

use crate::Subscription;

/// The first two columns of everything that is kept about a handler.
#[derive(Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) handler: &'a str,
    pub(crate) source: &'a str,
}

/// The transport, and the categories that come over it.
pub(crate) fn fed_by(transport: &str, subscription: Subscription) -> String {
    format!("{transport}: {}", subscription.categories.join(", "))
}
