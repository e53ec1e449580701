//! pacs.004: the money of a settled payment comes back.

use jiff::civil::Date;
use money::Money;

use crate::{Element, Error, Message, Original, Profile, Reason, amount, credit_transfer, message};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentReturn {
    pub return_id: String,
    pub original: Original,
    pub original_amount: Money,
    /// What comes back: a bank may keep a fee.
    pub amount: Money,
    pub settlement_date: Date,
    pub reason: Reason,
}

impl PaymentReturn {
    pub(crate) const ROOT: &str = "PmtRtr";

    pub(crate) fn write(&self, message: &Message, profile: &Profile) -> Element {
        let group = message::group_header(message)
            .with("NbOfTxs", "1")
            .child(credit_transfer::settlement(profile))
            .children(message::instructing(message, profile));
        let transaction = Element::new("TxInf")
            .with("RtrId", &*self.return_id)
            .children(self.original.write(profile))
            .child(amount::write("OrgnlIntrBkSttlmAmt", self.original_amount))
            .child(amount::write("RtrdIntrBkSttlmAmt", self.amount))
            .with("IntrBkSttlmDt", self.settlement_date.to_string())
            .child(self.reason.write("RtrRsnInf"));
        Element::new(Self::ROOT).child(group).child(transaction)
    }

    pub(crate) fn read(root: &Element) -> Result<Self, Error> {
        let transaction = root.required("TxInf")?;
        let date = transaction.read("IntrBkSttlmDt", 10)?;
        let reason = Reason::read(transaction, "RtrRsnInf")?;
        Ok(Self {
            return_id: transaction.read("RtrId", 35)?,
            original: Original::read(transaction)?,
            original_amount: amount::read(transaction, "OrgnlIntrBkSttlmAmt")?,
            amount: amount::read(transaction, "RtrdIntrBkSttlmAmt")?,
            settlement_date: message::date(&date, "IntrBkSttlmDt")?,
            reason: reason.ok_or_else(|| Error::Missing("RtrRsnInf/Rsn".to_owned()))?,
        })
    }
}
