//! A TCP connection's middle, where a test can cut, hold and delay what passes.
//!
//! ```text
//!  client ──► reader ─► queue ─► writer ──► target      upstream
//!  client ◄── writer ◄─ queue ◄─ reader ◄── target      downstream
//! ```
//!
//! A reader notes when a chunk arrived; a writer lets it go when its delay is over and its direction is open.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use local_servers::ReservedPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::patience;

const CHUNK_BYTES: usize = 16 << 10;

/// A megabyte under way in each direction, which a delay or a hold keeps back before the sender feels it.
const CHUNKS_MAX: usize = 64;

/// Listens on a port of its own until it is dropped.
pub struct Proxy {
    port: ReservedPort,
    link: watch::Sender<Link>,
    traffic: watch::Sender<Traffic>,
    task: JoinHandle<()>,
}

/// What the test has ordered.
#[derive(Debug, Clone, Copy)]
struct Link {
    state: State,
    delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Cut,
    Held,
    HeldTowards(Direction),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Upstream,
    Downstream,
}

/// What the proxy has made of it.
#[derive(Debug, Default)]
struct Traffic {
    is_listening: bool,
    accepted: usize,
    open: usize,
}

impl Proxy {
    /// In front of a server on 127.0.0.1, open.
    pub async fn start(target: u16) -> Self {
        Self::on(ReservedPort::any().unwrap(), target).await
    }

    /// The same on a port that something has been told of already.
    pub async fn on(port: ReservedPort, target: u16) -> Self {
        let (link, _) = watch::channel(Link { state: State::Open, delay: Duration::ZERO });
        let (traffic, _) = watch::channel(Traffic::default());
        let task = tokio::spawn(serve(port.number(), target, link.subscribe(), traffic.clone()));
        let proxy = Self { port, link, traffic, task };
        proxy.reached("listens", |traffic| traffic.is_listening).await;
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// How many connections were ever accepted.
    pub fn accepted(&self) -> usize {
        self.traffic.borrow().accepted
    }

    /// How many connections there are now.
    pub fn open(&self) -> usize {
        self.traffic.borrow().open
    }

    /// Resets every connection, at both ends, and refuses new ones. Both are so when this returns.
    pub async fn cut(&self) {
        self.set(State::Cut);
        self.reached("is cut", |traffic| !traffic.is_listening && traffic.open == 0).await;
    }

    /// Lets everything pass again, also what was held; a delay stays.
    pub async fn heal(&self) {
        self.set(State::Open);
        self.reached("listens", |traffic| traffic.is_listening).await;
    }

    /// A black hole: connections are accepted and stay open, nothing passes, no end learns that the other has gone.
    pub async fn hold(&self) {
        self.set(State::Held);
        self.reached("listens", |traffic| traffic.is_listening).await;
    }

    /// Nothing more reaches the target, while its answers to what it has still pass.
    pub async fn hold_upstream(&self) {
        self.set(State::HeldTowards(Direction::Upstream));
        self.reached("listens", |traffic| traffic.is_listening).await;
    }

    /// The target hears everything, and no answer comes back.
    pub async fn hold_downstream(&self) {
        self.set(State::HeldTowards(Direction::Downstream));
        self.reached("listens", |traffic| traffic.is_listening).await;
    }

    /// How long each byte is under way, in each direction, from now on; zero for none.
    pub fn delay(&self, delay: Duration) {
        self.link.send_modify(|link| link.delay = delay);
    }

    fn set(&self, state: State) {
        self.link.send_modify(|link| link.state = state);
    }

    async fn reached(&self, what: &str, is_reached: impl FnMut(&Traffic) -> bool) {
        let mut traffic = self.traffic.subscribe();
        let reached = timeout(patience(), traffic.wait_for(is_reached)).await;
        assert!(reached.is_ok(), "never happened: the proxy {what}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    fn passes(self, direction: Direction) -> bool {
        match self.state {
            State::Open => true,
            State::Cut | State::Held => false,
            State::HeldTowards(held) => held != direction,
        }
    }
}

async fn serve(port: u16, target: u16, mut link: watch::Receiver<Link>, traffic: watch::Sender<Traffic>) {
    let orders = link.clone();
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    // An error here and below: the proxy is being dropped.
    while link.wait_for(|link| link.state != State::Cut).await.is_ok() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        traffic.send_modify(|traffic| traffic.is_listening = true);
        loop {
            tokio::select! {
                biased;
                _ = link.wait_for(|link| link.state == State::Cut) => break,
                Some(_) = connections.join_next() => traffic.send_modify(|traffic| traffic.open -= 1),
                accepted = listener.accept() => {
                    let (client, _) = accepted.unwrap();
                    traffic.send_modify(|traffic| {
                        traffic.accepted += 1;
                        traffic.open += 1;
                    });
                    connections.spawn(connect(client, target, orders.clone()));
                }
            }
        }
        drop(listener);
        traffic.send_modify(|traffic| traffic.is_listening = false);
        while connections.join_next().await.is_some() {
            traffic.send_modify(|traffic| traffic.open -= 1);
        }
    }
}

/// One connection, to its end. Whatever is not an orderly end at one side is a reset at the other.
async fn connect(mut client: TcpStream, target: u16, link: watch::Receiver<Link>) {
    let mut cut = link.clone();
    let mut server = None;
    let is_orderly = tokio::select! {
        _ = cut.wait_for(|link| link.state == State::Cut) => false,
        result = pass(&mut client, &mut server, target, link) => result.is_ok(),
    };
    if !is_orderly {
        for stream in [Some(client), server].into_iter().flatten() {
            // Closed with this option, a connection is reset. One that has ended needs no more.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn pass(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    target: u16,
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    open(&mut link, Direction::Upstream).await;
    let server = server.insert(TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?);
    for stream in [&*client, &*server] {
        stream.set_nodelay(true)?;
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(from_client, to_server, Direction::Upstream, link.clone()),
        pump(from_server, to_client, Direction::Downstream, link),
    )?;
    Ok(())
}

async fn pump(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    direction: Direction,
    link: watch::Receiver<Link>,
) -> io::Result<()> {
    let (queue, queued) = mpsc::channel(CHUNKS_MAX);
    tokio::try_join!(read(from, queue, direction, link.clone()), write(to, queued, direction, link),)?;
    Ok(())
}

struct Chunk {
    arrived: Instant,
    bytes: Vec<u8>,
}

async fn read(
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<Chunk>,
    direction: Direction,
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    loop {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        match from.read_buf(&mut bytes).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                // A reset does not pass a black hole either.
                open(&mut link, direction).await;
                return Err(error);
            }
        }
        let chunk = Chunk { arrived: Instant::now(), bytes };
        queue.send(chunk).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut queued: mpsc::Receiver<Chunk>,
    direction: Direction,
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    while let Some(Chunk { arrived, bytes }) = queued.recv().await {
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            let delay = link.borrow().delay;
            sleep_until(arrived + delay).await;
            open(&mut link, direction).await;
            let written = to.write(left).await?;
            left = &left[written..];
        }
    }
    open(&mut link, direction).await;
    to.shutdown().await
}

/// Waits until something may pass. If nobody is left to open the link, the connection is about to be dropped.
async fn open(link: &mut watch::Receiver<Link>, direction: Direction) {
    let _ = link.wait_for(|link| link.passes(direction)).await;
}
