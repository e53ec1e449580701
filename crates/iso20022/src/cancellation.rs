//! camt.056: please give a payment back. camt.029: no, or yes, or not yet.

use money::Money;

use crate::{Element, Error, Message, Original, Profile, Reason, agent, amount, message};

/// A recall of a payment that has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationRequest {
    /// Fixed by who asks; the answer names it.
    pub case_id: String,
    pub original: Original,
    pub amount: Money,
    pub reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationResolution {
    pub case_id: String,
    pub original: Original,
    pub status: CancellationStatus,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancellationStatus {
    /// The money comes back: by a pacs.004 of its own.
    Accepted,
    Rejected,
    Pending,
}

impl CancellationStatus {
    const ALL: [Self; 3] = [Self::Accepted, Self::Rejected, Self::Pending];

    /// `ExternalInvestigationExecutionConfirmation1Code`, and `CancellationIndividualStatus1Code`.
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::Accepted => ("CNCL", "ACCR"),
            Self::Rejected => ("RJCR", "RJCR"),
            Self::Pending => ("PDCR", "PDCR"),
        }
    }
}

/// Who asks whom, in which both messages begin.
fn assignment(message: &Message, profile: &Profile) -> Element {
    let party = |name, bank: &str| Element::new(name).child(agent::write("Agt", Some(bank), profile));
    Element::new("Assgnmt")
        .with("Id", &*message.id)
        .child(party("Assgnr", &message.from))
        .child(party("Assgne", &message.to))
        .with("CreDtTm", message::time(message.created_at))
}

/// The bank that asked has opened the case.
fn case(name: &str, id: &str, opened_by: &str, profile: &Profile) -> Element {
    let opener = Element::new("Cretr").child(agent::write("Agt", Some(opened_by), profile));
    Element::new(name).with("Id", id).child(opener)
}

impl CancellationRequest {
    pub(crate) const ROOT: &str = "FIToFIPmtCxlReq";

    pub(crate) fn write(&self, message: &Message, profile: &Profile) -> Element {
        let transaction = Element::new("TxInf")
            .with("CxlId", &*self.case_id)
            .children(self.original.write(profile))
            .child(amount::write("OrgnlIntrBkSttlmAmt", self.amount))
            .child(self.reason.write("CxlRsnInf"));
        Element::new(Self::ROOT)
            .child(assignment(message, profile))
            .child(case("Case", &self.case_id, &message.from, profile))
            .with("CtrlData/NbOfTxs", "1")
            .child(Element::new("Undrlyg").child(transaction))
    }

    pub(crate) fn read(root: &Element) -> Result<Self, Error> {
        let transaction = root.required("Undrlyg/TxInf")?;
        let reason = Reason::read(transaction, "CxlRsnInf")?;
        Ok(Self {
            case_id: transaction.read("CxlId", 35)?,
            original: Original::read(transaction)?,
            amount: amount::read(transaction, "OrgnlIntrBkSttlmAmt")?,
            reason: reason.ok_or_else(|| Error::Missing("CxlRsnInf/Rsn".to_owned()))?,
        })
    }
}

impl CancellationResolution {
    pub(crate) const ROOT: &str = "RsltnOfInvstgtn";

    pub(crate) fn write(&self, message: &Message, profile: &Profile) -> Element {
        let (confirmation, status) = self.status.codes();
        let transaction = Element::new("TxInfAndSts")
            .with("CxlStsId", &*self.case_id)
            .children(self.original.write(profile))
            .with("TxCxlSts", status)
            .children(self.reason.as_ref().map(|reason| reason.write("CxlStsRsnInf")));
        Element::new(Self::ROOT)
            .child(assignment(message, profile))
            .child(case("RslvdCase", &self.case_id, &message.to, profile))
            .with("Sts/Conf", confirmation)
            .child(Element::new("CxlDtls").child(transaction))
    }

    pub(crate) fn read(root: &Element) -> Result<Self, Error> {
        let transaction = root.required("CxlDtls/TxInfAndSts")?;
        let code = root.read("Sts/Conf", 4)?;
        let status = CancellationStatus::ALL.into_iter().find(|status| status.codes().0 == code);
        let of_transaction = transaction.read_optional("TxCxlSts", 4)?;
        if status.zip(of_transaction).is_some_and(|(status, code)| status.codes().1 != code) {
            let path = "TxCxlSts".to_owned();
            return Err(Error::Invalid { path, reason: "it contradicts the message's status" });
        }
        Ok(Self {
            case_id: root.read("RslvdCase/Id", 35)?,
            original: Original::read(transaction)?,
            status: status
                .ok_or(Error::Invalid { path: "Sts/Conf".to_owned(), reason: "the status is unknown" })?,
            reason: Reason::read(transaction, "CxlStsRsnInf")?,
        })
    }
}
