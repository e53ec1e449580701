//! Faults to order: what goes wrong, how often and for how long.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::decision::ReasonCode;
use crate::input::Input;
use crate::problem::Problem;

const FAULTS_MAX: usize = 64;
const COUNT_MAX: u32 = 1_000_000;
/// One hour: longer than any test, short enough that a forgotten fault heals.
const FOR_MS_MAX: u32 = 3_600_000;
/// Ten minutes: beyond every time-out of an instant rail.
const DELAY_MS_MAX: u32 = 600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reject { reason_code: ReasonCode },
    LoseRequest,
    LoseAnswer,
    AnswerLate { delay: Duration },
    Duplicate,
    Malformed,
    WrongAmount,
    Pending { delay: Duration },
    Down,
    LoseEnquiry,
    Unknown,
    RejectRecall { reason_code: ReasonCode },
    IgnoreRecall,
    SettleAnyway,
    RejectReturn { reason_code: ReasonCode },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Count { remaining: u32 },
    Until { expires_at: Timestamp },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    id: u64,
    effect: Effect,
    extent: Extent,
    percent: u8,
    /// The creditor's account, or the card. None: whoever is paid, and with whichever card.
    meant: Option<String>,
}

/// What a fault may have to know about the request before it strikes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Occasion {
    Payment {
        /// The UETR was decided, or is being decided, already.
        is_repeated: bool,
        has_callback: bool,
    },
    Enquiry,
    Recall,
    /// A bank says whether its customer will be credited.
    Acceptance {
        is_repeated: bool,
    },
    /// A bank gives a payment back.
    Return {
        is_repeated: bool,
    },
    /// The card network asks the bank.
    CardRequest,
    /// It tells the bank what has happened.
    CardAdvice,
}

impl Effect {
    fn strikes(self, occasion: Occasion) -> bool {
        let (is_repeated, has_callback) = match occasion {
            Occasion::Payment { is_repeated, has_callback } => (is_repeated, has_callback),
            Occasion::CardRequest | Occasion::CardAdvice => {
                return matches!(self, Self::LoseRequest | Self::LoseAnswer | Self::Duplicate);
            }
            Occasion::Enquiry => return matches!(self, Self::Down | Self::LoseEnquiry | Self::Unknown),
            Occasion::Recall => {
                return matches!(self, Self::Down | Self::RejectRecall { .. } | Self::IgnoreRecall);
            }
            Occasion::Return { is_repeated } => {
                let is_lost = matches!(self, Self::Down | Self::LoseRequest | Self::LoseAnswer);
                // What was taken cannot be rejected.
                return is_lost || !is_repeated && matches!(self, Self::RejectReturn { .. });
            }
            // Every bank has an address by then.
            Occasion::Acceptance { is_repeated } if self == Self::SettleAnyway => return !is_repeated,
            // What a bank hears of an offer states no amount.
            Occasion::Acceptance { .. } if self == Self::WrongAmount => return false,
            Occasion::Acceptance { is_repeated } => (is_repeated, true),
        };
        match self {
            // A decision is final, so a repeat cannot be rejected.
            Self::Reject { .. } => !is_repeated,
            Self::Pending { .. } => !is_repeated && has_callback,
            Self::Duplicate => has_callback,
            Self::LoseRequest
            | Self::LoseAnswer
            | Self::AnswerLate { .. }
            | Self::Malformed
            | Self::WrongAmount
            | Self::Down => true,
            Self::LoseEnquiry
            | Self::Unknown
            | Self::RejectRecall { .. }
            | Self::IgnoreRecall
            | Self::SettleAnyway
            | Self::RejectReturn { .. } => false,
        }
    }
}

/// The active faults, oldest first. They do not survive a restart.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<Fault>,
    last_id: u64,
}

