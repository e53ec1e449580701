//! What the platform tests stand on.

mod card_checker;
mod checker;
mod client;
mod compose;
mod identity_provider;
mod kafka;
mod load;
mod platform;
mod process;
mod receiver;

pub(crate) use checker::{Violations, check, settle_down};
pub(crate) use client::{APPROVER_KEY, Client, KEY, OTHER_BANK, transfer};
pub(crate) use compose::{Compose, Service, file, yaml};
pub(crate) use identity_provider::IdentityProvider;
pub(crate) use kafka::{Record, read_all};
pub(crate) use load::Load;
pub(crate) use platform::{OPS_TOKEN, Platform, Transport, Victim};
pub(crate) use process::{LUNARIA, Process};
pub(crate) use receiver::Receiver;
