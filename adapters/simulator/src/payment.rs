//! A payment as a bank instructs it: checked for form, never for funds.

use axum::http::StatusCode;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::input::Input;
use crate::problem::Problem;

/// ISO 20022 `Max35Text`, `Max140Text` and `Max140Text`.
const END_TO_END_ID_CHARS_MAX: usize = 35;
const NAME_CHARS_MAX: usize = 140;
const REMITTANCE_CHARS_MAX: usize = 140;
const CALLBACK_URL_CHARS_MAX: usize = 2_048;
/// The shortest IBAN (Norway) and the longest that ISO 13616 allows.
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;

#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) uetr: Uuid,
    pub(crate) end_to_end_id: String,
    pub(crate) amount: MinorUnits,
    pub(crate) currency: String,
    pub(crate) creditor_iban: String,
    /// Where answers go that cannot go back the way that the payment came. Not part of the content: a sender
    /// that has moved sends the same payment.
    pub(crate) callback_url: Option<Url>,
    pub(crate) content_hash: ContentHash,
}

impl Payment {
    pub(crate) fn from_input(mut input: Input) -> Result<Self, Problem> {
        let uetr = input.text("uetr", 1..=64)?;
        let uetr = parse_uetr(&uetr).ok_or_else(|| input.invalid("uetr", "is not a UUID"))?;
        let end_to_end_id = input.text("end_to_end_id", 1..=END_TO_END_ID_CHARS_MAX)?;
        let (amount, currency) = read_amount(input.object("amount")?)?;
        let debtor = Party::from_input(input.object("debtor")?, BicRule::Unknown)?;
        let creditor = Party::from_input(input.object("creditor")?, BicRule::Optional)?;
        let remittance = input.optional_text("remittance", 0..=REMITTANCE_CHARS_MAX)?;
        let callback_url = read_callback_url(&mut input)?;
        input.finish()?;
        let content = (uetr, &end_to_end_id, amount, &currency, &debtor, &creditor, &remittance);
        let content_hash = ContentHash::of(&content)?;
        let creditor_iban = creditor.iban;
        Ok(Self { uetr, end_to_end_id, amount, currency, creditor_iban, callback_url, content_hash })
    }
}

/// The 36-character form only, so that one UETR has one spelling but for its case.
pub(crate) fn parse_uetr(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().filter(|uetr| !uetr.is_nil())
}

/// A positive amount in the currency's minor unit; a string of digits in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct MinorUnits(i64);

impl TryFrom<String> for MinorUnits {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // One spelling per amount: neither sign nor leading zero.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
            return Err("is not a positive whole number of minor units");
        }
        text.parse().map(Self).map_err(|_| "is not a positive amount that fits 63 bits")
    }
}

impl From<MinorUnits> for String {
    fn from(amount: MinorUnits) -> Self {
        amount.0.to_string()
    }
}

/// Tells whether a UETR comes back with the same payment, also after a restart, without keeping names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ContentHash(u128);

impl ContentHash {
    fn of(content: &impl Serialize) -> Result<Self, Problem> {
        // Text cannot fail to serialize; if it ever does, refusing beats paying under a wrong hash.
        let bytes = serde_json::to_vec(content)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "malformed-json", error.to_string()))?;
        let digest = Sha256::digest(bytes);
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Ok(Self(u128::from_be_bytes(half)))
    }
}

impl TryFrom<String> for ContentHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hash = u128::from_str_radix(&text, 16).map_err(|_| "is not a hash")?;
        (text.len() == 32).then_some(Self(hash)).ok_or("is not a hash of 32 digits")
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        format!("{:032x}", hash.0)
    }
}

#[derive(Serialize)]
struct Party {
    iban: String,
    name: String,
    bic: Option<String>,
}

#[derive(PartialEq)]
enum BicRule {
    Optional,
    Unknown,
}

impl Party {
    fn from_input(mut input: Input, rule: BicRule) -> Result<Self, Problem> {
        let iban = input.text("iban", IBAN_CHARS)?;
        if !is_iban(&iban) {
            return Err(input.invalid("iban", "is not an IBAN without spaces"));
        }
        let name = input.text("name", 1..=NAME_CHARS_MAX)?;
        let mut bic = None;
        if rule == BicRule::Optional {
            bic = input.optional_text("bic", 8..=11)?;
            if bic.as_deref().is_some_and(|bic| !is_bic(bic)) {
                return Err(input.invalid("bic", "is not a BIC of 8 or 11 letters and digits"));
            }
        }
        input.finish()?;
        Ok(Self { iban, name, bic })
    }
}

