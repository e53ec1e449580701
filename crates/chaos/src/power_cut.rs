//! The power fails while events are committed: only what the disk was told to keep is there afterwards.
//!
//! ```text
//! image ─ mkfs ─► loop device ─ mount ─► the server's data ──► load, relays ──► the server stands still
//!                                                                                     │ the image is copied
//! the copy ─ mount, in the same place ─► the server starts, recovers, and all goes on ◄┘
//! ```
//!
//! What the server has written and not flushed is in the file system's memory, and not in the image: that is what a power
//! cut takes. Killing the server takes nothing of it. Needs root, for the mount.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use testbed::{own_kafka_cluster, own_postgres_in};
use uuid::Uuid;

use crate::figures::Figures;
use crate::load::{Amount, Load, Written};
use crate::nemesis::{Fault, Inflicted, now_ms};
use crate::relays::Program;
use crate::run::{Run, Verdict};
use crate::site::Site;
use crate::violations::Violations;

const IMAGE_BYTES: u64 = 2 << 30;
const EVENTS: u64 = 30_000;
/// Well within what the kernel keeps back by itself before it writes (5 s), so that a server that does not flush is seen.
const EVENTS_PER_SECOND: u64 = 5_000;
const CUT_AT: u64 = 10_000;
const LIMIT: Duration = Duration::from_secs(60);
/// Two checkpoints apart from each other further than the run is long.
const SETTINGS: [(&str, &str); 1] = [("checkpoint_timeout", "30min")];

/// `has_fsync`: whether the server flushes what it commits, as it must.
pub async fn power_cut(program: &Program, has_fsync: bool) -> Verdict {
    let mut disk = Disk::make();
    let mut settings = SETTINGS.to_vec();
    if !has_fsync {
        settings.push(("fsync", "off"));
    }
    let (postgres, kafka) = tokio::join!(own_postgres_in(&disk.mount, &settings), own_kafka_cluster(1));
    let broker_proxies = kafka.proxies().await;
    let site = Arc::new(Site { postgres, kafka, brokers: 1, broker_proxies });
    let mut run = Run::start(&site, program).await;
    run.superuser("checkpoint").await;
    rustix::fs::sync();
    let amount = Amount {
        events: EVENTS,
        events_per_second: EVENTS_PER_SECOND,
        large_every: EVENTS,
        large_events: 100,
    };
    let load = Load::start(&run.database.application(), amount, rand::random());
    assert!(run.within(LIMIT, |_| load.committed() >= CUT_AT).await, "the load is not written");

    let (start_ms, epoch, before) = (now_ms(), run.epoch(), run.witness.events());
    site.postgres.pause().await;
    disk.copy_image();
    let in_flight = before.saturating_sub(run.sampler.records().await);
    site.postgres.kill().await;
    disk.replace();
    site.postgres.restart().await;
    let is_read = run.within(LIMIT, |run| run.session_after(epoch).is_some()).await;
    run.faults.push(Inflicted {
        fault: Fault::KillPostmaster,
        target: "power".to_owned(),
        start_ms,
        end_ms: now_ms(),
        in_flight,
        hit_leader: true,
        takeover: None,
        leaders_moved: false,
    });
    let written = load.finish().await;
    let lost = lost(&run, &written).await;
    let verdict = if lost.is_empty() && is_read {
        run.finish(written).await
    } else {
        // The witness would wait for what does not exist any more.
        let mut violations = Violations::default();
        lost.iter()
            .for_each(|id| violations.add("C1 loss", || format!("{id:032x} was acknowledged, and is gone")));
        let (halt, log) = (run.relays.halt(), run.relays.last_words());
        Verdict { violations, halt, figures: Figures::default(), log }
    };
    drop(site);
    verdict
}

/// What was acknowledged to a writer and is not in the table.
async fn lost(run: &Run, written: &Written) -> Vec<u128> {
    let mut connection = PgConnection::connect_with(run.database.superuser()).await.unwrap();
    let known: Vec<Uuid> =
        sqlx::query_scalar("select id from event").fetch_all(&mut connection).await.unwrap();
    let known: HashSet<u128> = known.iter().map(Uuid::as_u128).collect();
    written.committed.iter().copied().filter(|id| !known.contains(id)).collect()
}

/// A file system in a file.
struct Disk {
    images: TempDir,
    mount: PathBuf,
    is_mounted: bool,
}

impl Disk {
    fn make() -> Self {
        let images = tempfile::Builder::new().prefix("lunaria-disk-").tempdir_in("/tmp").unwrap();
        let mount = images.path().join("mount");
        std::fs::create_dir(&mount).unwrap();
        let mut disk = Self { images, mount, is_mounted: false };
        std::fs::File::create(disk.image()).unwrap().set_len(IMAGE_BYTES).unwrap();
        command("mkfs.ext4", &[&"-q", &disk.image().display()]);
        disk.mount(&disk.image());
        for open in [disk.images.path(), &disk.mount] {
            command("chmod", &[&"711", &open.display()]);
        }
        disk
    }

    fn image(&self) -> PathBuf {
        self.images.path().join("image")
    }

    fn copy(&self) -> PathBuf {
        self.images.path().join("copy")
    }

    fn mount(&mut self, image: &Path) {
        command("mount", &[&"-o", &"loop", &image.display(), &self.mount.display()]);
        self.is_mounted = true;
    }

    /// What a disk without power would have kept.
    fn copy_image(&self) {
        command("cp", &[&"--sparse=always", &self.image().display(), &self.copy().display()]);
    }

    fn replace(&mut self) {
        self.unmount();
        self.mount(&self.copy());
    }

    /// Lazily: a server that has just been killed may still be on its way out, and its log is open here.
    fn unmount(&mut self) {
        command("umount", &[&"-l", &self.mount.display()]);
        self.is_mounted = false;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
        }
    }
}

fn command(program: &str, arguments: &[&dyn Display]) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let output = Command::new(program).args(&arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {told}(a power cut needs root)", arguments.join(" "));
}
