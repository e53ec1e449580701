//! A message: its header, and the document.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::{
    CancellationRequest, CancellationResolution, CreditTransfer, Element, Error, PaymentReturn, Profile,
    StatusReport, StatusRequest, agent,
};

const ENVELOPE: &str = "urn:iso:std:iso:20022:tech:xsd:nvlp.001.001.01";
const HEADER: &str = "urn:iso:std:iso:20022:tech:xsd:head.001.001.02";
const NAMESPACE_PREFIX: &str = "urn:iso:std:iso:20022:tech:xsd:";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Banks, as the profile names them.
    pub from: String,
    pub to: String,
    /// 1 to 35 characters. A message that is repeated keeps it.
    pub id: String,
    /// To the millisecond.
    pub created_at: Timestamp,
    pub document: Document,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    CreditTransfer(CreditTransfer),
    StatusReport(StatusReport),
    StatusRequest(StatusRequest),
    PaymentReturn(PaymentReturn),
    CancellationRequest(CancellationRequest),
    CancellationResolution(CancellationResolution),
}

impl Document {
    fn definition<'a>(&self, profile: &'a Profile) -> &'a str {
        let definitions = &profile.definitions;
        match self {
            Self::CreditTransfer(_) => &definitions.credit_transfer,
            Self::StatusReport(_) => &definitions.status_report,
            Self::StatusRequest(_) => &definitions.status_request,
            Self::PaymentReturn(_) => &definitions.payment_return,
            Self::CancellationRequest(_) => &definitions.cancellation_request,
            Self::CancellationResolution(_) => &definitions.cancellation_resolution,
        }
    }
}

impl Message {
    /// The envelope, as it travels.
    pub fn to_xml(&self, profile: &Profile) -> String {
        let envelope = Element::new("BizMsgEnvlp")
            .in_namespace(ENVELOPE)
            .child(Element::new("Hdr").child(self.header(profile)))
            .child(Element::new("Doc").child(self.document(profile)));
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", envelope.to_xml())
    }

    /// `AppHdr` alone.
    pub fn header(&self, profile: &Profile) -> Element {
        let bank = |name, bank: &str| Element::new(name).child(agent::write("FIId", Some(bank), profile));
        Element::new("AppHdr")
            .in_namespace(HEADER)
            .child(bank("Fr", &self.from))
            .child(bank("To", &self.to))
            .with("BizMsgIdr", &*self.id)
            .with("MsgDefIdr", self.document.definition(profile))
            .with("CreDt", time(self.created_at))
    }

    /// `Document` alone.
    pub fn document(&self, profile: &Profile) -> Element {
        let content = match &self.document {
            Document::CreditTransfer(document) => document.write(self, profile),
            Document::StatusReport(document) => document.write(self, profile),
            Document::StatusRequest(document) => document.write(self, profile),
            Document::PaymentReturn(document) => document.write(self, profile),
            Document::CancellationRequest(document) => document.write(self, profile),
            Document::CancellationResolution(document) => document.write(self, profile),
        };
        let namespace = format!("{NAMESPACE_PREFIX}{}", self.document.definition(profile));
        Element::new("Document").in_namespace(namespace).child(content)
    }

    pub fn read(bytes: &[u8], profile: &Profile) -> Result<Self, Error> {
        let envelope = Element::parse(bytes)?;
        if envelope.name() != "BizMsgEnvlp" || envelope.namespace() != ENVELOPE {
            return Err(Error::UnknownDefinition(envelope.namespace().to_owned()));
        }
        let (header, document) =
            (content(&envelope, "Hdr", "AppHdr")?, content(&envelope, "Doc", "Document")?);
        if header.namespace() != HEADER {
            return Err(Error::UnknownDefinition(header.namespace().to_owned()));
        }
        let definition = header.read("MsgDefIdr", 35)?;
        if document.namespace().strip_prefix(NAMESPACE_PREFIX) != Some(definition.as_str()) {
            return Err(Error::UnknownDefinition(document.namespace().to_owned()));
        }
        let bank =
            |path: &str| agent::read(header, path)?.ok_or_else(|| Error::Missing(format!("AppHdr/{path}")));
        Ok(Self {
            from: bank("Fr/FIId")?,
            to: bank("To/FIId")?,
            id: header.read("BizMsgIdr", 35)?,
            created_at: read_time(header, "CreDt")?,
            document: read_document(document, &definition, profile)?,
        })
    }
}

/// What a part of the envelope holds, in a namespace of its own.
fn content<'a>(envelope: &'a Element, part: &str, name: &str) -> Result<&'a Element, Error> {
    let content = envelope.required(part)?.only_child().filter(|content| content.name() == name);
    content.ok_or_else(|| Error::Missing(format!("{part}/{name}")))
}

fn read_document(document: &Element, definition: &str, profile: &Profile) -> Result<Document, Error> {
    let root = document.only_child().ok_or_else(|| Error::Missing("Document's content".to_owned()))?;
    if root.namespace() != document.namespace() {
        return Err(Error::UnknownDefinition(root.namespace().to_owned()));
    }
    let read = match root.name() {
        CreditTransfer::ROOT => CreditTransfer::read(root).map(Document::CreditTransfer),
        StatusReport::ROOT => StatusReport::read(root).map(Document::StatusReport),
        StatusRequest::ROOT => StatusRequest::read(root).map(Document::StatusRequest),
        PaymentReturn::ROOT => PaymentReturn::read(root).map(Document::PaymentReturn),
        CancellationRequest::ROOT => CancellationRequest::read(root).map(Document::CancellationRequest),
        CancellationResolution::ROOT => {
            CancellationResolution::read(root).map(Document::CancellationResolution)
        }
        _ => Err(Error::UnknownDefinition(definition.to_owned())),
    }?;
    if read.definition(profile) != definition {
        return Err(Error::UnknownDefinition(definition.to_owned()));
    }
    Ok(read)
}

pub(crate) fn group_header(message: &Message) -> Element {
    Element::new("GrpHdr").with("MsgId", &*message.id).with("CreDtTm", time(message.created_at))
}

/// Who sends, and to whom.
pub(crate) fn instructing(message: &Message, profile: &Profile) -> [Element; 2] {
    [
        agent::write("InstgAgt", Some(&message.from), profile),
        agent::write("InstdAgt", Some(&message.to), profile),
    ]
}

/// `ISODateTime`, in UTC and to the millisecond.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A time without an offset is UTC: the standard leaves it to the parties.
pub(crate) fn read_time(parent: &Element, path: &str) -> Result<Timestamp, Error> {
    let text = parent.read(path, 40)?;
    let invalid = || Error::Invalid { path: path.to_owned(), reason: "it is no date and time" };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let civil: DateTime = text.parse().map_err(|_| invalid())?;
    civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| invalid())
}

pub(crate) fn date(text: &str, path: &str) -> Result<Date, Error> {
    text.parse().map_err(|_| Error::Invalid { path: path.to_owned(), reason: "it is no date" })
}
