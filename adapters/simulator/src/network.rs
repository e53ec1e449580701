//! The card network: asks the bank, decides in its place when it is silent, and tells it what the merchants have collected until it
//! has taken it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use money::Money;
use reqwest::{Client, RequestBuilder, redirect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;

use crate::card_line::{CardEvent, CardLine, CardTakenLine, Sale, new_message_id};
use crate::card_order::{CardOrder, Kind};
use crate::error::Error;
use crate::fault::{Effect, Occasion};
use crate::house::House;
use crate::line::Line;
use crate::problem::Problem;

/// The network's rule for a bank that is silent: up to this many minor units it approves.
const STAND_IN_MAX: i64 = 10_000;
/// ISO 8583, data element 39: the bank could not read it.
const FORMAT_ERROR: &str = "30";
/// Payments at once: a storm is not one of connections.
const AT_ONCE_MAX: usize = 64;
/// Before an advice that was not taken is repeated; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Network {
    client: Client,
    /// What the network shows the bank.
    token: Option<String>,
    places: Semaphore,
    /// What the bank had not taken when the network went down, by message.
    untaken: Mutex<HashMap<String, CardLine>>,
    /// Where the bank was last reached.
    bank: Mutex<Option<Url>>,
}

/// A payment by card that was ordered.
#[derive(Debug, Serialize)]
pub(crate) struct Ordered {
    transaction_id: String,
}

/// What the bank has said to what it was asked.
enum Word {
    Approved(Money),
    Declined,
    /// Nothing in time, or that nobody decides there.
    Silent,
    /// The terminal has not heard it.
    Unheard,
}

#[derive(Deserialize)]
struct Response {
    response_code: String,
    amount: Option<String>,
}

impl Network {
    /// A bank that has not answered by `limit` is silent. `untaken` is what the journal has of it.
    pub(crate) fn new(
        token: Option<String>,
        bank: Option<Url>,
        limit: Duration,
        untaken: HashMap<String, CardLine>,
    ) -> Result<Self, Error> {
        let client =
            Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(limit).build()?;
        let (places, untaken, bank) = (Semaphore::new(AT_ONCE_MAX), Mutex::new(untaken), Mutex::new(bank));
        Ok(Self { client, token, places, untaken, bank })
    }

    /// Where the bank is now, or was when this was decided.
    fn bank_of(&self, line: &CardLine) -> Url {
        let bank = self.bank.lock().unwrap_or_else(PoisonError::into_inner);
        bank.clone().unwrap_or_else(|| line.deliver_to.clone())
    }

    /// The bank's answer. None: nothing that could be understood, or in time.
    async fn say(&self, url: &Url, message: &Value) -> Option<Response> {
        let request = self.token.iter().fold(self.client.post(url.clone()), RequestBuilder::bearer_auth);
        let response = request.json(message).send().await.ok()?;
        if response.status().is_client_error() {
            tracing::warn!(status = %response.status(), "the bank refuses a card message");
            return Some(Response { response_code: FORMAT_ERROR.to_owned(), amount: None });
        }
        if response.status() != StatusCode::OK {
            tracing::debug!(status = %response.status(), "the bank has not taken a card message");
            return None;
        }
        response.json().await.ok()
    }
}

impl House {
    pub(crate) fn play(self: &Arc<Self>, order: CardOrder) -> Result<Vec<Ordered>, Problem> {
        let deliver_to = {
            let mut bank = self.network.bank.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(url) = &order.deliver_to {
                *bank = Some(url.clone());
            }
            bank.clone()
        };
        let deliver_to = deliver_to.ok_or_else(|| {
            Problem::new(
                StatusCode::CONFLICT,
                "no-address",
                "nobody has said where the bank is: say `deliver_to`",
            )
        })?;
        let order = Arc::new(order);
        let play_one = |_| {
            let sale = Sale {
                transaction_id: format!("N{}", Uuid::now_v7().simple()),
                card_id: order.card_id,
                merchant: order.merchant.clone(),
                deliver_to: deliver_to.clone(),
            };
            let transaction_id = sale.transaction_id.clone();
            let (house, order) = (Arc::clone(self), Arc::clone(&order));
            self.tasks.spawn(async move {
                let Ok(_place) = house.network.places.acquire().await else { return };
                // It ends early with the journal, and then the house does.
                let _ = house.play_one(&order, &sale).await;
            });
            Ordered { transaction_id }
        };
        Ok((0..order.count).map(play_one).collect())
    }

