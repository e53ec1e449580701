//! The whole platform: the real binary, real Postgres, real Kafka, a simulated outside world.
//!
//! One binary, so that it links once. `make test` starts the servers and runs it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// What the tests stand on: processes that can be killed, a client, a checker that shares no code with the domain.
mod harness;

// The way of a transfer, on both transports, and every way in which it can end.
mod transfer_paths;
// Who may do what, over the whole API; and the page that describes it.
mod access;
// An account then and now, its statement, and why something happened.
mod queries;
// Read models: spoilt, compared, built anew.
mod projections;
// What comes after the end: recalls and returns; what the rail takes and does not decide.
mod aftermath;
// A rail that answers nobody, or is closed.
mod rails;
// Payments from other banks: credited, refused, sent back.
mod incoming;
// Payments by card: every flow, the network's own decisions, faults and kills.
mod cards;

mod customers;

mod identity;

mod webhooks;
// Orders on credit: confirmed, refused, tried again, given up, cancelled.
mod orders;
// What went wrong is mended by two people, as it was shown.
mod corrections;
// And many at once.
mod bulk_corrections;
// A handler's bug: what it has parked is seen as one, and tried again as one.
mod parked;
// The rail's messages, read by somebody else's library; other rails; what belongs to nothing.
mod messages;
// One key, one effect; wrong input, clear errors.
mod requests;
// What stands in Kafka, read by somebody else's client.
mod kafka_records;
// kill -9 at random moments under load, and nothing is lost or done twice.
mod crash;
// The checker sees the faults that it is there for.
mod mutants;
// The command line: doctor, wrong configuration.
mod command_line;
// Tables of an existing system, from their preparation to a gap and its end.
mod capture;
// Metrics, readiness, pause and resume.
mod operations;
// `lunaria smoke` finds a deployment well, or says what is not.
mod smoke;
// What docker-compose.yml describes, started by hand, moves money.
mod deployment;
// The dashboard and the alert rules.
mod monitoring;
// The house rules: floors, first lines, sizes.
mod tidy;
// Connections that prove who is at both ends.
mod tls;
