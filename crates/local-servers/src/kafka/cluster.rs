//! A private Apache Kafka cluster to be hurt: brokers that are killed, started again and paused one by one.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::node::{Home, Node, READY_LIMIT, cluster_id};
use crate::metadata::Metadata;
use crate::port::ReservedPort;
use crate::{Error, directory};

/// Three of them on one machine: what one needs for its start and some hundred partitions, and not more.
const JAVA_FLAGS: [&str; 3] = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

const POLL: Duration = Duration::from_millis(50);

/// What to start and where.
#[derive(Debug, Clone)]
pub struct KafkaClusterOptions {
    /// The cluster's alone: a directory for each broker. A directory of an earlier start keeps its topics.
    pub directory: PathBuf,
    /// Each a controller too: an odd number, of which less than half may fail.
    pub brokers: usize,
    /// The directory with Kafka's jars, as `scripts/kafka.sh` prints it.
    pub libs: PathBuf,
}

/// Combined KRaft nodes, plain text on 127.0.0.1; dropping it kills what still runs.
///
/// A broker that fails is noticed within 3 s. A write with `acks=all` needs the majority of the brokers, if its topic has
/// a replica on each. Brokers are counted from 0; a number that does not exist panics.
///
/// Beside its own address, each broker has a second one for clients that reach it through a proxy: see
/// [`KafkaCluster::proxied`].
pub struct KafkaCluster {
    nodes: Vec<Node>,
    proxied: Vec<Proxied>,
}

/// A listener that tells its clients to come to another port.
#[derive(Debug)]
pub struct Proxied {
    /// Where the broker listens.
    pub target: u16,
    /// Where it says that it does: kept for a proxy that listens there.
    pub advertised: ReservedPort,
}

/// The ports of a broker that is about to start.
struct Ports {
    client: ReservedPort,
    controller: ReservedPort,
    target: ReservedPort,
    advertised: ReservedPort,
}

impl KafkaCluster {
    /// Starts all brokers and returns when each of them answers and knows the others.
    pub fn start(options: &KafkaClusterOptions) -> Result<Self, Error> {
        directory::create(&options.directory)?;
        let homes = (1..=options.brokers)
            .map(|id| Home::own(&options.directory.join(format!("broker-{id}")), &options.libs, &JAVA_FLAGS))
            .collect::<Result<Vec<_>, _>>()?;
        let ports = homes.iter().map(Ports::choose).collect::<Result<Vec<_>, _>>()?;
        prepare(&homes, &ports, &cluster_id_of(&options.directory)?)?;

        let mut cluster = Self { nodes: Vec::new(), proxied: Vec::new() };
        for (home, ports) in homes.into_iter().zip(ports) {
            let Ports { client, controller, target, advertised } = ports;
            cluster.proxied.push(Proxied { target: target.number(), advertised });
            cluster.nodes.push(Node::spawn(home, client, vec![controller, target])?);
        }
        for node in &mut cluster.nodes {
            node.wait_ready()?;
        }
        cluster.wait_in_sync()?;
        Ok(cluster)
    }

