//! The servers against the real programs: data that stays, owners that exclude each other, ends of every kind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use local_servers::{
    Error, Installations, KafkaBroker, KafkaOptions, PostgresCluster, PostgresOptions, free_port,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

mod kafka_faults;
mod postgres_faults;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn second_start_has_the_same_data_password_and_port() {
    let directory = temporary();
    let first = start(&directory);
    query(&first, "create table kept as select 7 as seven").unwrap();
    let url = first.superuser_url("postgres");
    first.stop().unwrap();

    let second = start(&directory);
    assert_eq!(second.superuser_url("postgres"), url);
    assert_eq!(query(&second, "select seven from kept").unwrap(), "7");
    second.stop().unwrap();
}

#[test]
fn asked_port_and_settings_are_used() {
    let directory = temporary();
    let port = free_port().unwrap();
    let settings = vec![("max_connections".to_owned(), "33".to_owned())];
    let options = PostgresOptions { port: Some(port), settings, ..options(&directory) };
    let cluster = PostgresCluster::start(options).unwrap();
    assert_eq!(cluster.port(), port);
    let sql = "select string_agg(setting, ' ' order by name) from pg_settings \
               where name in ('fsync', 'listen_addresses', 'max_connections', 'synchronous_commit', 'wal_level')";
    assert_eq!(query(&cluster, sql).unwrap(), "on 127.0.0.1 33 on logical");

    let taken = temporary();
    let refused = PostgresCluster::start(PostgresOptions { port: Some(port), ..self::options(&taken) });
    assert!(matches!(refused, Err(Error::PortTaken { port: refused }) if refused == port));
}

#[test]
fn wrong_password_is_refused_at_both_doors() {
    let directory = temporary();
    let cluster = start(&directory);
    let socket_directory = cluster.socket_directory().to_str().unwrap().to_owned();
    for host in ["127.0.0.1", &socket_directory] {
        let door = format!("host={host} port={} user=postgres dbname=postgres", cluster.port());
        let right = format!("{door} password={}", cluster.superuser_password());
        assert_eq!(psql(&right, "select 1").unwrap(), "1");
        let refusal = psql(&format!("{door} password=wrong"), "select 1").unwrap_err();
        assert!(refusal.contains("password authentication failed"), "{refusal}");
    }
}

#[test]
fn second_owner_is_refused() {
    let directory = temporary();
    let first = start(&directory);
    let second = PostgresCluster::start(options(&directory)).err().unwrap();
    let pid = std::process::id().to_string();
    assert!(matches!(&second, Error::Owned { pid: owner, .. } if *owner == pid), "{second}");
    assert_eq!(query(&first, "select 1").unwrap(), "1");
}

#[test]
fn start_after_a_killed_server_recovers_what_was_committed() {
    let directory = temporary();
    let cluster = start(&directory);
    query(&cluster, "create table kept as select 7 as seven").unwrap();
    kill_process(postmaster(&directory), Signal::KILL).unwrap();
    drop(cluster);

    let cluster = start(&directory);
    assert_eq!(query(&cluster, "select seven from kept").unwrap(), "7");
}

#[test]
fn dropped_cluster_is_stopped() {
    let directory = temporary();
    let cluster = start(&directory);
    let pid = postmaster(&directory);
    drop(cluster);
    assert!(has_ended(pid));
}

#[test]
fn stale_pid_file_with_the_number_of_a_stranger_is_no_obstacle() {
    let directory = temporary();
    start(&directory).stop().unwrap();
    let pid_file = directory.path().join("postgres/data/postmaster.pid");
    fs::write(&pid_file, format!("{}\n", std::process::id())).unwrap();
    assert_eq!(query(&start(&directory), "select 1").unwrap(), "1");
}

