//! docker-compose.yml as a test reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the repository.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

pub(crate) fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(file(name)).unwrap()).unwrap()
}

/// A service that runs our binary.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) command: Vec<String>,
    /// The arguments of the health check; `None` for one that runs to its end.
    pub(crate) health: Option<Vec<String>>,
    pub(crate) environment: BTreeMap<String, String>,
    /// (service, whether it has to have ended rather than be healthy)
    pub(crate) depends_on: Vec<(String, bool)>,
    pub(crate) secrets: Vec<String>,
}

pub(crate) struct Compose {
    pub(crate) document: Value,
    pub(crate) services: BTreeMap<String, Service>,
}

impl Compose {
    /// Names, addresses and paths of the containers become those of the test, by `substitutes`.
    pub(crate) fn read(substitutes: &[(&str, String)]) -> Self {
        let document = yaml("docker-compose.yml");
        let services = document["services"].as_object().unwrap();
        let ours = services.iter().filter(|(_, service)| service["image"] == "lunaria:local");
        let services = ours.map(|(name, service)| (name.clone(), Service::read(service, substitutes)));
        Self { services: services.collect(), document }
    }

    /// So that each comes after what it depends on.
    pub(crate) fn in_order(&self) -> Vec<&str> {
        let mut order: Vec<&str> = Vec::new();
        while order.len() < self.services.len() {
            let before = order.len();
            for (name, service) in &self.services {
                let waits = service
                    .depends_on
                    .iter()
                    .any(|(other, _)| self.services.contains_key(other) && !order.contains(&other.as_str()));
                if !waits && !order.contains(&name.as_str()) {
                    order.push(name);
                }
            }
            assert!(order.len() > before, "the services wait for each other in a circle");
        }
        order
    }
}

impl Service {
    fn read(service: &Value, substitutes: &[(&str, String)]) -> Self {
        let replace = |text: &Value| {
            // An environment's numbers and truths are texts to the process.
            let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
            substitutes.iter().fold(text, |text, (from, to)| text.replace(from, to))
        };
        let texts = |list: &Value| list.as_array().unwrap().iter().map(replace).collect::<Vec<_>>();
        let health = &service["healthcheck"];
        let health = (health["disable"] != true).then(|| {
            let test = texts(&health["test"]);
            assert_eq!(test[..2], ["CMD", "lunaria"], "the image has no other program");
            test[2..].to_vec()
        });
        let environment = service["environment"].as_object().into_iter().flatten();
        let depends_on = service["depends_on"].as_object().into_iter().flatten();
        Self {
            command: texts(&service["command"]),
            health,
            environment: environment.map(|(key, value)| (key.clone(), replace(value))).collect(),
            depends_on: depends_on
                .map(|(other, how)| (other.clone(), how["condition"] == "service_completed_successfully"))
                .collect(),
            secrets: service["secrets"].as_array().map_or_else(Vec::new, |secrets| {
                secrets.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
            }),
        }
    }
}
