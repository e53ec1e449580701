//! Payments by card: a network that asks, gives up, decides for itself and collects; an adapter and core that hear of it late, twice, in
//! another order, or when it is over.

use std::collections::BTreeMap;

use authorisation::{
    Authorisation, AuthorisationCommand, AuthorisationEvent, Card, CardCommand, on_account, standing_of,
    verdict_of,
};
use card::{
    Exchange, ExchangeCommand, ExchangeEvent, Message, card_event_of, exchange_command_of, exchange_id,
};
use contract::card::CardEvent;
use contract::verdict::VerdictEvent;
use event::{Aggregate, Deadline};
use jiff::SignedDuration;
use ledger::{Account, AccountCommand, AccountEvent, LedgerAccount, Posting};
use money::{Currency, Money};
use uuid::Uuid;

use crate::agenda::Agenda;
use crate::network::{Request, Sale, message};
use crate::streams::Streams;
use crate::world::dkk;

const CARDS: usize = 3;
const SALES: usize = 8;
const FUNDS: i64 = 1_000;
/// The adapter gives up now before, now after core has decided.
const ANSWER_WITHIN: SignedDuration = SignedDuration::from_millis(1_200);
/// The network's patience, from when it has asked.
const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(4);
/// Now before, now after the merchant collects; or when all else is over.
const HOLD_SHORT: SignedDuration = SignedDuration::from_secs(40);
const HOLD_LONG: SignedDuration = SignedDuration::from_hours(1);

/// A defect that a program could have. The world then does the wrong thing; the auditor knows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardDefect {
    /// The account is told of a capture once more.
    CaptureTwice,
    /// The account is not told of a capture.
    SkipCapture,
    /// The account is not told of a refund.
    SkipRefund,
    /// The account is not told what was given up.
    SkipReversal,
    /// That the network has decided in our place does not reach core.
    LoseStandIn,
    /// That the network was told that nobody decides does not reach core.
    LoseTimeOut,
    /// What is approved is not compared with what there is.
    Overdraw,
    /// A hold ends, and the account goes on holding it.
    SkipExpiry,
    /// What is collected is taken from what can be spent, and what was held for it stays apart for ever.
    StrandHold,
}

impl CardDefect {
    pub const ALL: [Self; 9] = [
        Self::CaptureTwice,
        Self::SkipCapture,
        Self::SkipRefund,
        Self::SkipReversal,
        Self::LoseStandIn,
        Self::LoseTimeOut,
        Self::Overdraw,
        Self::SkipExpiry,
        Self::StrandHold,
    ];
}

/// All that happened, as the auditor gets it.
pub struct CardStory {
    pub accounts: BTreeMap<Uuid, Vec<AccountEvent>>,
    pub authorisations: BTreeMap<Uuid, Vec<AuthorisationEvent>>,
    pub exchanges: BTreeMap<Uuid, Vec<ExchangeEvent>>,
    /// By the network's identifier.
    pub sales: BTreeMap<String, Sale>,
    /// Whose money a card spends.
    pub owners: BTreeMap<Uuid, Uuid>,
    /// Whose account, saga or exchange has refused what the others had decided, or heard.
    pub refused: Vec<Uuid>,
    pub came_to_rest: bool,
}

#[derive(Clone)]
enum Step {
    /// A customer pays at a terminal.
    Buy,
    Spend {
        account: Uuid,
        amount: i64,
    },
    /// The adapter hears of the network.
    Hear(Message),
    /// Core hears of the adapter.
    Arrive(CardEvent),
    /// The adapter hears of core.
    Decide(VerdictEvent),
    ExchangeDeadline {
        id: Uuid,
        deadline: Deadline,
    },
    HoldDeadline {
        id: Uuid,
        deadline: Deadline,
    },
    /// The network hears what it has asked for.
    Answer {
        sale: String,
        request: String,
        approved: Option<i64>,
    },
    /// The network has waited for long enough.
    Silent {
        sale: String,
        request: String,
    },
    More {
        sale: String,
    },
    GiveUp {
        sale: String,
    },
    Collect {
        sale: String,
    },
    Refund {
        sale: String,
    },
}

struct World {
    agenda: Agenda<Step>,
    defect: Option<CardDefect>,
    accounts: Streams<Account>,
    cards: Streams<Card>,
    authorisations: Streams<Authorisation>,
    exchanges: Streams<Exchange>,
    sales: BTreeMap<String, Sale>,
    owners: BTreeMap<Uuid, Uuid>,
    refused: Vec<Uuid>,
    messages: u32,
}

