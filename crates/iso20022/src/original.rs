//! What a message refers to, and why it says what it says.

use uuid::Uuid;

use crate::{Element, Error, Profile};

/// What a later message is about: a payment, by the message that has carried it, there or back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    pub kind: OriginalKind,
    pub message_id: String,
    pub end_to_end_id: String,
    pub transaction_id: String,
    pub uetr: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginalKind {
    CreditTransfer,
    PaymentReturn,
}

impl Original {
    /// In the order of pacs.002, pacs.004, pacs.028 and camt.056.
    pub(crate) fn write(&self, profile: &Profile) -> [Element; 4] {
        let definition = match self.kind {
            OriginalKind::CreditTransfer => &profile.definitions.credit_transfer,
            OriginalKind::PaymentReturn => &profile.definitions.payment_return,
        };
        [
            Element::new("OrgnlGrpInf")
                .with("OrgnlMsgId", &*self.message_id)
                .with("OrgnlMsgNmId", &**definition),
            Element::leaf("OrgnlEndToEndId", &*self.end_to_end_id),
            Element::leaf("OrgnlTxId", &*self.transaction_id),
            Element::leaf("OrgnlUETR", self.uetr.to_string()),
        ]
    }

    pub(crate) fn read(transaction: &Element) -> Result<Self, Error> {
        let definition = transaction.read_optional("OrgnlGrpInf/OrgnlMsgNmId", 35)?;
        let is_return = definition.is_some_and(|definition| definition.starts_with("pacs.004"));
        Ok(Self {
            kind: if is_return { OriginalKind::PaymentReturn } else { OriginalKind::CreditTransfer },
            message_id: transaction.read("OrgnlGrpInf/OrgnlMsgId", 35)?,
            end_to_end_id: transaction.read("OrgnlEndToEndId", 35)?,
            transaction_id: transaction.read("OrgnlTxId", 35)?,
            uetr: read_uetr(transaction, "OrgnlUETR")?,
        })
    }
}

pub(crate) fn read_uetr(parent: &Element, path: &str) -> Result<Uuid, Error> {
    let text = parent.read(path, 36)?;
    let uetr = Uuid::parse_str(&text).ok().filter(|uetr| text.len() == 36 && !uetr.is_nil());
    uetr.ok_or_else(|| Error::Invalid { path: path.to_owned(), reason: "it is no UUID" })
}

/// A code of the standard's external code sets, or one of the rail's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    Code(String),
    Proprietary(String),
}

impl Reason {
    pub fn code(code: &str) -> Self {
        Self::Code(code.to_owned())
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Code(text) | Self::Proprietary(text) => text,
        }
    }

    /// Within an element such as `StsRsnInf`.
    pub(crate) fn write(&self, name: &str) -> Element {
        Element::new(name).with(
            match self {
                Self::Code(_) => "Rsn/Cd",
                Self::Proprietary(_) => "Rsn/Prtry",
            },
            self.as_str(),
        )
    }

    pub(crate) fn read(parent: &Element, name: &str) -> Result<Option<Self>, Error> {
        let Some(reason) = parent.at(&format!("{name}/Rsn"))? else { return Ok(None) };
        if let Some(code) = reason.read_optional("Cd", 4)? {
            return Ok(Some(Self::Code(code)));
        }
        Ok(Some(Self::Proprietary(reason.read("Prtry", 35)?)))
    }
}
