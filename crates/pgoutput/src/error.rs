//! Why bytes are no message, or a message cannot become bytes.

/// Every decoding variant carries the byte offset within the input at which it was noticed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input ends inside a field.
    #[error("input ends early: {needed} more bytes expected at byte {offset}")]
    Truncated { offset: usize, needed: usize },
    /// A one-byte discriminator that this version of the protocol does not know.
    #[error("unknown {what} {tag:#04x} at byte {offset}")]
    UnknownTag { what: &'static str, tag: u8, offset: usize },
    /// A count or a length below zero.
    #[error("negative length {length} at byte {offset}")]
    NegativeLength { length: i32, offset: usize },
    /// A name that is not UTF-8.
    #[error("text at byte {offset} is not utf-8")]
    NotUtf8 { offset: usize },
    /// The message is complete, but the input goes on.
    #[error("{count} trailing bytes at byte {offset}")]
    TrailingBytes { offset: usize, count: usize },
    /// Encoding only: the format has no room for so many bytes or entries.
    #[error("{what} of {length} does not fit the format")]
    TooLong { what: &'static str, length: usize },
    /// Encoding only: names end at a NUL byte, so they cannot contain one.
    #[error("a name contains a nul byte")]
    NulInName,
}
