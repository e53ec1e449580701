//! Banks and accounts, as the profile names them.

use crate::profile::{AccountScheme, AgentScheme};
use crate::{Element, Error, Profile};

/// A payer names an account; which bank holds it, the rail may find out.
const NOT_PROVIDED: &str = "NOTPROVIDED";
/// `ExternalClearingSystemIdentification1Code`: the United States' routing numbers.
const ROUTING_NUMBERS: &str = "USABA";

/// `BranchAndFinancialInstitutionIdentification`, below the element of this name. None: it is not known.
pub(crate) fn write(name: &str, agent: Option<&str>, profile: &Profile) -> Element {
    let id = Element::new("FinInstnId");
    let id = match (agent, profile.agent) {
        (None, _) => id.with("Othr/Id", NOT_PROVIDED),
        (Some(agent), AgentScheme::Bic) => id.with("BICFI", agent),
        (Some(agent), AgentScheme::RoutingNumber) => {
            id.child(Element::new("ClrSysMmbId").with("ClrSysId/Cd", ROUTING_NUMBERS).with("MmbId", agent))
        }
    };
    Element::new(name).child(id)
}

pub(crate) fn read(parent: &Element, path: &str) -> Result<Option<String>, Error> {
    let id = parent.required(&format!("{path}/FinInstnId"))?;
    for place in ["BICFI", "ClrSysMmbId/MmbId", "Othr/Id"] {
        if let Some(agent) = id.read_optional(place, 35)? {
            return Ok(Some(agent).filter(|agent| agent != NOT_PROVIDED));
        }
    }
    Err(Error::Missing(format!("{path}/FinInstnId/BICFI")))
}

pub(crate) fn write_account(name: &str, account: &str, profile: &Profile) -> Element {
    Element::new(name).with(
        match profile.account {
            AccountScheme::Iban => "Id/IBAN",
            AccountScheme::Other => "Id/Othr/Id",
        },
        account,
    )
}

pub(crate) fn read_account(parent: &Element, path: &str) -> Result<String, Error> {
    let id = parent.required(&format!("{path}/Id"))?;
    match id.read_optional("IBAN", 34)? {
        Some(iban) => Ok(iban),
        None => id.read("Othr/Id", 34),
    }
}
