//! One transaction of ten gigabytes, and how much memory the relay takes to pass it on.

use anyhow::ensure;

use super::child::RelayChild;
use super::figure;
use super::ground::Ground;
use crate::bench::figure::Figure;
use crate::bench::usage::peak_rss_megabytes;
use crate::cli::BenchOptions;

const SLOT: &str = "large";
const EVENT_BYTES: u32 = 100_000;
const RSS_MEGABYTES: f64 = 128.0;

/// Text that compresses to half at most, so that neither the table nor the log gets away with less.
const FILL: &str = "insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
    select 'large-' || id, 1, id, 'Filled', 1,
           jsonb_build_object('text', (select string_agg(md5(n::text || part::text), '') from generate_series(1, $2 / 32) as part)),
           id, id, '{}', clock_timestamp()
    from (select n, gen_random_uuid() as id from generate_series(1, $1) as n) as filled";

pub(super) async fn measure(ground: &Ground, options: &BenchOptions) -> anyhow::Result<Figure> {
    ground.make_slots(&[SLOT]).await?;
    let events = i32::try_from(options.long_bytes / u64::from(EVENT_BYTES))?;
    ensure!(events > 0, "--long-bytes is less than one event of {EVENT_BYTES} bytes");
    let mut connection = ground.connection().await?;
    sqlx::query(FILL).bind(events).bind(i32::try_from(EVENT_BYTES)?).execute(&mut connection).await?;
    let end = ground.log_end().await?;
    let relay = RelayChild::start(ground, SLOT, &[]).await?;
    ground.until_confirmed(SLOT, end, |_| {}).await?;
    let rss = peak_rss_megabytes(relay.pid)?;
    relay.stop().await?;
    ground.drop_slot(SLOT).await?;
    Ok(figure("relay.rss_large_transaction", rss, "MB", Some(RSS_MEGABYTES)))
}
