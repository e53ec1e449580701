//! A private Apache Kafka broker: one KRaft node that is its own controller, plain text on 127.0.0.1.

use std::path::PathBuf;

use crate::Error;
use crate::kafka_doors::{KafkaDoors, KafkaSecurity};
use crate::port::{self, ReservedPort};

mod cluster;
mod node;

pub use cluster::{KafkaCluster, KafkaClusterOptions, Proxied};
use node::{Home, Node, cluster_id};

/// The last two halve the start of a broker of this size.
const QUICK_TO_START: [&str; 3] = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Those of `kafka-server-start.sh` and `kafka-run-class.sh`.
const AS_KAFKA_STARTS: [&str; 6] = [
    "-Xmx1G",
    "-Xms1G",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

/// What to start and where.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// The broker's alone. A directory of an earlier start keeps its topics.
    pub directory: PathBuf,
    /// `None`: the port of the last start while it is free, else a free one.
    pub port: Option<u16>,
    /// The directory with Kafka's jars, as `scripts/kafka.sh` prints it.
    pub libs: PathBuf,
    pub java: Java,
}

/// How a broker's Java runs.
#[derive(Debug, Clone, Copy)]
pub enum Java {
    /// Little memory, and ready in half the time; but it stops for tens of milliseconds to collect garbage.
    QuickToStart,
    /// As Kafka's own scripts run it: for what is measured.
    AsKafkaStarts,
}

/// A broker; dropping it stops the broker as well, without a word about failures.
pub struct KafkaBroker {
    node: Node,
}

impl KafkaBroker {
    /// Starts a broker and returns when it answers to clients.
    pub fn start(options: KafkaOptions) -> Result<Self, Error> {
        port::retry(options.port, || {
            let (home, port, controller) = own(&options)?;
            let properties = server_properties(port.number(), controller.number());
            Self::launch(home, &properties, &[], port, vec![controller])
        })
    }

    /// The same with further doors, for whoever has the certificate or the password that each wants.
    pub fn start_secured(
        options: &KafkaOptions,
        security: &KafkaSecurity,
    ) -> Result<(Self, KafkaDoors), Error> {
        port::retry(options.port, || {
            let (home, port, controller) = own(options)?;
            let reserved = ["tls-port", "mutual-tls-port", "sasl-port"].map(|file| home.port(None, file));
            let [tls, mutual_tls, sasl] = reserved;
            let reserved = [tls?, mutual_tls?, sasl?];
            let [tls, mutual_tls, sasl] = reserved.each_ref().map(ReservedPort::number);
            let doors = KafkaDoors { tls, mutual_tls, sasl };
            security.write_stores(home.path())?;
            let properties = server_properties(port.number(), controller.number())
                + &doors.properties(security, port.number(), controller.number());
            let others = [controller].into_iter().chain(reserved).collect();
            let users = security.format_arguments();
            Ok((Self::launch(home, &properties, &users, port, others)?, doors))
        })
    }

    fn launch(
        home: Home,
        properties: &str,
        format_arguments: &[String],
        port: ReservedPort,
        others: Vec<ReservedPort>,
    ) -> Result<Self, Error> {
        let options: Vec<&str> =
            ["--standalone"].into_iter().chain(format_arguments.iter().map(String::as_str)).collect();
        // The id counts only when the data is formatted, which is once.
        home.prepare(properties, &cluster_id(), &options)?;
        let mut node = Node::spawn(home, port, others)?;
        node.wait_ready().map(|()| Self { node })
    }

    /// `host:port` for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.node.port())
    }

    /// Of the running process, or of the last one.
    pub fn pid(&self) -> u32 {
        self.node.pid()
    }

    /// Ends the broker at once, as a crash of its process would. One that has ended is left as it is.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.node.kill()
    }

    /// Starts the broker again on its port and data and returns when it answers; one that still runs is stopped before.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.node.restart()
    }

    /// Stops the broker where it is: connections stay open and get no answer.
    pub fn pause(&mut self) -> Result<(), Error> {
        self.node.pause()
    }

    pub fn resume(&mut self) -> Result<(), Error> {
        self.node.resume()
    }

    /// Shuts the broker down in order and waits for its end.
    pub fn stop(mut self) -> Result<(), Error> {
        self.node.stop()
    }
}

impl KafkaOptions {
    /// On a port of its choice.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, libs: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), port: None, libs: libs.into(), java: Java::QuickToStart }
    }
}

impl Java {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::QuickToStart => &QUICK_TO_START,
            Self::AsKafkaStarts => &AS_KAFKA_STARTS,
        }
    }
}

/// The directory, the clients' port and the controller's.
fn own(options: &KafkaOptions) -> Result<(Home, ReservedPort, ReservedPort), Error> {
    let home = Home::own(&options.directory, &options.libs, options.java.flags())?;
    let port = home.port(options.port, "port")?;
    let controller = home.port(None, "controller-port")?;
    Ok((home, port, controller))
}

fn server_properties(port: u16, controller_port: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=3
auto.create.topics.enable=false
"
    )
}
