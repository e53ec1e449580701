//! Why bytes are no message of ours.

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the message has more than {0} bytes")]
    TooLarge(usize),
    #[error("the message is not UTF-8")]
    NotUtf8,
    #[error("not well-formed XML: {0}")]
    Malformed(String),
    /// What no ISO 20022 message needs and an attacker would use.
    #[error("{0} is refused")]
    Refused(&'static str),
    #[error("`{0}` is not a message of this rail")]
    UnknownDefinition(String),
    #[error("{0} is missing")]
    Missing(String),
    #[error("{0} is there more than once")]
    Repeated(String),
    #[error("{path}: {reason}")]
    Invalid { path: String, reason: &'static str },
}
