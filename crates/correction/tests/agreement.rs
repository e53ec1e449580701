//! Random corrections: a preview and the execution agree in events, balances, messages and refusals, or nothing is done.

use std::collections::BTreeSet;

use contract::Iban;
use correction::{At, ExecuteError, Kind, Preview, carry_out};
use event::{Aggregate, CausationKind};
use ledger::{Account, InternalAccount};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use transfer::{Beneficiary, HoldPolicy, Resolution};
use uuid::Uuid;

use crate::bank::{Bank, context_of, dkk};

/// 10,000 take a minute: `LUNARIA_CORRECTIONS=10000 cargo test --release -p correction agree`.
fn count() -> usize {
    std::env::var("LUNARIA_CORRECTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000)
}

struct World {
    bank: Bank,
    random: StdRng,
    accounts: Vec<Uuid>,
    transfers: Vec<Uuid>,
    executed: usize,
    stale: usize,
    refused: BTreeSet<String>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let bank = Bank::open().await;
        let mut accounts = Vec::new();
        for n in 0..10 {
            accounts.push(bank.account(n * 100).await);
        }
        Self {
            bank,
            random: StdRng::seed_from_u64(seed),
            accounts,
            transfers: Vec::new(),
            executed: 0,
            stale: 0,
            refused: BTreeSet::new(),
        }
    }

    fn any_account(&mut self) -> Uuid {
        *self.accounts.choose(&mut self.random).unwrap()
    }

    async fn another_transfer(&mut self) {
        let (from, minor) = (self.any_account(), self.random.random_range(1..200));
        let hold = match self.random.random() {
            true => HoldPolicy::HoldUntilResolved,
            false => HoldPolicy::ReleaseAtDeadline,
        };
        let to = if self.random.random() {
            let account_id = self.any_account();
            if account_id == from {
                return;
            }
            Beneficiary::Account { account_id }
        } else {
            Beneficiary::Bank {
                iban: Iban::of_account(Uuid::nil()).into(),
                name: "Bo Holm".to_owned().into(),
            }
        };
        let transfer = self.bank.transfer(from, to, minor, hold).await;
        self.transfers.push(transfer);
    }

    fn any_kind(&mut self) -> Kind {
        let unknown = Uuid::now_v7();
        let of_last = self.transfers.len().saturating_sub(8);
        let transfer_id = self.transfers[of_last..].choose(&mut self.random).copied().unwrap_or(unknown);
        match self.random.random_range(0..5) {
            0 => Kind::ResolveTransfer {
                transfer_id,
                outcome: Resolution::Settled { settled_at: jiff::Timestamp::UNIX_EPOCH },
            },
            1 => Kind::ResolveTransfer {
                transfer_id,
                outcome: Resolution::Rejected { reason_code: "AC04".to_owned() },
            },
            2 => Kind::ReverseTransfer { transfer_id },
            3 => Kind::ReverseTransfer { transfer_id: unknown },
            _ => Kind::AdjustAccount {
                account_id: self.any_account(),
                amount: dkk(self.random.random_range(-150..150)),
                against: InternalAccount::Suspense,
            },
        }
    }

    /// One correction, from its preview to its end.
    async fn correct(&mut self) {
        let (id, kind) = (Uuid::now_v7(), self.any_kind());
        let before = self.bank.rows().await;
        let shown = self.bank.preview(id, &kind).await;
        assert_eq!(self.bank.rows().await, before, "a preview leaves nothing");
        let shown = match shown {
            Ok(shown) => shown,
            Err(refused) => {
                let mut unit = self.bank.store.begin(context_of("operator:ada", id)).await.unwrap();
                let really = carry_out(&mut unit, id, &kind).await.unwrap_err();
                assert_eq!(really.to_string(), refused.to_string(), "{kind:?}");
                self.refused.insert(really.to_string());
                return;
            }
        };
        self.bank.request(id, &kind, shown.clone()).await;
        self.bank.approve(id, &shown).await;
        let moved = self.random.random_ratio(1, 4).then(|| touched(&shown)).flatten();
        if let Some(account) = moved {
            self.bank.deposit(account).await;
        }
        let before = self.bank.rows().await[0];
        let done = self.bank.execute(id).await;
        if moved.is_some() {
            assert!(matches!(done, Err(ExecuteError::Stale(_))), "{done:?}");
            assert_eq!(self.bank.rows().await[0], before + 1, "that it is stale, and nothing else");
            self.stale += 1;
        } else {
            done.unwrap();
            self.compare(id, &shown).await;
            self.executed += 1;
        }
    }

    /// What stands in the streams is what was shown.
    async fn compare(&self, id: Uuid, shown: &Preview) {
        for previewed in &shown.events {
            let stream = self.bank.events(&previewed.stream).await;
            let really = stream.iter().find(|event| event.seq == previewed.seq).unwrap();
            assert_eq!((&really.event_type, really.version), (&previewed.event_type, previewed.version));
            let data: serde_json::Value = serde_json::from_str(really.data.get()).unwrap();
            assert_eq!(data, previewed.data);
            assert_eq!(
                (really.metadata.causation_kind, really.causation_id),
                (CausationKind::Correction, id)
            );
        }
        let last = |at: &At| shown.events.iter().filter(|event| event.stream == at.stream).count();
        for at in &shown.computed_on {
            let events = self.bank.events(&at.stream).await;
            let expected = at.seq.get() + i64::try_from(last(at)).unwrap();
            assert_eq!(events.last().unwrap().seq.get(), expected, "not one more");
        }
        for change in &shown.accounts {
            let (account, _) = self.bank.store.load::<Account>(change.account_id).await.unwrap();
            assert_eq!(account.unwrap().balances, change.after);
        }
        // The same handlers, given what really stands there, tell the same.
        let told = self.told(shown).await;
        let types: Vec<_> =
            shown.messages.iter().map(|told| (&told.stream, &told.event_type, &told.data)).collect();
        let really: Vec<_> = told.iter().map(|(stream, kind, data)| (stream, kind, data)).collect();
        assert_eq!(types, really);
    }

    async fn told(&self, shown: &Preview) -> Vec<(event::StreamName, String, serde_json::Value)> {
        let mut unit = self.bank.unit().await;
        for handler in &self.bank.handlers {
            let mut wanted = Vec::new();
            for previewed in &shown.events {
                if handler.subscription().categories.contains(&previewed.stream.category()) {
                    let events = self.bank.events(&previewed.stream).await;
                    wanted.extend(events.into_iter().filter(|event| event.seq == previewed.seq));
                }
            }
            let wanted: Vec<_> = wanted.iter().collect();
            delivery::try_out(&**handler, &wanted, &mut unit).await.unwrap();
        }
        let told = unit.decided().iter().map(|event| {
            let data = serde_json::from_str(event.data.get()).unwrap();
            (event.stream.clone(), event.event_type.to_string(), data)
        });
        let told = told.collect();
        unit.roll_back().await;
        told
    }
}

/// An account that it would write to.
fn touched(shown: &Preview) -> Option<Uuid> {
    let accounts = shown.computed_on.iter().filter(|at| at.stream.category() == Account::CATEGORY);
    accounts.filter_map(|at| at.stream.uuid()).next()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_and_the_execution_agree() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut world = World::new(seed).await;
    for n in 0..count() {
        if n % 2 == 0 {
            world.another_transfer().await;
        }
        world.correct().await;
    }
    let World { bank, executed, stale, refused, .. } = world;
    println!("{executed} executed, {stale} stale, refused for {refused:#?}");
    assert!(executed > count() / 20 && stale > count() / 50 && refused.len() >= 4);
    bank.close().await;
}
