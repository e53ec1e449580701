//! What a topic is called: a template, so that relay and handlers agree, and an existing system's names can be met.
//!
//! ```text
//! {service}.{category}     core.account, core.payment.v1         a topic per category, the default
//! {service}                core                                  a topic per service
//! events                   events                                one for all
//! outbox.event.{category}  outbox.event.account                  as other outboxes name them
//! ```

const SERVICE: &str = "{service}";
const CATEGORY: &str = "{category}";
/// Kafka's own limit.
const NAME_BYTES_MAX: usize = 249;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNames {
    prefix: String,
    template: String,
}

impl TopicNames {
    /// The prefix stands before every topic and group, so that several installations can share a cluster.
    pub fn new(prefix: impl Into<String>, template: &str) -> Result<Self, String> {
        let prefix = prefix.into();
        let literal = template.replacen(SERVICE, "", 1).replacen(CATEGORY, "", 1);
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if let Some(illegal) = prefix.chars().chain(literal.chars()).find(|c| !is_legal(*c)) {
            return Err(format!(
                "`{prefix}{template}` cannot name a topic: `{illegal}`; it takes letters, digits, `.`, `_`, `-`, \
                 and {SERVICE} and {CATEGORY} once each"
            ));
        }
        if template.is_empty() || prefix.len() + template.len() > NAME_BYTES_MAX {
            return Err(format!("`{prefix}{template}` is empty or too long to name a topic"));
        }
        Ok(Self { prefix, template: template.to_owned() })
    }

    /// A topic per service and category.
    pub fn by_category(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), template: format!("{SERVICE}.{CATEGORY}") }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn topic(&self, service: &str, category: &str) -> String {
        self.prefix.clone() + &self.template.replace(SERVICE, service).replace(CATEGORY, category)
    }

    /// Whether the service's events may stand there. So may another's, whose name begins alike or when the template does
    /// not name the service: the records tell.
    pub fn may_hold(&self, service: &str, topic: &str) -> bool {
        let named = self.prefix.clone() + &self.template.replace(SERVICE, service);
        match named.split_once(CATEGORY) {
            None => topic == named,
            Some((before, after)) => {
                topic.len() > before.len() + after.len()
                    && topic.starts_with(before)
                    && topic.ends_with(after)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TopicNames;

    #[test]
    fn a_template_names_topics_and_knows_them_again() {
        for (template, topic) in [
            ("{service}.{category}", "t.core.payment.v1"),
            ("{service}", "t.core"),
            ("events", "t.events"),
            ("outbox.event.{category}", "t.outbox.event.payment.v1"),
            ("{category}-of-{service}", "t.payment.v1-of-core"),
        ] {
            let names = TopicNames::new("t.", template).unwrap();
            assert_eq!(names.topic("core", "payment.v1"), topic);
            assert!(names.may_hold("core", topic), "{template}");
            assert!(!names.may_hold("core", &format!("{topic}-")) || template.ends_with("{category}"));
            assert!(!names.may_hold("core", "core"), "{template}: without the prefix");
        }
        assert_eq!(Ok(TopicNames::by_category("t.")), TopicNames::new("t.", "{service}.{category}"));
    }

    #[test]
    fn what_kafka_would_not_take_is_refused() {
        for template in ["", "a b", "{servce}", "{service}{service}", "ä"] {
            assert!(TopicNames::new("", template).is_err(), "{template}");
        }
        assert!(TopicNames::new("a/", "b").is_err());
    }
}
