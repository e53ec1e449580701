//! Whose cursor, whose parked event, whose mark.

/// The first two columns of everything that is kept about a handler.
#[derive(Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) handler: &'a str,
    pub(crate) source: &'a str,
}
