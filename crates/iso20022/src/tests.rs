//! Each message of each profile: as committed, as the published schemas want, and read back; and what is refused.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use money::{Currency, Money};
use uuid::Uuid;

use crate::{
    BYTES_MAX, CancellationRequest, CancellationResolution, CancellationStatus, CreditTransfer, Document,
    Error, Message, Original, OriginalKind, Party, PaymentReturn, Profile, Reason, StatusReport,
    StatusRequest, TransactionStatus,
};

const UETR: Uuid = Uuid::from_u128(0x0b2c_1f7e_3f0d_4c39_9d6e_4b8f_3c1a_2d5e);
const AT: &str = "2026-11-22T10:30:00.125Z";
const ID: &str = "0198c1f200007000800000000000000a";

struct Rail {
    profile: Profile,
    banks: [&'static str; 2],
    accounts: [&'static str; 2],
    amount: Money,
}

fn rails() -> Vec<Rail> {
    vec![
        Rail {
            profile: Profile::named("nct-inst").unwrap(),
            banks: ["LUNADK22XXX", "NCTIDKK1XXX"],
            accounts: ["DK5000400440116243", "DK9520000123456789"],
            amount: Money::new(125_005, Currency::DKK),
        },
        Rail {
            profile: Profile::named("fednow").unwrap(),
            banks: ["021040078", "021150706"],
            accounts: ["567876543", "0123456789"],
            amount: Money::new(5_174, "USD".parse().unwrap()),
        },
    ]
}

impl Rail {
    fn documents(&self) -> Vec<(&'static str, Document)> {
        let original = Original {
            kind: OriginalKind::CreditTransfer,
            message_id: ID.to_owned(),
            end_to_end_id: "rent-2026-11".to_owned(),
            transaction_id: ID.to_owned(),
            uetr: UETR,
        };
        let party = |n: usize, agent: Option<&str>| Party {
            name: ["Ada Lund & Søn <ApS>", "Bo Berg"][n].to_owned(),
            account: self.accounts[n].to_owned(),
            agent: agent.map(str::to_owned),
        };
        let day = "2026-11-22".parse().unwrap();
        let resolved = |status, reason| {
            let case_id = "recall-1".to_owned();
            Document::CancellationResolution(CancellationResolution {
                case_id,
                original: original.clone(),
                status,
                reason,
            })
        };
        vec![
            (
                "credit_transfer",
                Document::CreditTransfer(CreditTransfer {
                    end_to_end_id: original.end_to_end_id.clone(),
                    transaction_id: ID.to_owned(),
                    uetr: UETR,
                    amount: self.amount,
                    settlement_date: day,
                    accepted_at: AT.parse().unwrap(),
                    debtor: party(0, Some(self.banks[0])),
                    creditor: party(1, None),
                    remittance: Some("rent for \"November\"".to_owned()),
                }),
            ),
            ("status_request", Document::StatusRequest(StatusRequest { original: original.clone() })),
            (
                "payment_return",
                Document::PaymentReturn(PaymentReturn {
                    return_id: "return-1".to_owned(),
                    original: original.clone(),
                    original_amount: self.amount,
                    amount: self.amount.minus(Money::new(500, self.amount.currency())).unwrap(),
                    settlement_date: day,
                    reason: Reason::code("FOCR"),
                }),
            ),
            (
                "cancellation_request",
                Document::CancellationRequest(CancellationRequest {
                    case_id: "recall-1".to_owned(),
                    original: original.clone(),
                    amount: self.amount,
                    reason: Reason::code("DUPL"),
                }),
            ),
            ("cancellation_accepted", resolved(CancellationStatus::Accepted, None)),
            ("cancellation_rejected", resolved(CancellationStatus::Rejected, Some(Reason::code("CUST")))),
        ]
        .into_iter()
        .chain(statuses(&original))
        .collect()
    }

    fn message(&self, document: Document) -> Message {
        let [from, to] = self.banks.map(str::to_owned);
        Message { from, to, id: ID.to_owned(), created_at: AT.parse().unwrap(), document }
    }
}

/// All that can be said of a payment.
fn statuses(original: &Original) -> Vec<(&'static str, Document)> {
    let report = |status, reason, settled_at| {
        let amount = None;
        Document::StatusReport(StatusReport {
            original: original.clone(),
            status,
            reason,
            settled_at,
            amount,
        })
    };
    vec![
        ("settled", report(TransactionStatus::Settled, None, Some(AT.parse().unwrap()))),
        ("rejected", report(TransactionStatus::Rejected, Some(Reason::code("AC04")), None)),
        ("pending", report(TransactionStatus::WITHOUT_POSTING, None, None)),
        ("accepted", report(TransactionStatus::Accepted, None, None)),
        (
            "return_settled",
            Document::StatusReport(StatusReport {
                original: Original { kind: OriginalKind::PaymentReturn, ..original.clone() },
                status: TransactionStatus::Settled,
                reason: None,
                settled_at: Some(AT.parse().unwrap()),
                amount: Some(Money::new(12_500, Currency::DKK)),
            }),
        ),
    ]
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn sample(profile: &str, name: &str) -> PathBuf {
    directory().join(profile).join(format!("{name}.xml"))
}

#[test]
fn messages_are_written_as_committed_and_read_back() {
    for rail in rails() {
        for (name, document) in rail.documents() {
            let (message, file) = (rail.message(document), sample(&rail.profile.name, name));
            let xml = message.to_xml(&rail.profile);
            if env::var_os("UPDATE_SAMPLES").is_some() {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &xml).unwrap();
            }
            assert_eq!(xml, fs::read_to_string(&file).unwrap(), "{name}: UPDATE_SAMPLES=1 writes it");
            let read = Message::read(xml.as_bytes(), &rail.profile).unwrap();
            match read.document {
                // Its code is the rail's own, and may say less.
                Document::StatusReport(report) if name == "accepted" => {
                    let is_open =
                        matches!(report.status, TransactionStatus::Accepted | TransactionStatus::Pending(_));
                    assert!(is_open, "{:?}", report.status);
                }
                _ => assert_eq!(read, message, "{name}"),
            }
        }
    }
}

#[test]
fn an_independent_library_finds_the_messages_valid_and_a_broken_one_not() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/iso20022.sh");
    let files = rails().into_iter().flat_map(|rail| {
        let name = rail.profile.name.clone();
        rail.documents().into_iter().map(move |(document, _)| sample(&name, document))
    });
    let output = Command::new(&script).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(sample("nct-inst", "credit_transfer")).unwrap();
    // A UETR that is no version 4, a code that is too long, what is required gone, two elements changed round.
    let broken = [
        text.replace("-4c39-", "-7c39-"),
        text.replace(">INST<", &format!(">{}<", "I".repeat(36))),
        text.replace("<ChrgBr>SLEV</ChrgBr>", ""),
        text.replace("<NbOfTxs>1</NbOfTxs>", "").replace("</GrpHdr>", "<NbOfTxs>1</NbOfTxs></GrpHdr>"),
        text.replace("1250.05", "1250.123456"),
    ];
    for (n, text) in broken.into_iter().enumerate() {
        let file = folder.path().join(format!("{n}.xml"));
        fs::write(&file, text).unwrap();
        let output = Command::new(&script).arg(&file).output().unwrap();
        assert!(!output.status.success(), "{n}");
    }
}

fn read(text: &str) -> Result<Message, Error> {
    Message::read(text.as_bytes(), &Profile::named("nct-inst").unwrap())
}

fn transfer() -> String {
    fs::read_to_string(sample("nct-inst", "credit_transfer")).unwrap()
}

#[test]
fn what_an_attacker_would_use_is_refused() {
    let text = transfer();
    let (declaration, rest) = text.split_at(text.find('\n').unwrap());
    let laughs = "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    let cases = [
        (
            format!("{declaration}{laughs}{}", rest.replace("Bo Berg", "&b;")),
            Error::Refused("a document type"),
        ),
        (text.replace("Bo Berg", "&xxe;"), Error::Refused("an entity")),
        (text.replace("Bo Berg", "<?php x?>Bo"), Error::Refused("a processing instruction")),
        ("<a>".repeat(40), Error::Refused("so large a tree of elements")),
        (format!("<a>{}</a>", "<b/>".repeat(15_000)), Error::Refused("so large a tree of elements")),
        ("x".repeat(BYTES_MAX + 1), Error::TooLarge(BYTES_MAX)),
        (text.replace("UTF-8", "ISO-8859-1"), Error::NotUtf8),
        (text.replace("<GrpHdr>", "<GrpHdr><!-- \0 -->"), Error::Refused("a control character")),
        (text.replace("Bo Berg", "Bo&#1;"), Error::Refused("a control character")),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&text), Err(expected), "{text:.200}");
    }
    assert_eq!(Message::read(&[b'<', 0xff], &Profile::named("fednow").unwrap()), Err(Error::NotUtf8));
    for text in ["", "<a", "<a></b>", "</a>", "<a/><b/>", "text", "<x:a/>", "<a b='1' b='2'/>", "<a>&#0;</a>"]
    {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn a_message_that_ends_anywhere_is_refused_and_nothing_panics() {
    let text = transfer();
    for length in 0..text.len() - 1 {
        assert!(
            Message::read(&text.as_bytes()[..length], &Profile::named("nct-inst").unwrap()).is_err(),
            "{length}"
        );
    }
}

#[test]
fn amounts_are_exact() {
    let text = transfer();
    let split = text.replace(">1250.05<", ">12<y/>50.05<");
    assert!(matches!(read(&split), Err(Error::Invalid { .. })));
    let amount = |decimal: &str, currency: &str| {
        let changed = text.replace("Ccy=\"DKK\">1250.05", &format!("Ccy=\"{currency}\">{decimal}"));
        match read(&changed)?.document {
            Document::CreditTransfer(transfer) => Ok(transfer.amount),
            other => panic!("{other:?}"),
        }
    };
    let good = [
        ("1250.05", "DKK", 125_005),
        ("1250.5", "DKK", 125_050),
        ("7", "DKK", 700),
        ("0.01", "DKK", 1),
        ("12.500", "DKK", 1_250),
        ("12", "JPY", 12),
        ("1.234", "KWD", 1_234),
    ];
    for (decimal, currency, minor) in good {
        assert_eq!(amount(decimal, currency), Ok(Money::new(minor, currency.parse().unwrap())), "{decimal}");
    }
    let bad = [
        ("1250.051", "DKK"),
        ("-1", "DKK"),
        ("+1", "DKK"),
        ("1e3", "DKK"),
        ("0", "DKK"),
        (".5", "DKK"),
        ("1,5", "DKK"),
        ("1.0", "XXX"),
        ("1.5", "JPY"),
        ("12345678901234567.89", "DKK"),
        ("99999999999999999999", "DKK"),
        ("1 ", "dkk"),
    ];
    for (decimal, currency) in bad {
        assert!(matches!(amount(decimal, currency), Err(Error::Invalid { .. })), "{decimal} {currency}");
    }
}

#[test]
fn a_rail_refuses_amounts_that_it_cannot_carry() {
    let profile = Profile::named("nct-inst").unwrap();
    assert_eq!(profile.refuses(Money::new(1, Currency::EUR)), None);
    assert_eq!(profile.refuses(Money::new(1, "USD".parse().unwrap())), Some("AM03"));
    assert_eq!(profile.refuses(Money::new(i64::MAX, Currency::EUR)), Some("AM02"));
}

#[test]
fn an_answer_to_a_recall_that_contradicts_itself_is_refused() {
    let text = fs::read_to_string(sample("nct-inst", "cancellation_rejected")).unwrap();
    let changed = text.replace("<Conf>RJCR</Conf>", "<Conf>CNCL</Conf>");
    assert!(matches!(read(&changed), Err(Error::Invalid { .. })));
}

#[test]
fn what_is_missing_doubled_or_of_another_rail_is_named() {
    let text = transfer();
    let cases = [
        (
            text.replace("<UETR>0b2c1f7e-3f0d-4c39-9d6e-4b8f3c1a2d5e</UETR>", ""),
            Error::Missing("PmtId/UETR".to_owned()),
        ),
        (
            text.replace("</CdtTrfTxInf>", "</CdtTrfTxInf><CdtTrfTxInf/>"),
            Error::Repeated("CdtTrfTxInf".to_owned()),
        ),
        (
            text.replace("pacs.008.001.08", "pacs.008.001.02"),
            Error::UnknownDefinition("pacs.008.001.02".to_owned()),
        ),
        (
            text.replace("nvlp.001", "nvlp.002"),
            Error::UnknownDefinition("urn:iso:std:iso:20022:tech:xsd:nvlp.002.001.01".to_owned()),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&text), Err(expected));
    }
    let fednow = fs::read(sample("fednow", "payment_return")).unwrap();
    let newer = Error::UnknownDefinition("pacs.004.001.10".to_owned());
    assert_eq!(Message::read(&fednow, &Profile::named("nct-inst").unwrap()), Err(newer));
}

