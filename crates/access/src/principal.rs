//! Whoever asks, once they are known.

use crate::Role;

/// Somebody with roles. The name stays when their keys change: it is in the events that follow from what they ask, and their
/// idempotency keys are theirs alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub name: String,
    pub roles: Vec<Role>,
}

impl Principal {
    pub fn has_one_of(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }
}
