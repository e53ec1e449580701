//! kill -9 at random moments under load: nothing is lost, nothing happens twice.

use std::time::{Duration, Instant};

use rand::Rng;
use testbed::patience;
use uuid::Uuid;

use crate::harness::{LUNARIA, Load, Platform, Transport, Victim, Violations, check};

/// In `make test`; `make campaign` sets its own number.
const KILLS: usize = 15;
/// Longer than any timer of the platform in these tests: when nothing has changed for so long, nothing will.
const REST: Duration = Duration::from_secs(12);

/// What a campaign came to.
pub(crate) struct Outcome {
    pub(crate) violations: Violations,
    pub(crate) accepted: usize,
    pub(crate) settled_percent: usize,
    /// Kills at which transfers were under way.
    pub(crate) kills_in_flight: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_whole_process_lose_nothing_embedded() {
    expect_no_loss(campaign(Transport::Embedded, LUNARIA, "", kills(), &[Victim::Everything]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_relays_handlers_or_everything_lose_nothing_through_kafka() {
    let victims = [Victim::Relays, Victim::Handlers, Victim::Everything];
    expect_no_loss(campaign(Transport::Kafka, LUNARIA, "", kills(), &victims).await);
}

fn expect_no_loss(outcome: Outcome) {
    assert_eq!(outcome.violations, Violations::new(), "of {} transfers", outcome.accepted);
    assert!(outcome.accepted > 100, "only {} transfers were made", outcome.accepted);
    assert!(outcome.settled_percent >= 95, "only {} % have settled", outcome.settled_percent);
    assert!(outcome.kills_in_flight * 100 >= kills() * 80, "in flight at {} kills", outcome.kills_in_flight);
}

/// Customers pay while `victims` are killed in turn; then the platform comes to rest and is audited.
pub(crate) async fn campaign(
    transport: Transport,
    program: &str,
    mutant: &str,
    kills: usize,
    victims: &[Victim],
) -> Outcome {
    let mut platform = Platform::with(transport, program, mutant, &[]).await;
    let load = Load::start(&platform.client()).await;
    let mut kills_in_flight = 0;
    for kill in 0..kills {
        let alive = Duration::from_millis(rand::rng().random_range(150..900));
        tokio::time::sleep(alive).await;
        platform.kill(victims[kill % victims.len()]);
        if in_flight(&platform).await > 0 {
            kills_in_flight += 1;
        }
        platform.resume().await;
    }
    let accepted = load.stop().await;
    let violations = at_rest(&platform, &accepted).await;
    let settled_percent = settled_percent(&platform).await;
    if violations.is_empty() {
        platform.stop().await;
    }
    Outcome { violations, accepted: accepted.len(), settled_percent, kills_in_flight }
}

/// The violations once there are none, or once nothing changes any more.
pub(crate) async fn at_rest(platform: &Platform, accepted: &[Uuid]) -> Violations {
    let deadline = Instant::now() + patience() * 4;
    let (mut last, mut since) = (Violations::new(), Instant::now());
    loop {
        let violations = check(platform, accepted).await;
        if violations != last {
            (last, since) = (violations, Instant::now());
        }
        if last.is_empty() || since.elapsed() > REST || Instant::now() > deadline {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn kills() -> usize {
    std::env::var("LUNARIA_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

async fn in_flight(platform: &Platform) -> i64 {
    let mut connection = platform.core_database().await;
    sqlx::query_scalar(
        "select (select count(*) from event where type = 'Requested')
              - (select count(*) from event where type in ('Succeeded', 'Failed') and stream like 'transfer-%')",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap()
}

/// Of those that the house would accept.
async fn settled_percent(platform: &Platform) -> usize {
    let mut connection = platform.core_database().await;
    let (settled, rejected, all): (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from event where type = 'Succeeded'),
                (select count(*) from event where type = 'ClearingRejected'),
                (select count(*) from event where type = 'Requested')",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    usize::try_from(settled * 100 / (all - rejected).max(1)).unwrap()
}
