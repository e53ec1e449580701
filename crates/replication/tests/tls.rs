//! Claims about encrypted connections, on a server of their own that has a certificate for 127.0.0.1 and no other name.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use local_servers::{CertificateAuthority, Identity, PostgresCluster, PostgresOptions, PostgresTls};
use replication::{
    Client, ClientCertificate, Config, Error, Host, Lifetime, Lsn, SlotName, Snapshot, Tls, Verify,
    WalMessage,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::middle::stand_in_the_middle;
use crate::server::{DEADLINE, server};

const PASSWORD: &str = "pass word";

pub(crate) struct Stage {
    pub(crate) authority: CertificateAuthority,
    stranger: CertificateAuthority,
    tls: PostgresTls,
    cluster: PostgresCluster,
    pub(crate) directory: TempDir,
}

impl Stage {
    async fn start() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("lunaria-tls-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in("/tmp")?;
        let files = directory.path().join("certificates");
        let authority = CertificateAuthority::create(&files, "authority")?;
        let stranger = CertificateAuthority::create(&files, "stranger")?;
        let tls = PostgresTls {
            server: authority.server("server", &["127.0.0.1"])?,
            client_authority: authority.certificate().to_owned(),
            access: [
                "hostssl all certified all scram-sha-256 clientcert=verify-full",
                "hostssl all encrypted all scram-sha-256",
                "host all legacy all md5",
                "host all postgres all scram-sha-256",
            ]
            .map(str::to_owned)
            .into(),
        };
        let settings = tls.settings(&directory.path().join("tls"))?;
        let options = PostgresOptions { directory: directory.path().join("postgres"), port: None, settings };
        let cluster = tokio::task::spawn_blocking(|| PostgresCluster::start(options)).await??;
        let stage = Self { authority, stranger, tls, cluster, directory };
        let roles = ["certified", "encrypted"]
            .map(|role| format!("create role {role} login replication password '{PASSWORD}';"))
            .concat();
        let mut admin = stage.admin().await?;
        admin.query(&roles).await?;
        let legacy = format!(
            "set password_encryption = 'md5'; create role legacy login replication password '{PASSWORD}'"
        );
        admin.query(&legacy).await?;
        Ok(stage)
    }

    async fn admin(&self) -> Result<Client> {
        let password = Some(self.cluster.superuser_password().into());
        Ok(Client::connect(&Config { password, ..self.config("postgres", None) }).await?)
    }

    pub(crate) fn config(&self, user: &str, tls: Option<Tls>) -> Config {
        let host = Host::Tcp { host: "127.0.0.1".to_owned(), port: self.cluster.port() };
        Config { password: Some(PASSWORD.into()), tls, ..Config::new(host, user, "postgres") }
    }

    pub(crate) fn verify_full(&self) -> Tls {
        Tls { verify: Verify::Full { roots: Some(self.authority.certificate().to_owned()) }, client: None }
    }

    fn verify_ca(&self) -> Tls {
        Tls { verify: Verify::Authority { roots: self.authority.certificate().to_owned() }, client: None }
    }

    /// Shows another certificate from now on.
    async fn show(&self, server: Identity) -> Result<()> {
        PostgresTls { server, ..self.tls.clone() }.settings(&self.directory.path().join("tls"))?;
        self.admin().await?.query("select pg_reload_conf()").await?;
        Ok(())
    }

    async fn stop(self) -> Result<()> {
        tokio::task::spawn_blocking(|| self.cluster.stop()).await??;
        Ok(())
    }
}

fn named(host: &str, config: Config) -> Config {
    let Host::Tcp { port, .. } = config.host else { panic!("a tcp address") };
    Config { host: Host::Tcp { host: host.to_owned(), port }, ..config }
}

fn with_client(identity: &Identity, tls: Tls) -> Tls {
    let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
    Tls { client: Some(ClientCertificate { certificate, key }), ..tls }
}

fn with_roots(roots: &Path, tls: Tls) -> Tls {
    Tls { verify: Verify::Full { roots: Some(roots.to_owned()) }, ..tls }
}

/// How the server sees a connection: encrypted or not, and the name in the client's certificate.
async fn seen(config: &Config) -> Result<(String, String)> {
    let mut client = Client::connect(config).await?;
    let sql = "select ssl, coalesce(client_dn, '') as client from pg_stat_ssl where pid = pg_backend_pid()";
    let row = client.query(sql).await?.into_iter().next().context("no row")?;
    let get = |name| row.get(name).unwrap_or_default().to_owned();
    Ok((get("ssl"), get("client")))
}

/// Checks that a login fails for a reason and with a remedy that say these words, and that trying again is of no use.
async fn is_refused(config: &Config, reason: &str, advice: &str) -> Result<()> {
    match Client::connect(config).await {
        Err(error @ Error::Tls { .. }) => {
            anyhow::ensure!(!error.is_transient(), "{error} is transient");
            let Error::Tls { what, remedy } = error else { unreachable!() };
            anyhow::ensure!(what.contains(reason) && remedy.contains(advice), "{reason}: {what}; {remedy}");
            Ok(())
        }
        Err(error) => bail!("{reason}: {error:?}"),
        Ok(_) => bail!("{reason}: let in"),
    }
}

#[tokio::test]
async fn connection_is_encrypted_and_both_sides_are_who_they_say() -> Result<()> {
    let stage = Stage::start().await?;
    let yes = ("t".to_owned(), String::new());
    assert_eq!(seen(&stage.config("encrypted", Some(stage.verify_full()))).await?, yes);
    assert_eq!(seen(&named("localhost", stage.config("encrypted", Some(stage.verify_ca())))).await?, yes);

    let ours = stage.authority.client("certified")?;
    let config = stage.config("certified", Some(with_client(&ours, stage.verify_full())));
    assert_eq!(seen(&config).await?, ("t".to_owned(), "/CN=certified".to_owned()));
    stage.stop().await
}

#[tokio::test]
async fn changes_stream_through_tls_and_the_slot_follows_the_confirms() -> Result<()> {
    let stage = Stage::start().await?;
    let slot = SlotName::new("encrypted_slot")?;
    let mut admin = stage.admin().await?;
    admin.query("create table entry(data text); create publication entries for table entry").await?;
    let mut client = Client::connect(&stage.config("encrypted", Some(stage.verify_full()))).await?;
    client.create_slot(&slot, Snapshot::Nothing, Lifetime::Permanent).await?;
    let mut stream = client.start_replication(&slot, Lsn::ZERO, "entries").await?;
    // Far more than one TLS record, in one message.
    admin.query("insert into entry select repeat('x', 3000000)").await?;

    let mut batch = Vec::new();
    let is_large =
        |message: &WalMessage| matches!(message, WalMessage::Data { body, .. } if body.len() > 3_000_000);
    while !batch.iter().any(is_large) {
        timeout(DEADLINE, stream.read(&mut batch)).await??;
    }
    let end = loop {
        let ends = batch.iter().filter_map(|message| match message {
            // A commit: kind, flags, LSN of the commit, LSN of its end, time.
            WalMessage::Data { wal_end, body, .. } if body[0] == b'C' => Some(*wal_end),
            _ => None,
        });
        if let Some(end) = ends.last() {
            break end;
        }
        timeout(DEADLINE, stream.read(&mut batch)).await??;
    };
    stream.progress().confirm(end);
    stream.stop().await?;
    let confirmed = admin.read_slot(&slot).await?.and_then(|slot| slot.confirmed_flush_lsn);
    assert!(confirmed >= Some(end), "{confirmed:?} is before {end}");
    stage.stop().await
}

#[tokio::test]
async fn server_that_does_not_prove_who_it_is_gets_no_login() -> Result<()> {
    let stage = Stage::start().await?;
    let config = |tls| stage.config("encrypted", Some(tls));

    let stranger = with_roots(stage.stranger.certificate(), stage.verify_full());
    is_refused(&config(stranger), "not signed by an authority that is trusted", "sslrootcert").await?;
    let system = Tls { verify: Verify::Full { roots: None }, client: None };
    is_refused(&config(system), "not signed by an authority that is trusted", "sslrootcert").await?;
    let strange = Verify::Authority { roots: stage.stranger.certificate().to_owned() };
    let strange = Tls { verify: strange, client: None };
    is_refused(&config(strange), "not signed by an authority that is trusted", "sslrootcert").await?;

    let wrong_name = named("localhost", config(stage.verify_full()));
    is_refused(&wrong_name, "not for localhost", "by a name that the certificate holds").await?;

    let plain_server = Config { tls: Some(stage.verify_full()), ..server() };
    is_refused(&plain_server, "does not offer TLS", "ssl = on").await?;

    // Renewed and outdated while it runs; sessions of a moment ago may still see the old one.
    stage.show(stage.authority.expired_server("expired", &["127.0.0.1"])?).await?;
    let give_up = Instant::now() + DEADLINE;
    while let Err(error) = is_refused(&config(stage.verify_full()), "has expired", "renew it").await {
        anyhow::ensure!(Instant::now() < give_up, "{error}");
        sleep(std::time::Duration::from_millis(10)).await;
    }
    is_refused(&config(stage.verify_ca()), "has expired", "renew it").await?;
    stage.stop().await
}

#[tokio::test]
async fn client_that_does_not_prove_who_it_is_is_told_what_to_show() -> Result<()> {
    let stage = Stage::start().await?;
    is_refused(&stage.config("encrypted", None), "no encryption", "sslmode=verify-full").await?;

    let certified = |tls| stage.config("certified", Some(tls));
    is_refused(&certified(stage.verify_full()), "valid client certificate", "sslcert and sslkey").await?;
    let strange = with_client(&stage.stranger.client("certified")?, stage.verify_full());
    is_refused(&certified(strange), "refuses the client certificate", "ssl_ca_file").await?;
    let other = certified(with_client(&stage.authority.client("somebody")?, stage.verify_full()));
    let error = Client::connect(&other).await.err().context("another's certificate was taken")?;
    // The server tells only its own log that it was the certificate's name.
    assert_eq!((error.sqlstate(), error.is_transient()), (Some("28P01"), false), "{error:?}");

    let (ours, theirs) = (stage.authority.client("certified")?, stage.authority.client("theirs")?);
    let crossed = Identity { key: theirs.key, ..ours.clone() };
    is_refused(&certified(with_client(&crossed, stage.verify_full())), "are no pair", "own key").await?;
    let no_key = Identity { key: ours.certificate.clone(), ..ours.clone() };
    is_refused(&certified(with_client(&no_key, stage.verify_full())), "no private key", "PEM").await?;
    let missing = with_roots(Path::new("/no/such/file"), stage.verify_full());
    is_refused(&certified(missing), "/no/such/file", "PEM").await?;
    let empty = with_roots(&ours.key, stage.verify_full());
    is_refused(&certified(empty), "holds no certificate", "PEM").await?;
    stage.stop().await
}

#[tokio::test]
async fn md5_login_works_on_a_plain_and_on_an_encrypted_connection() -> Result<()> {
    let stage = Stage::start().await?;
    let secret = "select rolpassword like 'md5%' from pg_authid where rolname = 'legacy'";
    assert_eq!(stage.admin().await?.query(secret).await?[0].at(0), Some("t"));
    assert_eq!(seen(&stage.config("legacy", None)).await?.0, "f");
    assert_eq!(seen(&stage.config("legacy", Some(stage.verify_full()))).await?.0, "t");
    let wrong = Config { password: Some("wrong".into()), ..stage.config("legacy", None) };
    let error = Client::connect(&wrong).await.err().context("a wrong password was taken")?;
    assert_eq!(error.sqlstate(), Some("28P01"), "{error:?}");
    stage.stop().await
}

/// Whoever has a certificate of the same authority can stand between client and server; the login is bound to the
/// certificate that the client has seen, so the server refuses it.
#[tokio::test]
async fn login_through_a_stranger_in_the_middle_is_refused_by_the_server() -> Result<()> {
    let stage = Stage::start().await?;
    let direct = stage.config("encrypted", Some(stage.verify_full()));
    let Host::Tcp { port, .. } = direct.host else { bail!("a tcp address") };
    for (server, is_the_same) in
        [(&stage.tls.server, true), (&stage.authority.server("middle", &["127.0.0.1"])?, false)]
    {
        let middle = stand_in_the_middle(port, server, stage.authority.certificate()).await?;
        let config =
            Config { host: Host::Tcp { host: "127.0.0.1".to_owned(), port: middle }, ..direct.clone() };
        match Client::connect(&config).await {
            Ok(_) => assert!(is_the_same, "the login is not bound to the certificate"),
            Err(error) => {
                assert!(!is_the_same, "{error:?}");
                assert!(error.to_string().contains("channel binding"), "{error:?}");
            }
        }
    }
    stage.stop().await
}