#[test]
fn server_that_outlived_its_owner_is_taken_over() {
    let mut owner = with_servers(&[], "echo $LUNARIA_TEST_SOCKET_DIR $$; exec sleep 600");
    let line = first_line(&mut owner);
    let (socket_directory, command) = line.split_once(' ').unwrap();
    let directory = Path::new(socket_directory).parent().unwrap();
    let survivor = pid_in(&directory.join("data/postmaster.pid"));
    owner.kill().unwrap();
    owner.wait().unwrap();
    kill_process(Pid::from_raw(command.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    assert!(!has_ended(survivor));

    let options = PostgresOptions { directory: directory.to_owned(), port: None, settings: Vec::new() };
    let cluster = PostgresCluster::start(options).unwrap();
    wait_until(|| has_ended(survivor));
    assert_eq!(query(&cluster, "select 1").unwrap(), "1");
    cluster.stop().unwrap();
    fs::remove_dir_all(directory.parent().unwrap()).unwrap();
}

#[test]
fn stranger_who_works_in_the_data_directory_is_left_alone() {
    let directory = temporary();
    start(&directory).stop().unwrap();
    let data = directory.path().join("postgres/data");
    let mut stranger = Command::new("sleep").arg("600").current_dir(data).spawn().unwrap();
    let cluster = start(&directory);
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    cluster.stop().unwrap();
}

#[test]
fn too_long_path_is_refused_with_the_length_that_fits() {
    let directory = temporary();
    let directory = directory.path().join("d".repeat(80));
    let options = PostgresOptions { directory, port: None, settings: Vec::new() };
    let error = PostgresCluster::start(options).err().unwrap();
    assert!(error.to_string().contains("at most 85 bytes"), "{error}");
}

#[test]
fn data_of_a_version_that_is_not_installed_names_the_version() {
    let directory = temporary();
    start(&directory).stop().unwrap();
    fs::write(directory.path().join("postgres/data/PG_VERSION"), "9\n").unwrap();
    let error = PostgresCluster::start(options(&directory)).err().unwrap();
    assert!(error.to_string().contains("install postgresql-9"), "{error}");
}

#[test]
fn missing_programs_give_the_line_to_type() {
    let directory = temporary();
    let nowhere =
        Installations { versions: directory.path().join("none"), path: "/nowhere".into(), major: None };
    let error = PostgresCluster::start_from(options(&directory), &nowhere).err().unwrap();
    assert!(matches!(error, Error::PostgresMissing));
    assert!(error.to_string().contains("apt-get install -y --no-install-recommends postgresql"), "{error}");
    assert!(!directory.path().join("postgres").exists());
}

#[test]
fn directory_of_something_else_is_left_alone() {
    let directory = temporary();
    fs::create_dir(directory.path().join("postgres")).unwrap();
    fs::write(directory.path().join("postgres/letter.txt"), "dear").unwrap();
    let error = PostgresCluster::start(options(&directory)).err().unwrap();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
}

#[test]
fn failed_start_shows_the_end_of_the_log() {
    let directory = temporary();
    let settings = vec![("wal_level".to_owned(), "nonsense".to_owned())];
    let error = PostgresCluster::start(PostgresOptions { settings, ..options(&directory) }).err().unwrap();
    assert!(error.to_string().contains("invalid value for parameter \"wal_level\""), "{error}");
}

#[test]
fn with_servers_passes_the_exit_code_and_removes_everything() {
    let mut run = with_servers(
        &[],
        "echo $LUNARIA_TEST_SOCKET_DIR; psql \"$LUNARIA_TEST_POSTGRES\" -c 'select 1' && exit 7",
    );
    let socket_directory = PathBuf::from(first_line(&mut run));
    assert_eq!(run.wait().unwrap().code(), Some(7));
    assert!(!socket_directory.parent().unwrap().parent().unwrap().exists());
}

#[test]
fn with_servers_stops_and_removes_everything_on_a_signal() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut run = with_servers(&[], "echo $LUNARIA_TEST_SOCKET_DIR; exec sleep 600");
        let socket_directory = PathBuf::from(first_line(&mut run));
        kill_process(Pid::from_child(&run), signal).unwrap();
        let status = run.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(code), None));
        assert!(!socket_directory.parent().unwrap().parent().unwrap().exists());
    }
}

#[test]
fn broker_starts_again_on_its_data_and_on_another_port() {
    let directory = temporary();
    let options = KafkaOptions::new(directory.path().join("kafka"), kafka_libs());

    let broker = KafkaBroker::start(options.clone()).unwrap();
    let first = broker.bootstrap();
    assert!(matches!(KafkaBroker::start(options.clone()), Err(Error::Owned { .. })));
    broker.stop().unwrap();

    let broker = KafkaBroker::start(KafkaOptions { port: Some(free_port().unwrap()), ..options }).unwrap();
    assert_ne!(broker.bootstrap(), first);
    broker.stop().unwrap();
}

#[test]
fn broker_that_outlived_its_owner_is_taken_over() {
    let script = "echo $LUNARIA_TEST_SOCKET_DIR $LUNARIA_TEST_KAFKA $$; exec sleep 600";
    let mut owner = with_servers(&["--kafka"], script);
    let line = first_line(&mut owner);
    let [socket_directory, bootstrap, command] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let directory = Path::new(socket_directory).parent().unwrap().parent().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    kill_process(Pid::from_raw(command.parse().unwrap()).unwrap(), Signal::KILL).unwrap();

    let options = KafkaOptions::new(directory.join("kafka"), kafka_libs());
    let broker = KafkaBroker::start(options).unwrap();
    // Only the old broker's end can have given its port free.
    assert_eq!(broker.bootstrap(), bootstrap);
    broker.stop().unwrap();
    let options = PostgresOptions { directory: directory.join("postgres"), port: None, settings: Vec::new() };
    PostgresCluster::start(options).unwrap().stop().unwrap();
    fs::remove_dir_all(directory).unwrap();
}

/// Open for passage, as the account that runs PostgreSQL need not be ours.
fn temporary() -> TempDir {
    let permissions = fs::Permissions::from_mode(0o711);
    tempfile::Builder::new().permissions(permissions).tempdir_in("/tmp").unwrap()
}

fn options(directory: &TempDir) -> PostgresOptions {
    PostgresOptions { directory: directory.path().join("postgres"), port: None, settings: Vec::new() }
}

fn start(directory: &TempDir) -> PostgresCluster {
    PostgresCluster::start(options(directory)).unwrap()
}

fn query(cluster: &PostgresCluster, sql: &str) -> Result<String, String> {
    psql(&cluster.superuser_url("postgres"), sql)
}

fn psql(target: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql").args(["-XAtqc", sql, target]).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn kafka_libs() -> PathBuf {
    fetched_by("kafka.sh")
}

fn fetched_by(script: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(script);
    let output = Command::new(path).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "type:  scripts/prerequisites.sh test && scripts/{script}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn with_servers(options: &[&str], script: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-servers"));
    if options.contains(&"--kafka") {
        command.env("LUNARIA_KAFKA_LIBS", kafka_libs());
    }
    command
        .args(options)
        .args(["--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    // The pipe stays open, as the command may write on.
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "with-servers ended before its command wrote a line");
    line.trim().to_owned()
}

fn postmaster(directory: &TempDir) -> Pid {
    pid_in(&directory.path().join("postgres/data/postmaster.pid"))
}

fn pid_in(file: &Path) -> Pid {
    let text = fs::read_to_string(file).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
}

/// Also for one that has ended and that nobody has waited for.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

fn wait_until(mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_true() {
        assert!(Instant::now() < deadline, "condition was not met in time");
        thread::sleep(Duration::from_millis(10));
    }
}
