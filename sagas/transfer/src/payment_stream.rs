//! Derives `payment.v2` from `transfer`, and `payment.v1` beside it for as long as somebody reads that: what a rail's adapter has to
//! know, and no more.

use contract::payment::{self, Party, PaymentEvent, PaymentSubmitted, RecallRequested, v1};
use delivery::{Derivation, Derived};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Beneficiary, Requested, SubmissionInitiated, Transfer, TransferEvent};

pub struct PaymentStream;

impl Derivation for PaymentStream {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = payment::CATEGORY;
    type From = Transfer;
    type To = PaymentEvent;

    fn derive(_: Uuid, event: TransferEvent) -> Result<Derived<Transfer, PaymentEvent>, String> {
        if !matches!(event, TransferEvent::SubmissionInitiated(_) | TransferEvent::RecallInitiated(_)) {
            return Ok(Derived::Nothing);
        }
        Ok(Derived::With(Box::new(move |transfer| {
            payment_of(&transfer.request, &event).ok_or_else(|| "it needs no rail".to_owned())
        })))
    }
}

pub struct PaymentStreamV1;

impl Derivation for PaymentStreamV1 {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = v1::CATEGORY;
    type From = Transfer;
    type To = v1::PaymentEvent;

    fn derive(_: Uuid, event: TransferEvent) -> Result<Derived<Transfer, v1::PaymentEvent>, String> {
        let TransferEvent::SubmissionInitiated(initiated) = event else { return Ok(Derived::Nothing) };
        Ok(Derived::With(Box::new(move |transfer| {
            let submitted = submitted(&transfer.request, &initiated);
            submitted.map(v1::PaymentEvent::from).ok_or_else(|| "it needs no rail".to_owned())
        })))
    }
}

/// What the rail's adapter is told of an event; None: nothing.
pub fn payment_of(request: &Requested, event: &TransferEvent) -> Option<PaymentEvent> {
    match event {
        TransferEvent::SubmissionInitiated(initiated) => {
            submitted(request, initiated).map(PaymentEvent::from)
        }
        TransferEvent::RecallInitiated(recall) => {
            let (payment_id, uetr) = (request.transfer_id, request.uetr);
            let (recall_id, reason_code) = (recall.recall_id, recall.reason_code.clone());
            Some(RecallRequested { payment_id, uetr, recall_id, reason_code }.into())
        }
        _ => None,
    }
}

fn submitted(request: &Requested, initiated: &SubmissionInitiated) -> Option<PaymentSubmitted> {
    let Beneficiary::Bank { iban, name } = &request.to else { return None };
    Some(PaymentSubmitted {
        payment_id: request.transfer_id,
        uetr: initiated.uetr,
        end_to_end_id: initiated.end_to_end_id.clone(),
        amount: request.amount,
        debtor: request.debtor.clone(),
        creditor: Party { iban: iban.clone(), name: name.clone() },
        remittance: request.remittance.clone(),
        answer_by: if event::mutants::active("derive_by_clock") {
            Timestamp::now()
        } else {
            initiated.deadline.due_at
        },
    })
}
