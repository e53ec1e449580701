//! A person or company with a name of their own.

use event::{Aggregate, Context, Personal, events};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    pub customer_id: Uuid,
    pub name: Personal<String>,
}

/// Accounts keep the name that they were opened under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    pub name: Personal<String>,
}

events! {
    /// The events of a `customer` stream.
    pub enum CustomerEvent {
        Registered = 1,
        Renamed = 1,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Customer {
    pub id: Uuid,
    pub name: Personal<String>,
}

#[derive(Debug, Clone)]
pub enum CustomerCommand {
    Register { customer_id: Uuid, name: Personal<String> },
    Rename { name: Personal<String> },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomerRefusal {
    #[error("no such customer is registered")]
    NotRegistered,
    #[error("the customer is registered already")]
    AlreadyRegistered,
}

impl Aggregate for Customer {
    const CATEGORY: &'static str = "customer";
    type Event = CustomerEvent;
    type Command = CustomerCommand;
    type Refusal = CustomerRefusal;

    fn evolve(state: Option<Self>, event: &CustomerEvent) -> Option<Self> {
        match event {
            CustomerEvent::Registered(Registered { customer_id, name }) => {
                Some(Self { id: *customer_id, name: name.clone() })
            }
            CustomerEvent::Renamed(Renamed { name }) => Some(Self { name: name.clone(), ..state? }),
        }
    }

    fn decide(
        state: Option<&Self>,
        command: CustomerCommand,
        _: &Context,
    ) -> Result<Vec<CustomerEvent>, CustomerRefusal> {
        match (state, command) {
            (None, CustomerCommand::Register { customer_id, name }) => {
                Ok(vec![Registered { customer_id, name }.into()])
            }
            (Some(_), CustomerCommand::Register { .. }) => Err(CustomerRefusal::AlreadyRegistered),
            (None, CustomerCommand::Rename { .. }) => Err(CustomerRefusal::NotRegistered),
            (Some(customer), CustomerCommand::Rename { name }) if customer.name == name => Ok(vec![]),
            (Some(_), CustomerCommand::Rename { name }) => Ok(vec![Renamed { name }.into()]),
        }
    }
}

#[cfg(test)]
mod tests;