impl Faults {
    pub(crate) fn order(&mut self, mut input: Input, now: Timestamp) -> Result<Fault, Problem> {
        self.heal_spent(now);
        let (effect, extent, percent) = read(&mut input, now)?;
        let card_id = input.optional_text("card_id", 36..=36)?;
        let meant = input.optional_text("creditor_iban", 1..=34)?.or(card_id);
        input.finish()?;
        if self.active.len() >= FAULTS_MAX {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "too-many-faults",
                format!("{FAULTS_MAX} faults are active"),
            ));
        }
        self.last_id += 1;
        let fault = Fault { id: self.last_id, effect, extent, percent, meant };
        self.active.push(fault.clone());
        Ok(fault)
    }

    pub(crate) fn list(&mut self, now: Timestamp) -> Vec<Fault> {
        self.heal_spent(now);
        self.active.clone()
    }

    pub(crate) fn heal_all(&mut self) {
        self.active.clear();
    }

    /// False when no such fault is active.
    pub(crate) fn heal(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|fault| fault.id != id);
        self.active.len() < before
    }

    /// The first fault that strikes; `roll` gives 1 to 100, and a count counts strikes, not chances.
    pub(crate) fn draw(
        &mut self,
        now: Timestamp,
        occasion: Occasion,
        whom: &str,
        mut roll: impl FnMut() -> u8,
    ) -> Option<Effect> {
        self.heal_spent(now);
        let struck = self.active.iter_mut().find(|fault| {
            let is_meant = fault.meant.as_deref().is_none_or(|meant| meant == whom);
            is_meant && fault.effect.strikes(occasion) && roll() <= fault.percent
        })?;
        if let Extent::Count { remaining } = &mut struck.extent {
            *remaining -= 1;
        }
        Some(struck.effect)
    }

    fn heal_spent(&mut self, now: Timestamp) {
        self.active.retain(|fault| match fault.extent {
            Extent::Count { remaining } => remaining > 0,
            Extent::Until { expires_at } => now < expires_at,
        });
    }
}

const KINDS: [&str; 15] = [
    "reject",
    "lose_request",
    "lose_answer",
    "answer_late",
    "duplicate",
    "malformed",
    "wrong_amount",
    "pending",
    "down",
    "lose_enquiry",
    "unknown",
    "reject_recall",
    "ignore_recall",
    "settle_anyway",
    "reject_return",
];

fn read(input: &mut Input, now: Timestamp) -> Result<(Effect, Extent, u8), Problem> {
    let effect = match input.text("kind", 1..=32)?.as_str() {
        "reject" => Effect::Reject { reason_code: read_reason_code(input, ReasonCode::BLOCKED_ACCOUNT)? },
        "lose_request" => Effect::LoseRequest,
        "lose_answer" => Effect::LoseAnswer,
        "answer_late" => Effect::AnswerLate { delay: read_delay(input)? },
        "duplicate" => Effect::Duplicate,
        "malformed" => Effect::Malformed,
        "wrong_amount" => Effect::WrongAmount,
        "pending" => Effect::Pending { delay: read_delay(input)? },
        "down" => Effect::Down,
        "lose_enquiry" => Effect::LoseEnquiry,
        "unknown" => Effect::Unknown,
        "reject_recall" => {
            Effect::RejectRecall { reason_code: read_reason_code(input, ReasonCode::CUSTOMER_DECISION)? }
        }
        "ignore_recall" => Effect::IgnoreRecall,
        "settle_anyway" => Effect::SettleAnyway,
        "reject_return" => {
            Effect::RejectReturn { reason_code: read_reason_code(input, ReasonCode::CLOSED_ACCOUNT)? }
        }
        _ => return Err(input.invalid("kind", format!("is not one of {}", KINDS.join(", ")))),
    };
    let count = input.optional_number("count", 1..=COUNT_MAX)?;
    let for_ms = input.optional_number("for_ms", 1..=FOR_MS_MAX)?;
    let extent = match (count, for_ms) {
        (Some(remaining), None) => Extent::Count { remaining },
        (None, Some(for_ms)) => Extent::Until { expires_at: now + Duration::from_millis(u64::from(for_ms)) },
        _ => return Err(input.invalid("count", "or for_ms must be given, and not both")),
    };
    let percent = input.optional_number("percent", 1..=100)?.unwrap_or(100);
    let percent = u8::try_from(percent).map_err(|_| input.invalid("percent", "is above 100"))?;
    Ok((effect, extent, percent))
}

pub(crate) fn read_reason_code(input: &mut Input, otherwise: ReasonCode) -> Result<ReasonCode, Problem> {
    match input.optional_text("reason_code", 4..=4)? {
        Some(text) => ReasonCode::try_from(text).map_err(|fault| input.invalid("reason_code", fault)),
        None => Ok(otherwise),
    }
}