#[test]
fn prefixes_comments_and_elements_that_we_do_not_name_change_nothing() {
    let text = transfer();
    let (before, rest) = text.split_at(text.find("<AppHdr").unwrap());
    let (header, after) = rest.split_at(rest.find("</Hdr>").unwrap());
    let header = header.replace('<', "<h:").replace("<h:/", "</h:").replace("xmlns=", "xmlns:h=");
    let changed = format!("{before}{header}{after}")
        .replace("<h:Fr>", "<!-- who --><h:Fr>")
        .replace("<SttlmMtd>", "<SttlmAcct><Id><Othr><Id>1</Id></Othr></Id></SttlmAcct><SttlmMtd>")
        .replace("Ccy=\"DKK\"", "y:Ccy=\"EUR\" Ccy=\"DKK\"")
        .replace("<ChrgBr>", "<IntrBkSttlmAmt xmlns=\"urn:other\" Ccy=\"EUR\">9</IntrBkSttlmAmt><ChrgBr>")
        .replace("<CdtTrfTxInf>", "<CdtTrfTxInf xmlns:y=\"urn:other\">")
        .replace("Bo Berg", "<![CDATA[Bo ]]>&#66;erg");
    assert_ne!(changed, text);
    assert_eq!(read(&changed), read(&text));
}
