//! pacs.002: what became of a payment. pacs.028: what became of it?

use jiff::Timestamp;
use money::Money;

use crate::{Element, Error, Message, Original, Profile, Reason, amount, message};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    pub original: Original,
    pub status: TransactionStatus,
    pub reason: Option<Reason>,
    /// When the money moved, for a payment that is settled.
    pub settled_at: Option<Timestamp>,
    /// Of the payment, as whoever reports has it.
    pub amount: Option<Money>,
}

/// `ExternalPaymentTransactionStatus1Code`, as far as instant rails use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// ACSC, ACCC: the money has moved.
    Settled,
    /// ACTC, ACSP, PDNG, ACWP: taken, and not ended.
    Pending(PendingStatus),
    /// The creditor's bank will credit: to the debtor's bank as good as settled, to the creditor's a word of its own. It is written with the
    /// profile's code, and read of ACCP.
    Accepted,
    /// RJCT.
    Rejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingStatus(&'static str);

const AMOUNT_PATH: &str = "OrgnlTxRef/IntrBkSttlmAmt";
const PENDING: [&str; 4] = ["ACSP", "ACTC", "PDNG", "ACWP"];

impl PendingStatus {
    pub fn code(self) -> &'static str {
        self.0
    }
}

impl TransactionStatus {
    /// Accepted, settlement in process.
    pub const IN_PROCESS: Self = Self::Pending(PendingStatus("ACSP"));
    /// Accepted without posting: the creditor's bank has the money, and looks at it.
    pub const WITHOUT_POSTING: Self = Self::Pending(PendingStatus("ACWP"));

    fn code(self, profile: &Profile) -> &str {
        match self {
            Self::Settled => "ACSC",
            Self::Pending(PendingStatus(code)) => code,
            Self::Accepted => &profile.acceptance,
            Self::Rejected => "RJCT",
        }
    }

    fn of(code: &str) -> Option<Self> {
        match code {
            "ACSC" | "ACCC" => Some(Self::Settled),
            "ACCP" => Some(Self::Accepted),
            "RJCT" => Some(Self::Rejected),
            _ => PENDING.iter().find(|known| **known == code).map(|code| Self::Pending(PendingStatus(code))),
        }
    }
}

impl StatusReport {
    pub(crate) const ROOT: &str = "FIToFIPmtStsRpt";

    pub(crate) fn write(&self, message: &Message, profile: &Profile) -> Element {
        let settled_at = self.settled_at.map(message::time);
        let amount = self.amount.map(|amount| amount::write("IntrBkSttlmAmt", amount));
        let amount = amount.map(|amount| Element::new("OrgnlTxRef").child(amount));
        let transaction = Element::new("TxInfAndSts")
            .children(self.original.write(profile))
            .with("TxSts", self.status.code(profile))
            .children(self.reason.as_ref().map(|reason| reason.write("StsRsnInf")))
            .children(settled_at.map(|at| Element::nested("FctvIntrBkSttlmDt/DtTm", at)))
            .children(amount);
        let group = message::group_header(message).children(message::instructing(message, profile));
        Element::new(Self::ROOT).child(group).child(transaction)
    }

    pub(crate) fn read(root: &Element) -> Result<Self, Error> {
        let transaction = root.required("TxInfAndSts")?;
        let code = transaction.read("TxSts", 4)?;
        let status = TransactionStatus::of(&code);
        let status =
            status.ok_or(Error::Invalid { path: "TxSts".to_owned(), reason: "the status is unknown" })?;
        let at = "FctvIntrBkSttlmDt/DtTm";
        let settled_at = transaction.at(at)?.map(|_| message::read_time(transaction, at)).transpose()?;
        let stated = transaction.at(AMOUNT_PATH)?;
        Ok(Self {
            original: Original::read(transaction)?,
            status,
            reason: Reason::read(transaction, "StsRsnInf")?,
            settled_at,
            amount: stated.map(|_| amount::read(transaction, AMOUNT_PATH)).transpose()?,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRequest {
    pub original: Original,
}

impl StatusRequest {
    pub(crate) const ROOT: &str = "FIToFIPmtStsReq";

    pub(crate) fn write(&self, message: &Message, profile: &Profile) -> Element {
        let group = message::group_header(message).children(message::instructing(message, profile));
        let transaction = Element::new("TxInf").children(self.original.write(profile));
        Element::new(Self::ROOT).child(group).child(transaction)
    }

    pub(crate) fn read(root: &Element) -> Result<Self, Error> {
        Ok(Self { original: Original::read(root.required("TxInf")?)? })
    }
}
