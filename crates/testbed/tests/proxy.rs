//! The proxy against a server that sends back what it gets.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use testbed::{Proxy, eventually, patience};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[tokio::test]
async fn everything_passes_both_ways_and_so_does_the_end() {
    let mut echo = Echo::start().await;
    let proxy = Proxy::start(echo.port).await;
    let mut client = dial(&proxy).await.unwrap();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut from, mut to) = client.split();
    let mut received = Vec::new();
    let send = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(send, from.read_to_end(&mut received));
    read.unwrap();
    assert!(received == sent);
    assert_eq!(echo.heard().await, Heard::End);
    drop(client);
    eventually("the connection is counted as gone", async || (proxy.open() == 0).then_some(())).await;
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn cut_resets_both_ends_and_refuses_until_it_is_healed() {
    let mut echo = Echo::start().await;
    let proxy = Proxy::start(echo.port).await;
    let mut client = dial(&proxy).await.unwrap();
    assert_eq!(ask(&mut client, b"before").await.unwrap(), b"before");
    assert_eq!(echo.heard().await, Heard::Bytes(6));

    proxy.cut().await;
    assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(echo.heard().await, Heard::Error(ErrorKind::ConnectionReset));
    assert_eq!(dial(&proxy).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);

    proxy.heal().await;
    let mut client = dial(&proxy).await.unwrap();
    assert_eq!(ask(&mut client, b"after").await.unwrap(), b"after");
    assert_eq!((proxy.accepted(), proxy.open()), (2, 1));
}

#[tokio::test]
async fn held_bytes_and_ends_pass_when_it_is_healed() {
    let mut echo = Echo::start().await;
    let proxy = Proxy::start(echo.port).await;
    let (mut client, mut leaver) = (dial(&proxy).await.unwrap(), dial(&proxy).await.unwrap());
    for stream in [&mut client, &mut leaver] {
        ask(stream, b"x").await.unwrap();
        assert_eq!(echo.heard().await, Heard::Bytes(1));
    }

    proxy.hold().await;
    client.write_all(b"held").await.unwrap();
    drop(leaver);
    let mut late = dial(&proxy).await.unwrap();
    late.write_all(b"too").await.unwrap();
    eventually("the new connection is accepted", async || (proxy.accepted() == 3).then_some(())).await;
    echo.hears_nothing().await;

    proxy.heal().await;
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"held");
    late.read_exact(&mut answer[..3]).await.unwrap();
    assert_eq!(&answer[..3], b"too");
    let mut heard = [echo.heard().await, echo.heard().await, echo.heard().await];
    heard.sort();
    assert_eq!(heard, [Heard::Bytes(3), Heard::Bytes(4), Heard::End]);
}

#[tokio::test]
async fn one_direction_is_held_alone() {
    let mut echo = Echo::start().await;
    let proxy = Proxy::start(echo.port).await;
    let mut client = dial(&proxy).await.unwrap();
    ask(&mut client, b"x").await.unwrap();
    assert_eq!(echo.heard().await, Heard::Bytes(1));

    proxy.hold_downstream().await;
    client.write_all(b"heard").await.unwrap();
    assert_eq!(echo.heard().await, Heard::Bytes(5));
    let mut answer = [0; 5];
    assert!(timeout(WHILE, client.read_exact(&mut answer)).await.is_err());

    proxy.hold_upstream().await;
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"heard");
    client.write_all(b"unheard").await.unwrap();
    echo.hears_nothing().await;
    proxy.heal().await;
    assert_eq!(echo.heard().await, Heard::Bytes(7));
}

#[tokio::test]
async fn delay_lasts_once_in_each_direction() {
    const DELAY: Duration = Duration::from_millis(100);
    let echo = Echo::start().await;
    let proxy = Proxy::start(echo.port).await;
    let mut client = dial(&proxy).await.unwrap();
    ask(&mut client, b"x").await.unwrap();
    proxy.delay(DELAY);
    let start = Instant::now();
    assert_eq!(ask(&mut client, b"slow").await.unwrap(), b"slow");
    assert!(start.elapsed() >= 2 * DELAY, "{:?}", start.elapsed());
    proxy.delay(Duration::ZERO);
    assert_eq!(ask(&mut client, b"quick").await.unwrap(), b"quick");
}

#[tokio::test]
async fn target_that_refuses_resets_the_client() {
    let nobody = local_servers::ReservedPort::any().unwrap();
    let proxy = Proxy::start(nobody.number()).await;
    let mut client = dial(&proxy).await.unwrap();
    assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// How long to see that nothing happens. Too short a while hides a fault now and then, and never invents one.
const WHILE: Duration = Duration::from_millis(200);

struct Echo {
    port: u16,
    reports: mpsc::UnboundedReceiver<Heard>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Heard {
    Bytes(usize),
    End,
    Error(ErrorKind),
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (report, reports) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream, report.clone()));
            }
        });
        Self { port, reports }
    }

    /// The next report; of a long message, the first part.
    async fn heard(&mut self) -> Heard {
        let first = timeout(patience(), self.reports.recv()).await.unwrap().unwrap();
        if !matches!(first, Heard::Bytes(count) if count > 100) {
            return first;
        }
        loop {
            let next = timeout(patience(), self.reports.recv()).await.unwrap().unwrap();
            if !matches!(next, Heard::Bytes(_)) {
                return next;
            }
        }
    }

    async fn hears_nothing(&mut self) {
        let heard = timeout(WHILE, self.reports.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}

async fn echo(mut stream: TcpStream, report: mpsc::UnboundedSender<Heard>) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let heard = match stream.read(&mut bytes).await {
            Ok(0) => Heard::End,
            Ok(count) => Heard::Bytes(count),
            Err(error) => Heard::Error(error.kind()),
        };
        let Heard::Bytes(count) = heard else {
            let _ = report.send(heard);
            return;
        };
        let _ = report.send(heard);
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn dial(proxy: &Proxy) -> std::io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await
}

async fn ask(stream: &mut TcpStream, question: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(question).await?;
    let mut answer = vec![0; question.len()];
    timeout(patience(), stream.read_exact(&mut answer)).await.unwrap()?;
    Ok(answer)
}