fn read_amount(mut input: Input) -> Result<(MinorUnits, String), Problem> {
    let amount = MinorUnits::try_from(input.text("amount", 1..=19)?)
        .map_err(|fault| input.invalid("amount", fault))?;
    let currency = input.text("currency", 3..=3)?;
    if !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(input.invalid("currency", "is not three capital letters"));
    }
    input.finish()?;
    Ok((amount, currency))
}

fn read_callback_url(input: &mut Input) -> Result<Option<Url>, Problem> {
    let Some(text) = input.optional_text("callback_url", 1..=CALLBACK_URL_CHARS_MAX)? else {
        return Ok(None);
    };
    match Url::parse(&text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(Some(url)),
        _ => Err(input.invalid("callback_url", "is not an absolute http URL")),
    }
}

/// Form only. The check digits are the sender's business, and demos invent accounts.
fn is_iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 4
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && bytes[4..].iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_bic(text: &str) -> bool {
    matches!(text.len(), 8 | 11)
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::{MinorUnits, Payment};
    use crate::input::Input;
    use crate::problem::Problem;

    pub(crate) fn sample() -> Value {
        json!({
            "uetr": "0b2c1f7e-3f0d-4c39-9d6e-4b8f3c1a2d5e",
            "end_to_end_id": "rent-2025-01",
            "amount": { "amount": "1250", "currency": "DKK" },
            "debtor": { "iban": "DK5000400440116243", "name": "Ada" },
            "creditor": { "iban": "DK9520000123456789", "name": "Bo", "bic": "NDEADKKK" },
            "remittance": "January",
            "callback_url": "http://127.0.0.1:1/answers"
        })
    }

    pub(crate) fn read(value: &Value) -> Result<Payment, Problem> {
        Payment::from_input(Input::parse(value.to_string().as_bytes())?)
    }

    #[test]
    fn each_bad_field_is_named() {
        let cases = [
            ("/uetr", json!("0b2c1f7e3f0d4c399d6e4b8f3c1a2d5e"), "uetr"),
            ("/uetr", json!("00000000-0000-0000-0000-000000000000"), "uetr"),
            ("/end_to_end_id", json!("x".repeat(36)), "end_to_end_id"),
            ("/end_to_end_id", json!(""), "end_to_end_id"),
            ("/amount/amount", json!(1250), "amount.amount"),
            ("/amount/amount", json!("-1"), "amount.amount"),
            ("/amount/amount", json!("0"), "amount.amount"),
            ("/amount/amount", json!("012"), "amount.amount"),
            ("/amount/amount", json!("9223372036854775808"), "amount.amount"),
            ("/amount/currency", json!("dkk"), "amount.currency"),
            ("/debtor/iban", json!("DK50 0040 0440 1162 43"), "debtor.iban"),
            ("/debtor/name", json!(null), "debtor.name"),
            ("/creditor/bic", json!("NDEADKKK1"), "creditor.bic"),
            ("/remittance", json!("x".repeat(141)), "remittance"),
            ("/callback_url", json!("https://127.0.0.1/"), "callback_url"),
            ("/callback_url", json!("file:///etc"), "callback_url"),
        ];
        for (pointer, value, field) in cases {
            let mut body = sample();
            *body.pointer_mut(pointer).unwrap() = value.clone();
            let problem = read(&body).expect_err(field);
            assert_eq!(problem.field(), Some(field), "{pointer} = {value}");
        }
    }

    #[test]
    fn the_largest_amount_is_accepted() {
        assert!(MinorUnits::try_from(i64::MAX.to_string()).is_ok());
        assert!(MinorUnits::try_from(String::new()).is_err());
    }

    #[test]
    fn every_member_but_the_callback_url_is_content() {
        let first = read(&sample()).unwrap().content_hash;
        let changes = [
            ("/uetr", json!("1b2c1f7e-3f0d-4c39-9d6e-4b8f3c1a2d5e")),
            ("/end_to_end_id", json!("other")),
            ("/amount/amount", json!("1251")),
            ("/amount/currency", json!("EUR")),
            ("/debtor/iban", json!("DK5000400440116244")),
            ("/debtor/name", json!("Eve")),
            ("/creditor/iban", json!("DK9520000123456780")),
            ("/creditor/name", json!("Eve")),
            ("/creditor/bic", json!(null)),
            ("/remittance", json!(null)),
        ];
        for (pointer, value) in changes {
            let mut body = sample();
            *body.pointer_mut(pointer).unwrap() = value;
            assert_ne!(read(&body).unwrap().content_hash, first, "{pointer}");
        }
        let mut moved = sample();
        moved["callback_url"] = json!(null);
        assert_eq!(read(&moved).unwrap().content_hash, first);
    }
}
