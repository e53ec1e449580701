//! The task that owns the write half of a stream and tells the server how far the caller is.
//!
//! ```text
//! status_interval since the last ─┐
//! server asked, 10 ms since      ─┼─► send a status update ─► wait again
//! confirm, 50 ms since           ─┘
//! stop ─► last status update, CopyDone ─► the write half back
//! ```

use std::time::{Duration, SystemTime};

use bytes::{BufMut, BytesMut};
use pgoutput::StandbyStatus;
use postgres_protocol::message::backend::COPY_DATA_TAG;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::connection::Outbound;
use crate::error::Error;
use crate::progress::Progress;

/// Confirms that rise faster than this share a message: 20 messages a second cost neither side anything, and a
/// slot that lags by 50 ms keeps no log that it would not keep anyway.
const COALESCE: Duration = Duration::from_millis(50);
/// A server that shuts down asks again after each reply until all it has sent is confirmed: without a pace that
/// is a loop of ten thousand messages a second. After a quieter time a reply goes out at once.
const REPLY_PACE: Duration = Duration::from_millis(10);
/// Seconds from 1970 to 2000.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

pub(crate) struct StatusTask {
    progress: Progress,
    /// `None` once its result was taken.
    task: Option<JoinHandle<Result<Outbound, Error>>>,
}

impl StatusTask {
    pub(crate) fn spawn(outbound: Outbound, progress: Progress, interval: Duration) -> Self {
        let task = tokio::spawn(run(outbound, progress.clone(), interval));
        Self { progress, task: Some(task) }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Waits until the task fails. Cancel-safe.
    pub(crate) async fn failed(&mut self) -> Error {
        match self.ended().await {
            Ok(_) => Error::Closed,
            Err(error) => error,
        }
    }

    /// Sends the last status update and CopyDone, and gives back the write half.
    pub(crate) async fn finish(&mut self) -> Result<Outbound, Error> {
        self.progress.stop();
        self.ended().await
    }

    async fn ended(&mut self) -> Result<Outbound, Error> {
        let task = self.task.as_mut().ok_or(Error::Closed)?;
        let joined = task.await;
        self.task = None;
        joined.map_err(|error| Error::Io(std::io::Error::other(error)))?
    }
}

impl Drop for StatusTask {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn run(mut outbound: Outbound, progress: Progress, interval: Duration) -> Result<Outbound, Error> {
    let mut out = BytesMut::new();
    let mut sent_at = Instant::now();
    let mut due = sent_at + interval;
    loop {
        tokio::select! {
            biased;
            () = progress.stopped() => break,
            () = progress.asked(), if due > sent_at + REPLY_PACE => {
                due = sent_at + REPLY_PACE;
                continue;
            }
            () = progress.risen(), if due > sent_at + COALESCE => {
                due = sent_at + COALESCE;
                continue;
            }
            () = sleep_until(due) => {}
        }
        out.clear();
        put_status(&progress, &mut out);
        send(&mut outbound, &out).await?;
        sent_at = Instant::now();
        due = sent_at + interval;
    }
    out.clear();
    put_status(&progress, &mut out);
    frontend::copy_done(&mut out);
    send(&mut outbound, &out).await?;
    Ok(outbound)
}

fn put_status(progress: &Progress, out: &mut BytesMut) {
    const LENGTH: i32 = 4 + 34;
    const { assert!(StandbyStatus::BYTES == 34) };
    let lsn = progress.reported();
    let status = StandbyStatus {
        written: lsn,
        flushed: lsn,
        applied: lsn,
        client_time_micros: postgres_micros(SystemTime::now()),
        reply_requested: false,
    };
    out.put_u8(COPY_DATA_TAG);
    out.put_i32(LENGTH);
    status.encode(out);
}

async fn send(outbound: &mut Outbound, bytes: &[u8]) -> Result<(), Error> {
    outbound.write_all(bytes).await?;
    Ok(outbound.flush().await?)
}

/// Shown by the server as `reply_time`, used for nothing: a clock before the year 2000 gives 0.
fn postgres_micros(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH + POSTGRES_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use pgoutput::{Lsn, StandbyStatus};
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};

    use super::{REPLY_PACE, StatusTask};
    use crate::progress::Progress;

    const NEVER: Duration = Duration::from_secs(3600);
    const DEADLINE: Duration = Duration::from_secs(10);

    fn task(interval: Duration) -> (DuplexStream, StatusTask) {
        let (server, client) = duplex(4096);
        (server, StatusTask::spawn(Box::new(client), Progress::new(Lsn::ZERO), interval))
    }

    async fn status(server: &mut DuplexStream) -> StandbyStatus {
        let mut frame = [0; 39];
        timeout(DEADLINE, server.read_exact(&mut frame)).await.unwrap().unwrap();
        assert_eq!(frame[..5], *b"d\0\0\0\x26");
        StandbyStatus::decode(Bytes::copy_from_slice(&frame[5..])).unwrap()
    }

    #[tokio::test]
    async fn confirm_is_sent_without_waiting_for_the_interval() {
        let (mut server, task) = task(NEVER);
        task.progress().confirm(Lsn::new(7));
        let sent = status(&mut server).await;
        assert_eq!((sent.written, sent.flushed, sent.applied), (Lsn::new(7), Lsn::new(7), Lsn::new(7)));
    }

    #[tokio::test]
    async fn confirms_in_quick_succession_share_a_message() {
        let (mut server, mut task) = task(NEVER);
        (1..=1000).for_each(|lsn| task.progress().confirm(Lsn::new(lsn)));
        assert_eq!(status(&mut server).await.flushed, Lsn::new(1000));
        drop(task.finish().await.unwrap());
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 39 + 5, "one last status update and CopyDone");
    }

    #[tokio::test]
    async fn request_of_the_server_is_answered_without_waiting_for_the_interval() {
        let (mut server, task) = task(NEVER);
        task.progress().ask();
        assert_eq!(status(&mut server).await.flushed, Lsn::ZERO);
    }

    #[tokio::test]
    async fn server_that_asks_without_end_is_answered_at_a_pace() {
        let began = Instant::now();
        let (mut server, task) = task(NEVER);
        for _ in 0..5 {
            task.progress().ask();
            status(&mut server).await;
        }
        assert!(began.elapsed() >= 5 * REPLY_PACE);
    }

    #[tokio::test]
    async fn status_is_sent_every_interval() {
        let (mut server, _task) = task(Duration::from_millis(1));
        for _ in 0..3 {
            status(&mut server).await;
        }
    }

    #[tokio::test]
    async fn lost_connection_is_an_error_of_the_task() {
        let (server, mut task) = task(Duration::from_millis(1));
        drop(server);
        assert!(timeout(DEADLINE, task.failed()).await.unwrap().is_transient());
    }

    #[tokio::test]
    async fn dropped_task_lets_go_of_the_connection() {
        let (mut server, task) = task(NEVER);
        drop(task);
        let ended = timeout(DEADLINE, server.read(&mut [0; 1])).await.unwrap();
        assert_eq!(ended.unwrap(), 0);
    }
}
