//! What happens to a payment after it has settled: it is recalled, and it comes back.

use std::sync::Arc;

use axum::http::StatusCode;
use iso20022::CancellationRequest;
use jiff::Timestamp;
use money::{Currency, Money};
use serde::Serialize;
use uuid::Uuid;

use crate::book::{NotReturned, Notice, Refusal, Return};
use crate::callback::Patience;
use crate::decision::ReasonCode;
use crate::fault::{Effect, Occasion, read_reason_code};
use crate::house::{Answer, House};
use crate::input::Input;
use crate::line::Line;
use crate::payment::Payment;
use crate::problem::Problem;

/// A storm.
const COUNT_MAX: u32 = 10_000;

/// What is to go back, of its own accord or because somebody has asked.
#[derive(Debug)]
pub(crate) struct ReturnOrder {
    of: Of,
    reason: ReasonCode,
}

#[derive(Debug)]
enum Of {
    One { uetr: Uuid, amount: Option<Money> },
    Latest { count: usize },
}

impl ReturnOrder {
    pub(crate) fn from_input(mut input: Input) -> Result<Self, Problem> {
        let uetr = input.optional_text("uetr", 36..=36)?;
        let count = input.optional_number("count", 1..=COUNT_MAX)?;
        let amount = match input.optional_text("amount", 1..=18)? {
            Some(text) => {
                let code = input.text("currency", 3..=3)?;
                let currency: Currency =
                    code.parse().map_err(|_| input.invalid("currency", "is not an ISO 4217 currency"))?;
                let amount = Money::parse(&text, currency).ok().filter(|amount| amount.is_positive());
                Some(amount.ok_or_else(|| input.invalid("amount", "is no positive number of minor units"))?)
            }
            None => None,
        };
        let reason = read_reason_code(&mut input, ReasonCode::CLOSED_ACCOUNT)?;
        let of = match (uetr, count) {
            (Some(uetr), None) => {
                let uetr = uetr.parse().map_err(|_| input.invalid("uetr", "is not a UUID"))?;
                Of::One { uetr, amount }
            }
            (None, Some(count)) if amount.is_none() => {
                Of::Latest { count: usize::try_from(count).unwrap_or(usize::MAX) }
            }
            _ => {
                return Err(
                    input.invalid("uetr", "or count must be given, and not both; an amount with a uetr")
                );
            }
        };
        input.finish()?;
        Ok(Self { of, reason })
    }
}

/// A payment that goes back.
#[derive(Debug, Serialize)]
pub(crate) struct Returned {
    uetr: Uuid,
    return_id: String,
    amount: Money,
    reason_code: ReasonCode,
}

impl House {
    /// Sends on what was decided before a restart and not taken.
    pub(crate) fn resume(self: &Arc<Self>) {
        let untaken = self.book().untaken();
        for (payment, notice) in untaken {
            self.send(payment, notice);
        }
    }

    pub(crate) async fn give_back(self: &Arc<Self>, order: ReturnOrder) -> Result<Vec<Returned>, Problem> {
        let (uetrs, amount, is_one) = match order.of {
            Of::One { uetr, amount } => (vec![uetr], amount, true),
            Of::Latest { count } => (self.book().latest_settled(count), None, false),
        };
        let mut given = Vec::new();
        for uetr in uetrs {
            let turn = self.after_settlement.lock().await;
            let returned = self.return_one(uetr, amount, order.reason, None).await?;
            drop(turn);
            match returned {
                Ok(returned) => given.push(Returned {
                    uetr,
                    return_id: returned.return_id,
                    amount: returned.amount,
                    reason_code: returned.reason,
                }),
                Err(refusal) if is_one => return Err(not_returned(refusal)),
                // Somebody else was faster.
                Err(_) => {}
            }
        }
        Ok(given)
    }

    async fn return_one(
        self: &Arc<Self>,
        uetr: Uuid,
        amount: Option<Money>,
        reason: ReasonCode,
        case_id: Option<String>,
    ) -> Result<Result<Return, NotReturned>, Problem> {
        let given = self.book().give_back(uetr, amount, reason, case_id, Timestamp::now());
        let (payment, returned) = match given {
            Ok(given) => given,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let line = Line::returned(uetr, &returned);
        self.journal.append(line).await.map_err(|_stopped| Problem::outcome_unknown())?;
        self.send(payment, Notice::Return(returned.clone()));
        Ok(Ok(returned))
    }

    /// A recall is taken at once; the creditor's bank answers later, by a return or by a refusal.
    pub(crate) async fn recall(self: &Arc<Self>, request: CancellationRequest) -> Result<Answer, Problem> {
        let (uetr, case_id) = (request.original.uetr, request.case_id);
        let _turn = self.after_settlement.lock().await;
        let found = self.book().find(uetr).map(|(payment, _)| payment);
        let payment = found.ok_or_else(|| Problem::not_found("there is no payment with this UETR"))?;
        if let Some(notice) = self.book().answer_to(uetr, &case_id) {
            self.send(payment, notice);
            return Ok(Answer::Taken);
        }
        let roll = || rand::random_range(1..=100);
        let payee = &payment.creditor_account;
        let fault = self.book().faults.draw(Timestamp::now(), Occasion::Recall, payee, roll);
        if fault == Some(Effect::Down) {
            return Err(Problem::unavailable("down", "the house is down"));
        }
        let refused = match fault {
            Some(Effect::IgnoreRecall) => return Ok(Answer::Taken),
            Some(Effect::RejectRecall { reason_code }) => reason_code,
            _ => {
                let reason = ReasonCode::FOLLOWING_CANCELLATION;
                match self.return_one(uetr, None, reason, Some(case_id.clone())).await? {
                    Ok(_) => return Ok(Answer::Taken),
                    Err(NotReturned::Already) => ReasonCode::ALREADY_RETURNED,
                    Err(refusal) => return Err(not_returned(refusal)),
                }
            }
        };
        let line = Line::recall_refused(uetr, case_id.clone(), refused, Timestamp::now());
        self.journal.append(line).await.map_err(|_stopped| Problem::outcome_unknown())?;
        let refusal = Refusal { case_id, reason: refused, is_taken: false };
        self.book().refuse(uetr, refusal.clone());
        self.send(payment, Notice::Refusal(refusal));
        Ok(Answer::Taken)
    }

    /// Until it is taken.
    fn send(self: &Arc<Self>, payment: Arc<Payment>, notice: Notice) {
        let house = Arc::clone(self);
        self.tasks.spawn(async move {
            let (uetr, id) = (payment.uetr, notice.id().to_owned());
            let xml = house.desk.notice(&payment, &notice);
            let address = || house.book().address(uetr);
            if house.callbacks.deliver(address, &xml, Patience::Endless).await {
                house.book().taken(uetr, &id);
                // A receipt that is not written is a notice that is sent once more.
                let _ = house.journal.append(Line::receipt(uetr, id, Timestamp::now())).await;
            }
        });
    }
}

fn not_returned(refusal: NotReturned) -> Problem {
    let conflict = |code, detail| Problem::new(StatusCode::CONFLICT, code, detail);
    match refusal {
        NotReturned::Unknown => Problem::not_found("there is no payment with this UETR"),
        NotReturned::NotSettled => conflict("not-settled", "the payment was rejected, or is not decided yet"),
        NotReturned::Already => conflict("already-returned", "the payment has come back"),
        NotReturned::NoAddress => conflict("no-address", "its sender has not said where it can be reached"),
        NotReturned::MoreThanPaid => Problem::invalid_field("amount", "amount is more than was paid"),
    }
}
