//! docker-compose.yml without a container engine: every command line, environment, dependency and health check that it states, run
//! with the real binary on a Postgres and a Kafka that are set up as it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use local_servers::{PostgresCluster, PostgresOptions, free_port};
use serde_json::json;
use tempfile::TempDir;
use testbed::{eventually, kafka, unique};

use crate::harness::{Client, Compose, LUNARIA, Process, Service, file};

#[test]
fn what_a_service_reads_is_what_it_is_given() {
    let compose = Compose::read(&[]);
    for (name, service) in &compose.services {
        let lines = [Some(&service.command), service.health.as_ref()];
        for argument in lines.into_iter().flatten().flatten() {
            if let Some((_, secret)) = argument.split_once("/run/secrets/") {
                assert!(service.secrets.iter().any(|given| given == secret), "{name} is not given {secret}");
            }
        }
        for secret in &service.secrets {
            let source = format!("deploy/secrets/{secret}");
            assert_eq!(compose.document["secrets"][secret]["file"], source, "{name}");
            let reads = |argument: &String| argument.ends_with(&format!("/{secret}"));
            assert!(service.command.iter().any(reads), "{name} is given {secret} and does not read it");
        }
        let holds_relay = service.secrets.iter().any(|secret| secret == "relay.toml");
        assert_eq!(holds_relay, name.starts_with("relay-"), "{name} and the relay's password");
    }
}

/// `docker compose up --wait` takes the good end of a container for a failure unless a running one depends on it.
#[test]
fn what_runs_to_its_end_is_waited_for_by_what_keeps_running() {
    let services = Compose::read(&[]).services;
    for name in services.iter().filter(|(_, service)| service.health.is_none()).map(|(name, _)| name) {
        let mut running = services.values().filter(|service| service.health.is_some());
        assert!(running.any(|service| service.depends_on.contains(&(name.clone(), true))), "{name}");
    }
}

/// The flags of every command line are known, and every variable is a setting.
#[test]
fn the_binary_takes_every_command_line_and_setting() {
    let directory = tempfile::tempdir().unwrap();
    let compose = Compose::read(&[("/run/secrets", secrets(directory.path()).display().to_string())]);
    assert!(compose.services.len() >= 8, "{:?}", compose.services.keys());
    for (name, service) in &compose.services {
        for line in [Some(&service.command), service.health.as_ref()].into_iter().flatten() {
            // clap reads the line to its end before it helps.
            let mut asked: Vec<&str> = line.iter().map(String::as_str).collect();
            asked.push("--help");
            let (code, text) = run(&asked, &service.environment);
            assert!(code == 0 && text.contains("Usage: lunaria "), "{name}: {line:?}: {text}");
            let usage = text.lines().find_map(|line| line.strip_prefix("Usage: lunaria ")).unwrap();
            assert!(!usage.contains("<COMMAND>"), "{name}: {line:?} stops before a command: {usage}");
        }
        let config = service.command.iter().filter(|argument| argument.starts_with("--config="));
        let shown: Vec<&str> = config.map(String::as_str).chain(["config", "show"]).collect();
        let (code, text) = run(&shown, &service.environment);
        assert_eq!(code, 0, "{name}: {text}");
    }
}

#[test]
fn kafka_is_the_version_that_the_tests_run_against() {
    let image = Compose::read(&[]).document["services"]["kafka"]["image"].clone();
    let version = image.as_str().unwrap().strip_prefix("apache/kafka:").unwrap().to_owned();
    let pom = fs::read_to_string(file("kafka/pom.xml")).unwrap();
    assert!(pom.contains(&format!("<version>{version}</version>")), "kafka/pom.xml is not of {version}");
}

