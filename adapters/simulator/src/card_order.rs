//! What a merchant's terminals are ordered to do with a card.

use money::{Currency, Money};
use url::Url;
use uuid::Uuid;

use crate::input::Input;
use crate::problem::Problem;

/// A storm.
const COUNT_MAX: u32 = 10_000;
const PARTS_MAX: u32 = 10;
const MERCHANT: &str = "Bakery Lund";

/// How a payment by card begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is asked for.
    Purchase,
    /// It is given up before it is asked for, as a terminal does whose messages overtake each other.
    ReversedEarly,
    /// It is collected without having been asked for.
    ForcePost,
    /// Money comes back for something else.
    Refund,
    /// The network decides without asking.
    StandIn,
}

/// What somebody has ordered, for each of `count` payments.
#[derive(Debug, Clone)]
pub(crate) struct CardOrder {
    pub(crate) card_id: Uuid,
    /// The bank's adapter, unless the network knows.
    pub(crate) deliver_to: Option<Url>,
    pub(crate) count: u32,
    pub(crate) kind: Kind,
    pub(crate) amount: Money,
    pub(crate) is_partial_allowed: bool,
    /// Asked for later, on top.
    pub(crate) increment: Option<Money>,
    /// Of what was approved, given up before it is collected.
    pub(crate) reverse: Option<Money>,
    /// None: all that is approved by then.
    pub(crate) capture: Option<Money>,
    pub(crate) parts: u32,
    pub(crate) refund: Option<Money>,
    pub(crate) merchant: String,
}

impl CardOrder {
    pub(crate) fn from_input(mut input: Input) -> Result<Self, Problem> {
        let card_id = input.text("card_id", 36..=36)?;
        let card_id = card_id.parse().map_err(|_| input.invalid("card_id", "is no UUID"))?;
        let code = input.text("currency", 3..=3)?;
        let currency: Currency =
            code.parse().map_err(|_| input.invalid("currency", "is not an ISO 4217 currency"))?;
        let mut money = |name: &str| -> Result<Option<Money>, Problem> {
            let Some(text) = input.optional_text(name, 1..=18)? else { return Ok(None) };
            let amount = Money::parse(&text, currency).ok().filter(|amount| !amount.is_negative());
            amount.map(Some).ok_or_else(|| input.invalid(name, "is no number of minor units"))
        };
        let (amount, increment, reverse) = (money("amount")?, money("increment")?, money("reverse")?);
        let (capture, refund) = (money("capture")?, money("refund")?);
        let amount = amount.filter(|amount| amount.is_positive());
        let amount = amount.ok_or_else(|| input.invalid("amount", "is no positive number of minor units"))?;
        let kind = match input.optional_text("kind", 1..=16)?.as_deref() {
            None | Some("purchase") => Kind::Purchase,
            Some("reversed_early") => Kind::ReversedEarly,
            Some("force_post") => Kind::ForcePost,
            Some("refund") => Kind::Refund,
            Some("stand_in") => Kind::StandIn,
            Some(_) => {
                let kinds = "is not one of purchase, reversed_early, force_post, refund, stand_in";
                return Err(input.invalid("kind", kinds));
            }
        };
        let is_partial_allowed = input.optional_number("partial_approval", 0..=1)? == Some(1);
        let parts = input.optional_number("parts", 1..=PARTS_MAX)?.unwrap_or(1);
        let count = input.optional_number("count", 1..=COUNT_MAX)?.unwrap_or(1);
        let merchant = input.optional_text("merchant", 1..=140)?.unwrap_or_else(|| MERCHANT.to_owned());
        let deliver_to = match input.optional_text("deliver_to", 1..=2_048)? {
            Some(text) => {
                let url = text.parse::<Url>().ok().filter(|url| url.scheme() == "http");
                Some(url.ok_or_else(|| input.invalid("deliver_to", "is no http URL"))?)
            }
            None => None,
        };
        input.finish()?;
        Ok(Self {
            card_id,
            deliver_to,
            count,
            kind,
            amount,
            is_partial_allowed,
            increment,
            reverse,
            capture,
            parts,
            refund,
            merchant,
        })
    }
}