    /// Tells the bank what it had not taken when the network went down.
    pub(crate) fn resume_cards(self: &Arc<Self>) {
        let untaken =
            std::mem::take(&mut *self.network.untaken.lock().unwrap_or_else(PoisonError::into_inner));
        for line in untaken.into_values() {
            let house = Arc::clone(self);
            self.tasks.spawn(async move {
                let Ok(_place) = house.network.places.acquire().await else { return };
                let _ = house.tell_bank(line).await;
            });
        }
    }

    async fn play_one(&self, order: &CardOrder, sale: &Sale) -> Result<(), Problem> {
        let request = new_message_id();
        let mut approved = match order.kind {
            Kind::Purchase => self.authorise(order, sale, &request).await?,
            Kind::ReversedEarly => {
                let reversed = CardLine::new(sale, CardEvent::Reversed, order.amount);
                self.advise(reversed.about(&request)).await?;
                self.authorise(order, sale, &request).await?
            }
            Kind::StandIn => self.stand_in(sale, order.amount, &request).await?,
            Kind::ForcePost => Some(order.amount),
            Kind::Refund => {
                return self.advise(CardLine::new(sale, CardEvent::Refunded, order.amount)).await;
            }
        };
        if let (Some(sum), Some(more)) = (approved, order.increment) {
            approved = sum.plus(self.increment(order, sale, more).await?).ok();
        }
        if let (Some(sum), Some(less)) = (approved, order.reverse) {
            self.advise(CardLine::new(sale, CardEvent::Reversed, less).about(&request)).await?;
            approved = sum.minus(less).ok().filter(|left| left.is_positive());
        }
        let Some(approved) = approved else { return Ok(()) };
        self.collect(order, sale, order.capture.unwrap_or(approved)).await?;
        match order.refund {
            Some(refund) => self.advise(CardLine::new(sale, CardEvent::Refunded, refund)).await,
            None => Ok(()),
        }
    }

    /// In parts, the last of which says so.
    async fn collect(&self, order: &CardOrder, sale: &Sale, amount: Money) -> Result<(), Problem> {
        let parts = i64::from(order.parts);
        let (part, rest) = (amount.minor() / parts, amount.minor() % parts);
        for n in 1..=parts {
            let minor = if n == parts { part + rest } else { part };
            if minor == 0 {
                continue;
            }
            let line = CardLine::new(sale, CardEvent::Captured, Money::new(minor, amount.currency()));
            self.advise(if n == parts { line } else { line.followed_by_more() }).await?;
        }
        Ok(())
    }

    /// What is approved, by the bank or in its place. None: nothing, or nothing any more.
    async fn authorise(
        &self,
        order: &CardOrder,
        sale: &Sale,
        request: &str,
    ) -> Result<Option<Money>, Problem> {
        match self.ask(order, sale, request, order.amount, false).await? {
            Word::Approved(amount) => Ok(Some(amount)),
            Word::Declined => Ok(None),
            Word::Silent => self.stand_in(sale, order.amount, request).await,
            Word::Unheard => {
                let reversed = CardLine::new(sale, CardEvent::Reversed, order.amount);
                self.advise(reversed.about(request)).await?;
                Ok(None)
            }
        }
    }

    /// What is approved on top. What the bank may have approved, and nobody has heard, is given up.
    async fn increment(&self, order: &CardOrder, sale: &Sale, more: Money) -> Result<Money, Problem> {
        let request = new_message_id();
        match self.ask(order, sale, &request, more, true).await? {
            Word::Approved(amount) => return Ok(amount),
            Word::Declined => {}
            Word::Silent | Word::Unheard => {
                self.advise(CardLine::new(sale, CardEvent::Reversed, more).about(&request)).await?;
            }
        }
        Ok(Money::zero(more.currency()))
    }

