//! A whole platform of one test: three service databases, a clearing house, and the processes of a transport.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use local_servers::ReservedPort;
use sqlx::PgConnection;
use tempfile::TempDir;
use testbed::{TestDatabase, eventually, kafka, unique};

use super::client::APPROVER_KEY;
use super::{Client, KEY, LUNARIA, Process};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Embedded,
    Kafka,
}

pub(crate) const OPS_TOKEN: &str = "a token of the tests";

/// What to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Everything,
    Relays,
    /// Of all services.
    Handlers,
    /// Core's handlers alone.
    Core,
}

pub(crate) struct Platform {
    pub(crate) transport: Transport,
    pub(crate) core: TestDatabase,
    pub(crate) instant: TestDatabase,
    pub(crate) card: TestDatabase,
    pub(crate) topic_prefix: String,
    pub(crate) house_url: String,
    program: String,
    mutant: String,
    settings: &'static [&'static str],
    processes: BTreeMap<&'static str, Process>,
    /// By the name of the process.
    pub(crate) ops_urls: BTreeMap<&'static str, String>,
    house: Option<Process>,
    pub(crate) api_url: String,
    /// Where the clearing house delivers.
    pub(crate) adapter_url: String,
    /// Where the card network speaks.
    pub(crate) card_url: String,
    directory: TempDir,
    /// Kept from everybody else, also while a process is down.
    _ports: [ReservedPort; 3],
}

