//! The adapter of the card network: a service with its own database that answers the network's questions.
//!
//! ```text
//!  network ══ 0100 ══► exchange: AuthorisationAsked ─► CardStream ─► card.v1 ─► core
//!             │ 0110 ◄═ RequestAnswered ◄─ Verdicts ◄─ verdict.v1 ◄───────────── core
//!             │         or RequestTimedOut: 91, the network decides, and core takes its verdict back
//!             ├─ 0120 ══► StandInHeard   ═► 0130 ┐
//!             ├─ 0220 ══► CaptureHeard, RefundHeard ═► 0230 ├─ at once: it has happened
//!             └─ 0400, 0420 ══► ReversalHeard ═► 0410, 0430 ┘
//! ```
//!
//! A message is an event, with its text as it came, before it is answered; what is said again is answered alike. What the network asks waits
//! for core on its connection, until its deadline has fired (`card.answer_limit_ms`). Nothing here touches money. A card is its id: what is a card's number by its check
//! digit is not kept.

/// The service's name: of its database, its topics and its handlers' source.
pub const SERVICE: &str = "adapter-card";

mod message;
pub use message::{Message, MessageMerchant, NotAMessage, Response, exchange_id, message_id};

mod exchange_event;
pub use exchange_event::{
    AuthorisationAsked, CaptureHeard, ExchangeEvent, IncrementAsked, MessageContradicted, MessageRepeated,
    RefundHeard, RequestAnswered, RequestTimedOut, ReversalHeard, StandInHeard, VerdictOvertaken,
};

mod exchange;
pub use exchange::{Answer, Exchange, ExchangeCommand, ExchangeRefusal, install};

mod verdicts;
pub use verdicts::{Verdicts, exchange_command_of};

mod card_stream;
pub use card_stream::{CardStream, card_event_of};

mod door;
pub use door::router;