fn read_delay(input: &mut Input) -> Result<Duration, Problem> {
    let delay_ms = input.optional_number("delay_ms", 1..=DELAY_MS_MAX)?;
    let delay_ms = delay_ms.ok_or_else(|| input.invalid("delay_ms", "is missing"))?;
    Ok(Duration::from_millis(u64::from(delay_ms)))
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            id: u64,
            kind: &'static str,
            remaining: Option<u32>,
            expires_at: Option<Timestamp>,
            percent: u8,
            delay_ms: Option<u128>,
            reason_code: Option<ReasonCode>,
            creditor_iban: Option<&'a str>,
            card_id: Option<&'a str>,
        }
        let (kind, delay_ms, reason_code) = match self.effect {
            Effect::Reject { reason_code } => ("reject", None, Some(reason_code)),
            Effect::LoseRequest => ("lose_request", None, None),
            Effect::LoseAnswer => ("lose_answer", None, None),
            Effect::AnswerLate { delay } => ("answer_late", Some(delay.as_millis()), None),
            Effect::Duplicate => ("duplicate", None, None),
            Effect::Malformed => ("malformed", None, None),
            Effect::WrongAmount => ("wrong_amount", None, None),
            Effect::Pending { delay } => ("pending", Some(delay.as_millis()), None),
            Effect::Down => ("down", None, None),
            Effect::LoseEnquiry => ("lose_enquiry", None, None),
            Effect::Unknown => ("unknown", None, None),
            Effect::RejectRecall { reason_code } => ("reject_recall", None, Some(reason_code)),
            Effect::IgnoreRecall => ("ignore_recall", None, None),
            Effect::SettleAnyway => ("settle_anyway", None, None),
            Effect::RejectReturn { reason_code } => ("reject_return", None, Some(reason_code)),
        };
        let (remaining, expires_at) = match self.extent {
            Extent::Count { remaining } => (Some(remaining), None),
            Extent::Until { expires_at } => (None, Some(expires_at)),
        };
        let (id, percent) = (self.id, self.percent);
        let is_card = |meant: &&str| meant.parse::<Uuid>().is_ok();
        let card_id = self.meant.as_deref().filter(is_card);
        let creditor_iban = self.meant.as_deref().filter(|meant| !is_card(meant));
        Shape { id, kind, remaining, expires_at, percent, delay_ms, reason_code, creditor_iban, card_id }
            .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::{COUNT_MAX, DELAY_MS_MAX, Effect, FAULTS_MAX, FOR_MS_MAX, Faults, Occasion};
    use crate::input::Input;
    use crate::problem::Problem;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const PAYEE: &str = "DK9520000123456789";
    const FIRST: Occasion = Occasion::Payment { is_repeated: false, has_callback: true };

    fn order(faults: &mut Faults, body: &Value) -> Result<u64, Problem> {
        let input = Input::parse(body.to_string().as_bytes())?;
        faults.order(input, NOW).map(|fault| fault.id)
    }

    #[test]
    fn a_count_is_used_up_by_strikes_only() {
        let mut faults = Faults::default();
        order(&mut faults, &json!({ "kind": "down", "count": 2, "percent": 50 })).unwrap();
        let rolls = [51, 50, 100, 1, 1];
        let drawn = rolls.map(|roll| faults.draw(NOW, FIRST, PAYEE, || roll).is_some());
        assert_eq!(drawn, [false, true, false, true, false]);
    }

    #[test]
    fn a_fault_for_a_time_heals_when_the_time_is_over() {
        let mut faults = Faults::default();
        order(&mut faults, &json!({ "kind": "down", "for_ms": 10 })).unwrap();
        assert!(faults.draw(NOW + Duration::from_millis(9), FIRST, PAYEE, || 1).is_some());
        assert!(faults.draw(NOW + Duration::from_millis(10), FIRST, PAYEE, || 1).is_none());
        assert!(faults.list(NOW + Duration::from_millis(10)).is_empty());
    }

    #[test]
    fn only_the_first_fault_that_matches_strikes() {
        let mut faults = Faults::default();
        order(&mut faults, &json!({ "kind": "reject", "count": 1 })).unwrap();
        order(&mut faults, &json!({ "kind": "lose_answer", "count": 1 })).unwrap();
        assert!(matches!(faults.draw(NOW, FIRST, PAYEE, || 1), Some(Effect::Reject { .. })));
        assert!(matches!(faults.draw(NOW, FIRST, PAYEE, || 1), Some(Effect::LoseAnswer)));
        assert!(faults.draw(NOW, FIRST, PAYEE, || 1).is_none());
    }

    #[test]
    fn repeats_are_not_rejected_and_need_a_callback_to_be_duplicated() {
        let mut faults = Faults::default();
        order(&mut faults, &json!({ "kind": "reject", "count": 1 })).unwrap();
        order(&mut faults, &json!({ "kind": "duplicate", "count": 1 })).unwrap();
        let repeat = Occasion::Payment { is_repeated: true, has_callback: false };
        assert!(faults.draw(NOW, repeat, PAYEE, || 1).is_none());
        let repeat = Occasion::Payment { is_repeated: true, has_callback: true };
        assert!(matches!(faults.draw(NOW, repeat, PAYEE, || 1), Some(Effect::Duplicate)));
    }

    #[test]
    fn an_enquiry_is_struck_by_its_own_fault_and_by_a_house_that_is_down() {
        let mut faults = Faults::default();
        for kind in ["lose_answer", "lose_request", "lose_enquiry", "down"] {
            order(&mut faults, &json!({ "kind": kind, "count": 1 })).unwrap();
        }
        assert_eq!(faults.draw(NOW, Occasion::Enquiry, PAYEE, || 1), Some(Effect::LoseEnquiry));
        assert_eq!(faults.draw(NOW, Occasion::Enquiry, PAYEE, || 1), Some(Effect::Down));
        assert_eq!(faults.draw(NOW, Occasion::Enquiry, PAYEE, || 1), None);
    }

    #[test]
    fn a_fault_for_one_creditor_spares_the_others() {
        let mut faults = Faults::default();
        let meant = json!({ "kind": "reject", "count": 1, "creditor_iban": "DK5000400440116243" });
        order(&mut faults, &meant).unwrap();
        assert_eq!(faults.draw(NOW, FIRST, PAYEE, || 1), None);
        assert!(faults.draw(NOW, FIRST, "DK5000400440116243", || 1).is_some());
    }

    #[test]
    fn a_recall_is_struck_by_its_own_faults() {
        let mut faults = Faults::default();
        for kind in ["lose_answer", "unknown", "ignore_recall", "reject_recall"] {
            order(&mut faults, &json!({ "kind": kind, "count": 1 })).unwrap();
        }
        assert_eq!(faults.draw(NOW, Occasion::Recall, PAYEE, || 1), Some(Effect::IgnoreRecall));
        assert!(matches!(faults.draw(NOW, Occasion::Recall, PAYEE, || 1), Some(Effect::RejectRecall { .. })));
        assert_eq!(faults.draw(NOW, Occasion::Recall, PAYEE, || 1), None);
    }

    #[test]
    fn values_beyond_their_limits_are_refused() {
        let cases = [
            (json!({ "kind": "storm", "count": 1 }), "kind"),
            (json!({ "kind": "down" }), "count"),
            (json!({ "kind": "down", "count": 1, "for_ms": 1 }), "count"),
            (json!({ "kind": "down", "count": 0 }), "count"),
            (json!({ "kind": "down", "count": COUNT_MAX + 1 }), "count"),
            (json!({ "kind": "down", "for_ms": FOR_MS_MAX + 1 }), "for_ms"),
            (json!({ "kind": "down", "count": 1, "percent": 0 }), "percent"),
            (json!({ "kind": "down", "count": 1, "percent": 101 }), "percent"),
            (json!({ "kind": "down", "count": 1, "delay_ms": 5 }), "delay_ms"),
            (json!({ "kind": "answer_late", "count": 1 }), "delay_ms"),
            (json!({ "kind": "answer_late", "count": 1, "delay_ms": DELAY_MS_MAX + 1 }), "delay_ms"),
            (json!({ "kind": "reject", "count": 1, "reason_code": "ac06" }), "reason_code"),
        ];
        for (body, field) in cases {
            let problem = order(&mut Faults::default(), &body).expect_err(field);
            assert_eq!(problem.field(), Some(field), "{body}");
        }
    }

    #[test]
    fn faults_are_limited_in_number_and_healed_by_id() {
        let mut faults = Faults::default();
        let down = json!({ "kind": "down", "count": 1 });
        let ids: Vec<_> = (0..FAULTS_MAX).map(|_| order(&mut faults, &down).unwrap()).collect();
        assert!(order(&mut faults, &down).is_err());
        assert!(faults.heal(ids[0]));
        assert!(!faults.heal(ids[0]));
        assert!(order(&mut faults, &down).is_ok());
    }
}
