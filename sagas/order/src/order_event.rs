//! What can happen to an order.

use event::{Deadline, Personal, events};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub order_id: Uuid,
    pub credit_id: Uuid,
    /// Who pays.
    pub from_account: Uuid,
    /// The shop.
    pub to_account: Uuid,
    pub amount: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Personal<String>>,
    /// When payment is tried for the last time.
    pub pay_by: Timestamp,
}

/// The credit line covers it until it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditReserved {}

/// The credit line does not cover it. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditRefused {}

/// Payment is due at the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentScheduled {
    pub attempt: u32,
    pub deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefused {
    pub attempt: u32,
    pub deadline_id: Uuid,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTaken {
    pub attempt: u32,
    pub deadline_id: Uuid,
}

/// Paid, so that the credit line is free of it. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    ByCustomer,
    NotPaidInTime,
}

/// It will not be paid. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    pub reason: CancelReason,
}

/// The credit line has back what it had reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditReleased {}

events! {
    /// The events of an `order` stream.
    pub enum OrderEvent {
        Placed = 1,
        CreditReserved = 1,
        CreditRefused = 1,
        PaymentScheduled = 1,
        PaymentRefused = 1,
        PaymentTaken = 1,
        Confirmed = 1,
        Cancelled = 1,
        CreditReleased = 1,
    }
}
