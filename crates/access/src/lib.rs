//! Who asks, and what they may do: roles, principals, and the keys by which a principal is known.

mod keyring;
pub use keyring::{Keyring, KeyringError};

mod principal;
pub use principal::Principal;

mod role;
pub use role::{Role, UnknownRole};