    /// `host:port,…` of all brokers, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        addresses(self.nodes.iter().map(Node::port))
    }

    /// One per broker. A client that starts at the advertised ports stays on them, so that whoever listens there decides
    /// what comes through; the brokers among themselves use neither.
    pub fn proxied(&self) -> &[Proxied] {
        &self.proxied
    }

    /// `host:port,…` of the advertised ports.
    pub fn proxied_bootstrap(&self) -> String {
        addresses(self.proxied.iter().map(|proxied| proxied.advertised.number()))
    }

    /// Ends a broker at once, as a crash of its process would. One that has ended is left as it is.
    pub fn kill(&mut self, broker: usize) -> Result<(), Error> {
        self.nodes[broker].kill()
    }

    /// All brokers at once, as a power failure would.
    pub fn kill_all(&mut self) {
        for node in &mut self.nodes {
            // The only error is a broker that cannot be waited for, which has ended then.
            let _ = node.kill();
        }
    }

    /// Starts a broker again on its ports and data and returns when it answers; one that still runs is stopped before.
    /// Its replicas may have to catch up still: see [`KafkaCluster::wait_in_sync`].
    pub fn restart(&mut self, broker: usize) -> Result<(), Error> {
        self.nodes[broker].restart()
    }

    /// Stops a broker where it is: connections stay open and get no answer.
    pub fn pause(&mut self, broker: usize) -> Result<(), Error> {
        self.nodes[broker].pause()
    }

    pub fn resume(&mut self, broker: usize) -> Result<(), Error> {
        self.nodes[broker].resume()
    }

    /// Waits until every broker knows all others and sees every replica of every topic in sync: before that, one more
    /// failure may be one too many.
    pub fn wait_in_sync(&self) -> Result<(), Error> {
        let deadline = Instant::now() + READY_LIMIT;
        let brokers = self.nodes.len();
        loop {
            let in_sync = self.nodes.iter().filter(|node| sees_all_in_sync(node.port(), brokers)).count();
            if in_sync == brokers {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::OutOfSync { in_sync, brokers, limit_s: READY_LIMIT.as_secs() });
            }
            thread::sleep(POLL);
        }
    }

    /// Shuts all brokers down in order and waits for their end.
    pub fn stop(mut self) -> Result<(), Error> {
        // All at once: the last ones could not leave in order when the majority is gone.
        thread::scope(|scope| {
            let stops: Vec<_> = self.nodes.iter_mut().map(|node| scope.spawn(|| node.stop())).collect();
            stops.into_iter().try_for_each(|stop| stop.join().expect("stopping does not panic"))
        })
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        self.kill_all();
    }
}

impl Ports {
    fn choose(home: &Home) -> Result<Self, Error> {
        Ok(Self {
            client: home.port(None, "port")?,
            controller: home.port(None, "controller-port")?,
            target: home.port(None, "target-port")?,
            advertised: home.port(None, "advertised-port")?,
        })
    }
}

/// Writes the properties of all, and formats what is new: side by side, as each takes a Java of its own.
fn prepare(homes: &[Home], ports: &[Ports], cluster_id: &str) -> Result<(), Error> {
    let properties: Vec<String> = (0..homes.len()).map(|broker| server_properties(broker, ports)).collect();
    thread::scope(|scope| {
        let formats: Vec<_> = homes
            .iter()
            .zip(&properties)
            .map(|(home, properties)| scope.spawn(|| home.prepare(properties, cluster_id, &[])))
            .collect();
        formats.into_iter().try_for_each(|format| format.join().expect("formatting does not panic"))
    })
}

/// Kept beside the brokers, as a start that is killed may have formatted some of them.
fn cluster_id_of(directory: &Path) -> Result<String, Error> {
    let file = directory.join("cluster-id");
    if !file.exists() {
        directory::write_secret(&file, &cluster_id())?;
    }
    fs::read_to_string(&file).map_err(Error::file("read", &file))
}

fn sees_all_in_sync(port: u16, brokers: usize) -> bool {
    Metadata::ask(port)
        .is_ok_and(|metadata| metadata.ports.len() == brokers && metadata.in_sync == metadata.replicas)
}

fn addresses(ports: impl Iterator<Item = u16>) -> String {
    ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}

/// How many brokers a topic without a factor of its own has, is left to the topic.
fn server_properties(broker: usize, ports: &[Ports]) -> String {
    let Ports { client, controller, target, advertised } = &ports[broker];
    let [client, controller, target, advertised] =
        [client, controller, target, advertised].map(ReservedPort::number);
    let mut voters = String::new();
    for (other, ports) in ports.iter().enumerate() {
        let separator = if other == 0 { "" } else { "," };
        let _ = write!(voters, "{separator}{}@127.0.0.1:{}", other + 1, ports.controller.number());
    }
    let replicas = ports.len().min(3);
    let in_sync = replicas / 2 + 1;
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{client},PROXIED://127.0.0.1:{target},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{client},PROXIED://127.0.0.1:{advertised}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs=data
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=3
auto.create.topics.enable=false
",
        id = broker + 1
    )
}