/// One run: the same seed and defect, the same story.
pub fn run_cards(seed: u64, defect: Option<CardDefect>) -> CardStory {
    let mut world = World {
        agenda: Agenda::new(seed),
        defect,
        accounts: Streams::default(),
        cards: Streams::default(),
        authorisations: Streams::default(),
        exchanges: Streams::default(),
        sales: BTreeMap::new(),
        owners: BTreeMap::new(),
        refused: Vec::new(),
        messages: 0,
    };
    world.plan();
    while let Some(step) = world.agenda.next() {
        world.perform(step);
    }
    CardStory {
        came_to_rest: world.agenda.is_at_rest(),
        accounts: world.accounts.events,
        authorisations: world.authorisations.events,
        exchanges: world.exchanges.events,
        sales: world.sales,
        owners: world.owners,
        refused: world.refused,
    }
}

impl World {
    fn plan(&mut self) {
        for _ in 0..CARDS {
            let (account_id, card_id) = (self.agenda.new_id(), self.agenda.new_id());
            let owner_name = "Ada Lund".to_owned().into();
            self.account(
                account_id,
                AccountCommand::Open {
                    id: account_id,
                    customer_id: None,
                    owner_name,
                    currency: Currency::DKK,
                },
            );
            let deposit_id = self.agenda.new_id();
            self.account(account_id, AccountCommand::Deposit { deposit_id, amount: dkk(FUNDS) });
            let context = self.agenda.context();
            let _ = self.cards.execute(card_id, CardCommand::Issue { card_id, account_id }, &context);
            self.owners.insert(card_id, account_id);
            let (at, amount) = (self.agenda.millis(0..60_000), i64::from(1 + self.agenda.random_below(600)));
            self.agenda.after(at, Step::Spend { account: account_id, amount });
        }
        for _ in 0..SALES {
            let at = self.agenda.millis(0..30_000);
            self.agenda.after(at, Step::Buy);
        }
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Buy => self.buy(),
            Step::Spend { account, amount } => {
                let transfer_id = self.agenda.new_id();
                self.account(account, AccountCommand::Debit { transfer_id, amount: dkk(amount) });
            }
            Step::Hear(message) => self.hear(message),
            Step::Arrive(said) => self.arrive(said),
            Step::Decide(verdict) => {
                let (id, command) = exchange_command_of(verdict);
                self.exchange(id, command);
            }
            Step::ExchangeDeadline { id, deadline } => {
                self.exchange(id, ExchangeCommand::FireDeadline(deadline));
            }
            Step::HoldDeadline { id, deadline } => {
                self.authorisation(id, AuthorisationCommand::FireDeadline(deadline));
            }
            Step::Answer { sale, request, approved } => self.answered(&sale, &request, approved),
            Step::Silent { sale, request } => self.silent(&sale, &request),
            Step::More { sale } => self.more(&sale),
            Step::GiveUp { sale } => self.give_up(&sale),
            Step::Collect { sale } => self.collect(&sale),
            Step::Refund { sale } => self.refund(&sale),
        }
    }

    fn buy(&mut self) {
        let n = self.agenda.random_below(u32::try_from(CARDS).unwrap_or(1)) as usize;
        let card = self.owners.keys().nth(n).copied().unwrap_or_default();
        let id = format!("N{}", self.sales.len());
        let is_held_long = self.agenda.chance(50);
        let (requests, captures, refunds) = Default::default();
        self.sales.insert(id.clone(), Sale { card, requests, captures, refunds, is_held_long });
        match self.agenda.random_below(10) {
            // Without having asked.
            0 => self.collect(&id),
            1 => self.refund(&id),
            _ => self.ask(&id, false),
        }
    }

    fn ask(&mut self, sale: &str, increment: bool) {
        let (request, amount) = (self.message_id(), i64::from(1 + self.agenda.random_below(400)));
        let partial_approval = !increment && self.agenda.chance(30);
        let Some(known) = self.sales.get_mut(sale) else { return };
        known.requests.insert(request.clone(), Request::Asked { amount });
        let message =
            Message { increment, partial_approval, ..message("0100", sale, &request, known.card, amount) };
        if !self.agenda.chance(10) {
            self.agenda.deliver(1_500, &Step::Hear(message));
        }
        self.agenda.after(SILENT_AFTER, Step::Silent { sale: sale.to_owned(), request });
    }

    fn answered(&mut self, sale: &str, request: &str, approved: Option<i64>) {
        let Some(state) = self.sales.get_mut(sale).and_then(|sale| sale.requests.get_mut(request)) else {
            return;
        };
        if !matches!(state, Request::Asked { .. }) {
            return;
        }
        *state = approved.map_or(Request::Over, |amount| Request::Approved { amount });
        if approved.is_some() {
            self.go_on(sale);
        }
    }

    /// The terminal gives up, or the network decides in the bank's place.
    fn silent(&mut self, sale: &str, request: &str) {
        let stands_in = self.agenda.chance(60);
        let is_yes = self.agenda.chance(70);
        let id = self.message_id();
        let Some(known) = self.sales.get_mut(sale) else { return };
        let Some(state) = known.requests.get_mut(request) else { return };
        let Request::Asked { amount } = *state else { return };
        *state = if stands_in && is_yes { Request::Approved { amount } } else { Request::Over };
        let mti = if stands_in { "0120" } else { "0420" };
        let said = if stands_in && !is_yes { 0 } else { amount };
        let original_message_id = Some(request.to_owned());
        let advice = Message { original_message_id, ..message(mti, sale, &id, known.card, said) };
        self.advise(advice);
        if stands_in && is_yes {
            self.go_on(sale);
        }
    }

    /// What may come after an approval.
    fn go_on(&mut self, sale: &str) {
        let sale = sale.to_owned();
        for (percent, step) in [
            (20, Step::More { sale: sale.clone() }),
            (20, Step::GiveUp { sale: sale.clone() }),
            (70, Step::Collect { sale: sale.clone() }),
            (30, Step::Collect { sale: sale.clone() }),
            (10, Step::Refund { sale }),
        ] {
            if self.agenda.chance(percent) {
                let later = self.agenda.millis(0..60_000);
                self.agenda.after(later, step);
            }
        }
    }

    fn more(&mut self, sale: &str) {
        if self.sales.get(sale).is_some_and(|sale| sale.outstanding() > 0) {
            self.ask(sale, true);
        }
    }

    /// A part of one request, or all of it.
    fn give_up(&mut self, sale: &str) {
        let (id, part) = (self.message_id(), i64::from(1 + self.agenda.random_below(400)));
        let Some(known) = self.sales.get_mut(sale) else { return };
        // What is collected already comes back by a refund.
        if !known.captures.is_empty() {
            return;
        }
        let card = known.card;
        let standing = known.requests.iter_mut().find_map(|(request, state)| match state {
            Request::Approved { amount } if *amount > 0 => Some((request.clone(), amount)),
            _ => None,
        });
        let Some((request, amount)) = standing else { return };
        let reversed = part.min(*amount);
        *amount -= reversed;
        let original_message_id = Some(request);
        self.advise(Message { original_message_id, ..message("0420", sale, &id, card, reversed) });
    }

    fn collect(&mut self, sale: &str) {
        let (id, any) = (self.message_id(), i64::from(1 + self.agenda.random_below(300)));
        let (is_final, is_all) = (self.agenda.chance(60), self.agenda.chance(60));
        let Some(known) = self.sales.get_mut(sale) else { return };
        let amount = if is_all && known.outstanding() > 0 { known.outstanding() } else { any };
        known.captures.insert(id.clone(), (amount, is_final));
        let capture = Message { is_final, ..message("0220", sale, &id, known.card, amount) };
        self.advise(capture);
    }

    fn refund(&mut self, sale: &str) {
        let (id, amount) = (self.message_id(), i64::from(1 + self.agenda.random_below(100)));
        let Some(known) = self.sales.get_mut(sale) else { return };
        known.refunds.insert(id.clone(), amount);
        let processing_code = "20".to_owned();
        let refund = Message { processing_code, ..message("0220", sale, &id, known.card, amount) };
        self.advise(refund);
    }

    /// It is said until it is taken, so that it comes at last, late and out of turn.
    fn advise(&mut self, message: Message) {
        let limit = if self.agenda.chance(20) { 60_000 } else { 2_000 };
        self.agenda.deliver(limit, &Step::Hear(message));
    }

    fn message_id(&mut self) -> String {
        self.messages += 1;
        format!("M{}", self.messages)
    }

    fn hear(&mut self, message: Message) {
        let id = exchange_id(&message.transaction_id);
        let raw = message.message_id.clone().into();
        let hear = ExchangeCommand::Hear { message: Box::new(message), raw, answer_within: ANSWER_WITHIN };
        self.exchange(id, hear);
    }

    fn exchange(&mut self, id: Uuid, command: ExchangeCommand) {
        let context = self.agenda.context();
        let before = self.exchanges.state(id).and_then(|exchange| exchange.deadline());
        let Ok(events) = self.exchanges.execute(id, command, &context) else {
            self.refused.push(id);
            return;
        };
        let Some(state) = self.exchanges.state(id) else { return };
        for event in events {
            self.answer(&state, &event);
            let is_lost = match &event {
                ExchangeEvent::StandInHeard(_) => self.defect == Some(CardDefect::LoseStandIn),
                ExchangeEvent::RequestTimedOut(_) => self.defect == Some(CardDefect::LoseTimeOut),
                _ => false,
            };
            if let Some(said) = card_event_of(&state, event)
                && !is_lost
            {
                // Now and then core is away for a while.
                self.agenda.deliver_in_order(id, &Step::Arrive(said));
            }
        }
        if let Some(deadline) = state.deadline().filter(|_| state.deadline() != before) {
            self.agenda.keep(deadline, &Step::ExchangeDeadline { id, deadline });
        }
    }

    /// What the network is told; sometimes it does not hear it.
    fn answer(&mut self, state: &Exchange, event: &ExchangeEvent) {
        let (message_id, approved) = match event {
            ExchangeEvent::RequestAnswered(event) => (event.message_id, event.approved),
            // Taken for a no by some terminals; others wait on, and the network decides.
            ExchangeEvent::RequestTimedOut(event) if self.agenda.chance(50) => (event.message_id, None),
            _ => return,
        };
        let sale = state.payment.network_id.clone();
        let Some(known) = self.sales.get(&sale) else { return };
        let is_this = |request: &&String| card::message_id(&sale, request) == message_id;
        let Some(request) = known.requests.keys().find(is_this).cloned() else { return };
        if !self.agenda.chance(15) {
            let later = self.agenda.millis(0..500);
            let approved = approved.map(Money::minor);
            self.agenda.after(later, Step::Answer { sale, request, approved });
        }
    }

    fn arrive(&mut self, said: CardEvent) {
        let id = said.payment().authorisation_id;
        let card = self.cards.state(said.payment().card_id);
        let account = card.as_ref().and_then(|card| self.accounts.state(card.account_id));
        let mut standing = card.zip(account).map(|(card, account)| standing_of(&card, &account));
        if let (Some(CardDefect::Overdraw), Some(standing)) = (self.defect, &mut standing) {
            standing.balances.posted = dkk(FUNDS * 10);
        }
        let is_held_long = self.sales.get(&said.payment().network_id).is_some_and(|sale| sale.is_held_long);
        let hold_for = if is_held_long { HOLD_LONG } else { HOLD_SHORT };
        self.authorisation(id, AuthorisationCommand::Take { said: Box::new(said), standing, hold_for });
    }

    fn authorisation(&mut self, id: Uuid, command: AuthorisationCommand) {
        let context = self.agenda.context();
        let before = self.authorisations.state(id).and_then(|state| state.deadline());
        let Ok(events) = self.authorisations.execute(id, command, &context) else {
            self.refused.push(id);
            return;
        };
        for event in &events {
            if let Some((account, command)) = on_account(id, event) {
                self.follow(id, account, event, command);
            }
            if let Some(verdict) = verdict_of(id, event) {
                // The two directions do not wait for each other.
                self.agenda.deliver_in_order(Uuid::from_u128(!id.as_u128()), &Step::Decide(verdict));
            }
        }
        let after = self.authorisations.state(id).and_then(|state| state.deadline());
        if let Some(deadline) = after.filter(|_| after != before) {
            self.agenda.keep(deadline, &Step::HoldDeadline { id, deadline });
        }
    }

    fn follow(&mut self, id: Uuid, account: Uuid, event: &AuthorisationEvent, command: AccountCommand) {
        let is_skipped = match self.defect {
            Some(CardDefect::SkipCapture) => matches!(command, AccountCommand::PostCapture { .. }),
            Some(CardDefect::SkipRefund) => matches!(command, AccountCommand::CreditRefund { .. }),
            Some(CardDefect::SkipReversal) => matches!(event, AuthorisationEvent::Reversed(_)),
            Some(CardDefect::SkipExpiry) => matches!(event, AuthorisationEvent::Expired(_)),
            _ => false,
        };
        if is_skipped {
            return;
        }
        let command = match (self.defect, command) {
            // As if nobody looked.
            (Some(CardDefect::Overdraw), AccountCommand::AdjustReservation { reservation_id, held, .. }) => {
                AccountCommand::AdjustReservation { reservation_id, held, is_forced: true }
            }
            (_, command) => command,
        };
        let context = self.agenda.context();
        let reserved_before =
            self.accounts.state(account).map_or(dkk(0), |account| account.balances.reserved);
        match self.accounts.execute(account, command.clone(), &context) {
            Ok(_) => {}
            Err(_) => self.refused.push(id),
        }
        if self.defect == Some(CardDefect::StrandHold)
            && let Some(AccountEvent::CapturePosted(event)) =
                self.accounts.events.get_mut(&account).and_then(|events| events.last_mut())
        {
            event.postings =
                Posting::pair(event.amount, LedgerAccount::Available(account), LedgerAccount::Settlement)
                    .unwrap_or_default();
            event.balances.reserved = reserved_before;
        }
        if self.defect == Some(CardDefect::CaptureTwice)
            && matches!(command, AccountCommand::PostCapture { .. })
        {
            self.account(account, command);
        }
    }

    fn account(&mut self, id: Uuid, command: AccountCommand) {
        let context = self.agenda.context();
        let _ = self.accounts.execute(id, command, &context);
    }
}