    async fn stand_in(&self, sale: &Sale, amount: Money, request: &str) -> Result<Option<Money>, Problem> {
        let is_approved = amount.minor() <= STAND_IN_MAX;
        let event = if is_approved { CardEvent::StandInApproved } else { CardEvent::StandInDeclined };
        self.advise(CardLine::new(sale, event, amount).about(request)).await?;
        Ok(is_approved.then_some(amount))
    }

    async fn ask(
        &self,
        order: &CardOrder,
        sale: &Sale,
        message_id: &str,
        amount: Money,
        is_increment: bool,
    ) -> Result<Word, Problem> {
        let message = |mti: &str| {
            json!({
                "mti": mti, "message_id": message_id, "transaction_id": sale.transaction_id, "card_id": sale.card_id,
                "amount": amount.minor().to_string(), "currency": amount.currency(), "merchant": { "name": sale.merchant },
                "partial_approval": order.is_partial_allowed, "increment": is_increment,
            })
        };
        let fault = self.strike(Occasion::CardRequest, sale.card_id);
        if fault == Some(Effect::LoseRequest) {
            return Ok(Word::Silent);
        }
        let first = message("0100");
        let asked = self.network.say(&sale.deliver_to, &first);
        let answer = if fault == Some(Effect::Duplicate) {
            let second = message("0101");
            tokio::join!(asked, self.network.say(&sale.deliver_to, &second)).0
        } else {
            asked.await
        };
        let Some(Response { response_code, amount: approved }) = answer else { return Ok(Word::Silent) };
        if fault == Some(Effect::LoseAnswer) {
            return Ok(Word::Unheard);
        }
        let approved = approved.and_then(|text| Money::parse(&text, amount.currency()).ok());
        let (event, sum, word) = match (response_code.as_str(), approved, is_increment) {
            ("91", ..) => return Ok(Word::Silent),
            ("00" | "10", Some(sum), false) => (CardEvent::Approved, sum, Word::Approved(sum)),
            ("00" | "10", Some(sum), true) => (CardEvent::Incremented, sum, Word::Approved(sum)),
            (_, _, false) => (CardEvent::Declined, amount, Word::Declined),
            (_, _, true) => (CardEvent::IncrementDeclined, amount, Word::Declined),
        };
        let line = CardLine::new(sale, event, sum).answering(message_id.to_owned(), response_code);
        self.journal.append(Line::Card(line)).await.map_err(|_stopped| Problem::outcome_unknown())?;
        Ok(word)
    }

    /// It is so from here on, whatever the bank says.
    async fn advise(&self, line: CardLine) -> Result<(), Problem> {
        let appended = self.journal.append(Line::Card(line.clone())).await;
        appended.map_err(|_stopped| Problem::outcome_unknown())?;
        self.tell_bank(line).await
    }

    /// Until it has taken it.
    async fn tell_bank(&self, line: CardLine) -> Result<(), Problem> {
        for attempt in 0_u32.. {
            let fault = self.strike(Occasion::CardAdvice, line.card_id);
            let is_taken = match fault {
                Some(Effect::LoseRequest) => false,
                _ => {
                    let message = line.message(attempt > 0);
                    let bank = self.network.bank_of(&line);
                    let answer = self.network.say(&bank, &message).await;
                    if fault == Some(Effect::Duplicate) {
                        self.network.say(&bank, &line.message(true)).await;
                    }
                    if let Some(Response { response_code, .. }) = &answer
                        && response_code != "00"
                    {
                        // To say it again would not help; at the next start it is said once more.
                        tracing::warn!(response_code, "the bank does not take what has happened");
                        return Ok(());
                    }
                    answer.is_some() && fault != Some(Effect::LoseAnswer)
                }
            };
            if is_taken {
                let taken = Line::CardTaken(CardTakenLine::of(&line));
                return self.journal.append(taken).await.map_err(|_stopped| Problem::outcome_unknown());
            }
            if self.shutdown.is_cancelled() {
                break;
            }
            self.wait(PAUSE.saturating_mul(2_u32.saturating_pow(attempt)).min(PAUSE_MAX)).await;
        }
        Ok(())
    }

    fn strike(&self, occasion: Occasion, card_id: Uuid) -> Option<Effect> {
        let roll = || rand::random_range(1..=100);
        self.book().faults.draw(Timestamp::now(), occasion, &card_id.to_string(), roll)
    }
}
