//! pacs.008: pay this.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use money::Money;
use uuid::Uuid;

use crate::original::read_uetr;
use crate::profile::LocalInstrument;
use crate::{Element, Error, Message, Profile, agent, amount, message};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditTransfer {
    pub end_to_end_id: String,
    pub transaction_id: String,
    pub uetr: Uuid,
    pub amount: Money,
    pub settlement_date: Date,
    /// From when the rail's limits count.
    pub accepted_at: Timestamp,
    pub debtor: Party,
    pub creditor: Party,
    pub remittance: Option<String>,
}

/// One side of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub name: String,
    pub account: String,
    /// The bank. None: for the rail to find out.
    pub agent: Option<String>,
}

impl CreditTransfer {
    pub(crate) const ROOT: &str = "FIToFICstmrCdtTrf";

    pub(crate) fn write(&self, message: &Message, profile: &Profile) -> Element {
        let group = message::group_header(message)
            .with("NbOfTxs", "1")
            .child(amount::write("TtlIntrBkSttlmAmt", self.amount))
            .with("IntrBkSttlmDt", self.settlement_date.to_string())
            .child(settlement(profile))
            .children(message::instructing(message, profile));
        let identification = Element::new("PmtId")
            .with("InstrId", &*self.transaction_id)
            .with("EndToEndId", &*self.end_to_end_id)
            .with("TxId", &*self.transaction_id)
            .with("UETR", self.uetr.to_string());
        let transaction = Element::new("CdtTrfTxInf")
            .child(identification)
            .child(payment_type(profile))
            .child(amount::write("IntrBkSttlmAmt", self.amount))
            .with("AccptncDtTm", message::time(self.accepted_at))
            .with("ChrgBr", &*profile.charge_bearer)
            .with("Dbtr/Nm", &*self.debtor.name)
            .child(agent::write_account("DbtrAcct", &self.debtor.account, profile))
            .child(agent::write("DbtrAgt", self.debtor.agent.as_deref(), profile))
            .child(agent::write("CdtrAgt", self.creditor.agent.as_deref(), profile))
            .with("Cdtr/Nm", &*self.creditor.name)
            .child(agent::write_account("CdtrAcct", &self.creditor.account, profile))
            .children(self.remittance.as_deref().map(|text| Element::nested("RmtInf/Ustrd", text)));
        Element::new(Self::ROOT).child(group).child(transaction)
    }

    pub(crate) fn read(root: &Element) -> Result<Self, Error> {
        let transaction = root.required("CdtTrfTxInf")?;
        let date = match transaction.read_optional("IntrBkSttlmDt", 10)? {
            Some(date) => Some(date),
            None => root.read_optional("GrpHdr/IntrBkSttlmDt", 10)?,
        };
        let created_at = message::read_time(root, "GrpHdr/CreDtTm")?;
        let accepted_at = match transaction.at("AccptncDtTm")? {
            Some(_) => message::read_time(transaction, "AccptncDtTm")?,
            None => created_at,
        };
        let end_to_end_id = transaction.read("PmtId/EndToEndId", 35)?;
        Ok(Self {
            transaction_id: transaction
                .read_optional("PmtId/TxId", 35)?
                .unwrap_or_else(|| end_to_end_id.clone()),
            end_to_end_id,
            uetr: read_uetr(transaction, "PmtId/UETR")?,
            amount: amount::read(transaction, "IntrBkSttlmAmt")?,
            settlement_date: match date {
                Some(date) => message::date(&date, "IntrBkSttlmDt")?,
                None => created_at.to_zoned(TimeZone::UTC).date(),
            },
            accepted_at,
            debtor: party(transaction, "Dbtr")?,
            creditor: party(transaction, "Cdtr")?,
            remittance: transaction.read_optional("RmtInf/Ustrd", 140)?,
        })
    }
}

fn party(transaction: &Element, name: &str) -> Result<Party, Error> {
    Ok(Party {
        name: transaction.read(&format!("{name}/Nm"), 140)?,
        account: agent::read_account(transaction, &format!("{name}Acct"))?,
        agent: agent::read(transaction, &format!("{name}Agt"))?,
    })
}

pub(crate) fn settlement(profile: &Profile) -> Element {
    let system = profile.clearing_system.as_deref().map(|code| Element::nested("ClrSys/Cd", code));
    Element::new("SttlmInf").with("SttlmMtd", "CLRG").children(system)
}

fn payment_type(profile: &Profile) -> Element {
    let level = profile.service_level.as_deref().map(|code| Element::nested("SvcLvl/Cd", code));
    let instrument = match &profile.local_instrument {
        LocalInstrument::Code(code) => Element::nested("LclInstrm/Cd", &**code),
        LocalInstrument::Proprietary(code) => Element::nested("LclInstrm/Prtry", &**code),
    };
    Element::new("PmtTpInf").children(level).child(instrument)
}
