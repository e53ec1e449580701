//! What there is to do, by whom.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Whoever accounts belong to: they see and do what is theirs, and nothing else.
    Customer,
    /// A system that acts for customers, or reads what is published.
    Service,
    /// Finds what is stuck, and ends it.
    Operator,
    /// Says yes or no to what others have asked for.
    Approver,
    /// Reads everything, and changes nothing.
    Auditor,
    /// Keeps the platform itself: what is built anew, and what is ended.
    Admin,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no role; there are customer, service, operator, approver, auditor and admin")]
pub struct UnknownRole(String);

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Customer, Self::Service, Self::Operator, Self::Approver, Self::Auditor, Self::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Service => "service",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}