/// Name, arguments, how many addresses it announces.
type Role = (&'static str, &'static [&'static str], usize);
const EMBEDDED: [Role; 1] = [("serve", &["serve"], 4)];
const KAFKA: [Role; 7] = [
    ("relay-core", &["relay", "run", "core"], 1),
    ("relay-instant", &["relay", "run", "adapter-instant"], 1),
    ("relay-card", &["relay", "run", "adapter-card"], 1),
    ("serve", &["serve"], 2),
    ("handlers", &["handlers", "core"], 1),
    ("adapter", &["adapter", "instant"], 2),
    ("adapter-card", &["adapter", "card"], 2),
];

impl Platform {
    pub(crate) async fn start(transport: Transport) -> Self {
        Self::with(transport, LUNARIA, "", &[]).await
    }

    /// Another program, a seeded fault of it, further settings.
    pub(crate) async fn with(
        transport: Transport,
        program: &str,
        mutant: &str,
        settings: &'static [&'static str],
    ) -> Self {
        let core = TestDatabase::create("core").await;
        let instant = TestDatabase::create("adapter-instant").await;
        let card = TestDatabase::create("adapter-card").await;
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("journal.jsonl");
        let journal = journal.to_str().unwrap();
        let simulator =
            ["simulator", "--listen", "127.0.0.1:0", "--answer-time-ms", "20", "--journal", journal];
        let mut arguments = simulator.to_vec();
        // The house speaks as the adapter does.
        for (option, setting) in [("--profile", "instant.profile="), ("--name", "instant.house_name=")] {
            let chosen = settings.iter().find_map(|chosen| chosen.strip_prefix(setting));
            arguments.extend(chosen.into_iter().flat_map(|chosen| [option, chosen]));
        }
        let token = settings.iter().find_map(|chosen| chosen.strip_prefix("instant.house_token="));
        let token_file = directory.path().join("house_token");
        if let Some(token) = token {
            std::fs::write(&token_file, token).unwrap();
            arguments.extend(["--token-file", token_file.to_str().unwrap()]);
        }
        let (house, urls) = Process::start(LUNARIA, &arguments, &[], &directory.path().join("house.log"), 1);
        let topic_prefix = unique("t").replace('_', "-") + ".";
        let ports = [(); 3].map(|()| ReservedPort::any().unwrap());
        let addresses = ports.each_ref().map(|port| format!("127.0.0.1:{}", port.number()));
        let config = configuration(transport, [&core, &instant, &card], &addresses, &urls[0], &topic_prefix);
        std::fs::write(directory.path().join("lunaria.toml"), config).unwrap();
        let mut platform = Self {
            transport,
            core,
            instant,
            card,
            topic_prefix,
            house_url: urls[0].clone(),
            program: program.to_owned(),
            mutant: mutant.to_owned(),
            settings,
            processes: BTreeMap::new(),
            ops_urls: BTreeMap::new(),
            house: Some(house),
            api_url: format!("http://{}", addresses[0]),
            adapter_url: String::new(),
            card_url: String::new(),
            directory,
            _ports: ports,
        };
        platform.resume().await;
        platform
    }

    /// Starts what is not running.
    pub(crate) async fn resume(&mut self) {
        let roles: &[Role] = match self.transport {
            Transport::Embedded => &EMBEDDED,
            Transport::Kafka => &KAFKA,
        };
        let config = self.directory.path().join("lunaria.toml");
        for (name, arguments, announces) in roles {
            if self.processes.contains_key(name) {
                continue;
            }
            if *name == "serve" && self.transport == Transport::Kafka {
                self.slots_exist().await;
            }
            let mut arguments = [&["--config", config.to_str().unwrap()], *arguments].concat();
            arguments.extend(self.settings.iter().flat_map(|setting| ["--set", setting]));
            let log = self.directory.path().join(format!("{name}.log"));
            let environment = [("LUNARIA_MUTANT", self.mutant.as_str())];
            let is_all = self.transport == Transport::Embedded;
            let has_cards = !self.settings.contains(&"card.enabled=false");
            // Its door is not announced where there is none.
            let announces = announces - usize::from(is_all && !has_cards);
            let (process, urls) = Process::start(&self.program, &arguments, &environment, &log, announces);
            match *name {
                "adapter" => self.adapter_url.clone_from(&urls[0]),
                "adapter-card" => self.card_url.clone_from(&urls[0]),
                "serve" if is_all => {
                    self.adapter_url.clone_from(&urls[1]);
                    if has_cards {
                        self.card_url.clone_from(&urls[2]);
                    }
                }
                _ => {}
            }
            // It is announced last.
            self.ops_urls.insert(name, urls.last().unwrap().clone());
            self.processes.insert(name, process);
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, victim: Victim) {
        let names: Vec<&str> = self.processes.keys().copied().collect();
        for name in names {
            let dies = match victim {
                Victim::Everything => true,
                Victim::Relays => name.starts_with("relay"),
                Victim::Core => name == "handlers",
                Victim::Handlers => name == "handlers" || name.starts_with("adapter"),
            };
            if dies {
                self.processes.remove(name).unwrap().kill_9();
            }
        }
    }

    /// Another version of it takes over.
    pub(crate) async fn deploy(&mut self, program: &str, mutant: &str) {
        self.kill(Victim::Everything);
        (self.program, self.mutant) = (program.to_owned(), mutant.to_owned());
        self.resume().await;
    }

    /// By the setting `kafka.topic`, as the relay names them.
    pub(crate) fn topic(&self, service: &str, category: &str) -> String {
        let chosen = self.settings.iter().find_map(|setting| setting.strip_prefix("kafka.topic="));
        let template = chosen.unwrap_or("{service}.{category}");
        let name = template.replace("{service}", service).replace("{category}", category);
        format!("{}{name}", self.topic_prefix)
    }

    /// Runs the binary with the platform's configuration.
    pub(crate) fn lunaria(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(LUNARIA);
        command.arg("--config").arg(self.directory().join("lunaria.toml"));
        command.args(self.settings.iter().flat_map(|setting| ["--set", setting])).args(arguments);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap_or(-1), text)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.api_url, &self.house_url)
    }

    pub(crate) async fn core_database(&self) -> PgConnection {
        self.core.superuser_connection().await
    }

    /// Of core and of its adapters.
    pub(crate) async fn databases(&self) -> [PgConnection; 3] {
        let services = [&self.core, &self.instant, &self.card];
        let [core, instant, card] = services.map(testbed::TestDatabase::superuser_connection);
        [core.await, instant.await, card.await]
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends all processes as Ctrl-C does and drops the databases.
    pub(crate) async fn stop(mut self) {
        for (name, process) in std::mem::take(&mut self.processes) {
            assert!(process.interrupt(), "{name} did not end well");
        }
        assert!(self.house.take().unwrap().interrupt());
        self.core.drop_database().await;
        self.instant.drop_database().await;
        self.card.drop_database().await;
    }

    async fn slots_exist(&self) {
        let databases = [self.core.name.clone(), self.instant.name.clone(), self.card.name.clone()];
        eventually("the relays have made their slots", async || {
            let mut connection = self.core_database().await;
            let count: i64 =
                sqlx::query_scalar("select count(*) from pg_replication_slots where database = any($1) and confirmed_flush_lsn is not null")
                    .bind(&databases[..])
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
            (count == 3).then_some(())
        })
        .await;
    }
}

fn configuration(
    transport: Transport,
    [core, instant, card]: [&TestDatabase; 3],
    [api, adapter, network]: &[String; 3],
    house: &str,
    prefix: &str,
) -> String {
    let mut config = match transport {
        Transport::Embedded => "transport = \"embedded\"\n".to_owned(),
        Transport::Kafka => {
            let brokers = kafka();
            format!(
                "transport = \"kafka\"\nkafka = {{ brokers = \"{brokers}\", prefix = \"{prefix}\", partitions = 4, instance = \"one\" }}\n"
            )
        }
    };
    write!(
        config,
        "api.keys.tests = {{ secret = \"{KEY}\", roles = \"service,operator,approver,auditor,admin\" }}\napi.keys.approvals = {{ secret = \"{APPROVER_KEY}\", roles = \"approver\" }}\ncore.external_token = \"{KEY}\"\n\
         ops = {{ listen = \"127.0.0.1:0\", token = \"{OPS_TOKEN}\" }}\napi.listen = \"{api}\"\ncore.external_url = \"http://{api}\"\n\
         instant.listen = \"{adapter}\"\ncard.listen = \"{network}\"\ninstant.clearing_house_url = \"{house}\"\n\
         instant.answer_timeout_ms = 1000\ninstant.retry_pause_ms = 100\ninstant.attempts_max = 4\n"
    )
    .unwrap();
    for (section, database) in [("core", core), ("instant", instant), ("card", card)] {
        let (application, relay, slot) = (database.application_url(), database.relay_url(), &database.name);
        writeln!(
            config,
            "{section}.database = {{ database_url = \"{application}\", relay_url = \"{relay}\", slot = \"{slot}\", connections_max = 12 }}"
        )
        .unwrap();
    }
    config
}
