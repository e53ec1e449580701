//! The platform's own connections to a Postgres that takes encrypted ones only.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use event_store::{APPLICATION_ROLE, Passwords, RELAY_ROLE, provision};
use local_servers::{CertificateAuthority, PostgresCluster, PostgresOptions, PostgresTls};

use crate::command_line::run;

const PASSWORD: &str = "a secret/of 4 words";

fn start(directory: &Path, authority: &CertificateAuthority) -> PostgresCluster {
    let access = [
        &format!("hostssl all {APPLICATION_ROLE},{RELAY_ROLE} all scram-sha-256 clientcert=verify-ca"),
        "host all postgres,lunaria_owner all scram-sha-256",
    ];
    let tls = PostgresTls {
        server: authority.server("server", &["127.0.0.1"]).unwrap(),
        client_authority: authority.certificate().to_owned(),
        access: access.map(str::to_owned).into(),
    };
    let settings = tls.settings(&directory.join("tls")).unwrap();
    let options = PostgresOptions { directory: directory.join("postgres"), port: None, settings };
    PostgresCluster::start(options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_logins_of_a_service_are_encrypted_as_the_url_in_a_file_says() {
    let directory = tempfile::Builder::new()
        .prefix("lunaria-tls-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in("/tmp")
        .unwrap();
    let files = directory.path().join("certificates");
    let authority = CertificateAuthority::create(&files, "authority").unwrap();
    let stranger = CertificateAuthority::create(&files, "stranger").unwrap();
    let ours = authority.client("lunaria").unwrap();
    let cluster = start(directory.path(), &authority);
    let superuser = cluster.superuser_url("postgres").parse().unwrap();
    let word = || PASSWORD.to_owned();
    let passwords = Passwords { owner: word(), application: word(), relay: word() };
    provision(&superuser, "secured", "core", &passwords).await.unwrap();

    let doctor = |trusted: &Path| {
        let (password, port) = (PASSWORD.replace(' ', "%20").replace('/', "%2F"), cluster.port());
        let mut arguments = Vec::new();
        for (setting, role) in [("database_url", APPLICATION_ROLE), ("relay_url", RELAY_ROLE)] {
            let url = format!(
                "postgres://{role}:{password}@127.0.0.1:{port}/secured?sslmode=verify-full&sslrootcert={}&sslcert={}&sslkey={}\n",
                trusted.display(),
                ours.certificate.display(),
                ours.key.display(),
            );
            let file = directory.path().join(setting);
            fs::write(&file, url).unwrap();
            arguments
                .extend(["--set".to_owned(), format!("core.database.{setting}.file={}", file.display())]);
        }
        arguments.push("doctor".to_owned());
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).1
    };
    let text = tokio::task::block_in_place(|| doctor(authority.certificate()));
    assert!(text.contains("ok    core: the relay's role can log in"), "{text}");
    assert!(text.contains("ok    core: the role may append: true"), "{text}");

    let text = tokio::task::block_in_place(|| doctor(stranger.certificate()));
    assert!(text.contains("FAIL  core: the relay cannot log in") && text.contains("sslrootcert"), "{text}");
    assert!(text.contains("FAIL  core: cannot connect") && text.contains("UnknownIssuer"), "{text}");
    assert!(!text.contains("4%20words"), "{text}");
    tokio::task::block_in_place(|| cluster.stop()).unwrap();
}