#[test]
fn secrets_are_made_once_and_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let secrets = secrets(directory.path());
    let read = |name: &str| fs::read_to_string(secrets.join(name)).unwrap();
    let first = read("provision.toml");
    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["superuser_password", "owner_password"] {
        assert_eq!(read(name).len(), 32);
    }
    make_secrets(&secrets);
    assert_eq!(read("provision.toml"), first);
    assert!(!read("application.toml").contains("lunaria_relay"));
    assert!(!read("relay.toml").contains("lunaria_app"));
    // Secrets of an older version, or of a run that was cut short, are made good.
    let application = read("application.toml");
    let older = |name: &str| {
        let text = read(name);
        let lines: Vec<&str> = text.lines().take_while(|line| *line != "[card.database]").collect();
        fs::remove_file(secrets.join(name)).unwrap();
        fs::write(secrets.join(name), lines.join("\n") + "\n").unwrap();
    };
    ["application.toml", "provision.toml"].into_iter().for_each(older);
    fs::remove_file(secrets.join("network_token")).unwrap();
    make_secrets(&secrets);
    assert_eq!(read("provision.toml"), first);
    assert_eq!(read("application.toml").lines().count(), application.lines().count());
    for line in application.lines().filter(|line| !line.starts_with("network_token")) {
        assert!(read("application.toml").lines().any(|upgraded| upgraded == line), "{line} is missing");
    }
    assert!(read("application.toml").contains(&read("network_token")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployment_that_compose_describes_moves_money() {
    let deployment = Deployment::prepare();
    let mut running: Vec<(String, Process)> = Vec::new();
    for name in deployment.compose.in_order() {
        let service = &deployment.compose.services[name];
        for (other, has_ended) in &service.depends_on {
            // One that has ended did so before this one's turn; of others' images (Postgres, Kafka) the test has its own.
            if let (Some(other), false) = (deployment.compose.services.get(other), has_ended) {
                healthy(name, other).await;
            }
        }
        if service.health.is_none() {
            let arguments: Vec<&str> = service.command.iter().map(String::as_str).collect();
            // The second time, as at the next start, there is nothing left to do.
            for _ in 0..2 {
                let (code, text) = run(&arguments, &service.environment);
                assert_eq!(code, 0, "{name}: {text}");
            }
            continue;
        }
        let arguments: Vec<&str> = service.command.iter().map(String::as_str).collect();
        let environment: Vec<(&str, &str)> =
            service.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let log = deployment.directory.path().join(format!("{name}.log"));
        let (process, _) = Process::start(LUNARIA, &arguments, &environment, &log, 0);
        running.push((name.to_owned(), process));
    }
    for (name, service) in &deployment.compose.services {
        if service.health.is_some() {
            healthy(name, service).await;
        }
    }

    let key = fs::read_to_string(deployment.secrets.join("api_key")).unwrap();
    let (code, text) = run(&["smoke", &deployment.api, "--limit-s", "30", "--token", &key], &BTreeMap::new());
    assert_eq!(code, 0, "{text}");
    // The card network knows where the bank is, and has its token.
    let client = Client::new(&deployment.api, &deployment.house).with_key(&key);
    let card = client.card(client.account(1_000).await).await;
    client.pay_by_card(json!({ "card_id": card, "amount": "400", "currency": "DKK" })).await;
    client.until_card(card, "captured", 1).await;
    // The roles have the rights that they need, and no more.
    let config = format!("--config={}", deployment.secrets.join("provision.toml").display());
    let (code, text) = run(&[&config, "doctor"], &deployment.compose.services["serve"].environment);
    assert!(code == 0 && !text.contains("FAIL"), "{text}");

    while let Some((name, process)) = running.pop() {
        assert!(process.interrupt(), "{name} did not end well");
    }
    let (_, service) = deployment.compose.services.iter().find(|(name, _)| *name == "relay-core").unwrap();
    eventually("a relay that has ended is not healthy", async || (health(service).0 != 0).then_some(()))
        .await;
    tokio::task::spawn_blocking(move || deployment.postgres.stop().unwrap()).await.unwrap();
}

struct Deployment {
    compose: Compose,
    api: String,
    house: String,
    secrets: PathBuf,
    postgres: PostgresCluster,
    directory: TempDir,
    // Postgres runs as another user, which has to reach its directory.
    _data: TempDir,
}

impl Deployment {
    fn prepare() -> Self {
        let (directory, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = PostgresOptions {
            directory: data.path().to_owned(),
            port: None,
            settings: postgres_settings(&Compose::read(&[])),
        };
        let postgres = PostgresCluster::start(options).unwrap();
        let secrets = secrets(directory.path());
        let superuser_password = secrets.join("superuser_password");
        fs::remove_file(&superuser_password).unwrap();
        fs::write(&superuser_password, format!("{}\n", postgres.superuser_password())).unwrap();
        for name in ["provision.toml", "application.toml", "relay.toml"] {
            let file = secrets.join(name);
            let text = fs::read_to_string(&file).unwrap();
            let here = text.replace("postgres:5432", &format!("127.0.0.1:{}", postgres.port()));
            assert_ne!(text, here, "{name} does not name the service `postgres`");
            fs::remove_file(&file).unwrap();
            fs::write(&file, here).unwrap();
        }
        let [api, adapter, card, house] = [(); 4].map(|()| format!("127.0.0.1:{}", free_port().unwrap()));
        let mut substitutes = vec![
            ("/run/secrets", secrets.display().to_string()),
            ("/var/lib/lunaria", directory.path().display().to_string()),
            ("kafka:9092", kafka()),
            // Each of them has its own container there.
            ("0.0.0.0:9464", "127.0.0.1:0".to_owned()),
        ];
        for (names, here) in [
            (["serve:8080", "0.0.0.0:8080", "127.0.0.1:8080"], &api),
            (["adapter-instant:8090", "0.0.0.0:8090", "127.0.0.1:8090"], &adapter),
            (["adapter-card:8091", "0.0.0.0:8091", "127.0.0.1:8091"], &card),
            (["simulator:8095", "0.0.0.0:8095", "127.0.0.1:8095"], &house),
        ] {
            substitutes.extend(names.map(|name| (name, here.clone())));
        }
        let mut compose = Compose::read(&substitutes);
        // The broker is shared with other tests.
        let prefix = unique("deployment").replace('_', "-") + ".";
        for service in compose.services.values_mut() {
            service.environment.insert("LUNARIA__KAFKA__PREFIX".to_owned(), prefix.clone());
        }
        Self {
            compose,
            api: format!("http://{api}"),
            house: format!("http://{house}"),
            secrets,
            postgres,
            directory,
            _data: data,
        }
    }
}

/// Each `-c name=value` of the server's command line.
fn postgres_settings(compose: &Compose) -> Vec<(String, String)> {
    let command = compose.document["services"]["postgres"]["command"].as_str().unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "postgres");
    let settings = words[1..].chunks(2).map(|pair| {
        assert_eq!(pair[0], "-c");
        let (name, value) = pair[1].split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    settings.collect()
}

async fn healthy(name: &str, service: &Service) {
    let mut last = String::new();
    let deadline = std::time::Instant::now() + testbed::patience();
    while std::time::Instant::now() < deadline {
        let (code, text) = health(service);
        if code == 0 {
            return;
        }
        last = text;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{name} waits for what never became healthy: {:?}: {last}", service.health);
}

fn health(service: &Service) -> (i32, String) {
    let arguments = service.health.as_ref().unwrap();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments, &service.environment)
}

/// `scripts/secrets.sh`, into a directory of the test.
fn secrets(directory: &Path) -> PathBuf {
    let secrets = directory.join("secrets");
    make_secrets(&secrets);
    secrets
}

fn make_secrets(directory: &Path) {
    let made = Command::new(file("scripts/secrets.sh")).arg(directory).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn run(arguments: &[&str], environment: &BTreeMap<String, String>) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(LUNARIA).args(arguments).envs(environment).output().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}
