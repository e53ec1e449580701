//! The login: from the startup message until the server lets us in.
//!
//! ```text
//! startup ──► Ok                                            trust
//!         ──► Md5Password ──► password ──► Ok               md5
//!         ──► Sasl ──► initial response ──► SaslContinue
//!                  ──► response ──► SaslFinal (checked) ──► Ok
//! ```

use bytes::BytesMut;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use fallible_iterator::FallibleIterator;

use crate::config::{Config, Secret};
use crate::connection::{Connection, Incoming};
use crate::error::Error;

pub(crate) async fn log_in(connection: &mut Connection, config: &Config) -> Result<(), Error> {
    let mut out = BytesMut::new();
    let parameters = [
        ("user", config.user.as_str()),
        ("database", config.database.as_str()),
        ("replication", "database"),
        ("application_name", config.application_name.as_str()),
        // Names in pgoutput come in the client's encoding.
        ("client_encoding", "UTF8"),
    ];
    frontend::startup_message(parameters, &mut out).map_err(unusable)?;
    connection.send(&out).await?;

    match message(connection).await? {
        Message::AuthenticationOk => return Ok(()),
        Message::AuthenticationMd5Password(body) => {
            let password = password(config)?.expose().as_bytes();
            let hash = md5_hash(config.user.as_bytes(), password, body.salt());
            out.clear();
            frontend::password_message(hash.as_bytes(), &mut out).map_err(unusable)?;
            connection.send(&out).await?;
        }
        Message::AuthenticationSasl(body) => scram(connection, &body, password(config)?).await?,
        Message::AuthenticationCleartextPassword => {
            let why = "the server asks for the password in clear text, which this client never sends";
            return Err(Error::Login(why.to_owned()));
        }
        _ => return Err(Error::Login("the server asks for a method that is not supported".to_owned())),
    }
    match message(connection).await? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(Error::protocol("expected the end of the login")),
    }
}

async fn scram(
    connection: &mut Connection,
    offer: &AuthenticationSaslBody,
    password: &Secret,
) -> Result<(), Error> {
    let (mut plain, mut plus) = (false, false);
    let mut mechanisms = offer.mechanisms();
    while let Some(name) = mechanisms.next().map_err(unusable)? {
        plain |= name == sasl::SCRAM_SHA_256;
        plus |= name == sasl::SCRAM_SHA_256_PLUS;
    }
    let (mechanism, binding) = match connection.end_point() {
        Some(hash) if plus => {
            (sasl::SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(hash.to_owned()))
        }
        _ if !plain => return Err(Error::Login("the server does not offer SCRAM-SHA-256".to_owned())),
        // Says that we could have bound it: a server whose offer was tampered with on the way refuses.
        Some(_) => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
        None => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
    };
    let mut exchange = sasl::ScramSha256::new(password.expose().as_bytes(), binding);
    let mut out = BytesMut::new();
    frontend::sasl_initial_response(mechanism, exchange.message(), &mut out).map_err(unusable)?;
    connection.send(&out).await?;

    let Message::AuthenticationSaslContinue(challenge) = message(connection).await? else {
        return Err(Error::protocol("expected a SCRAM challenge"));
    };
    exchange.update(challenge.data()).map_err(unusable)?;
    out.clear();
    frontend::sasl_response(exchange.message(), &mut out).map_err(unusable)?;
    connection.send(&out).await?;

    // An Ok in this place would let in a server that cannot prove that it knows the password.
    let Message::AuthenticationSaslFinal(proof) = message(connection).await? else {
        return Err(Error::Login("the server did not prove that it knows the password".to_owned()));
    };
    exchange.finish(proof.data()).map_err(unusable)
}

async fn message(connection: &mut Connection) -> Result<Message, Error> {
    match connection.receive().await? {
        Incoming::Message(message) => Ok(message),
        Incoming::CopyBoth => Err(Error::protocol("copy mode during the login")),
    }
}

fn password(config: &Config) -> Result<&Secret, Error> {
    let why = || Error::Login("the server asks for a password and none is configured".to_owned());
    config.password.as_ref().ok_or_else(why)
}

/// The library's complaints about a login: a name with a NUL byte, a malformed or unproven SCRAM message.
fn unusable(error: std::io::Error) -> Error {
    Error::Login(error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};

    use super::log_in;
    use crate::config::{Config, Host};
    use crate::connection::Connection;
    use crate::error::Error;

    fn client() -> (DuplexStream, Connection, Config) {
        let (server, client) = duplex(4096);
        let (reader, writer) = split(client);
        let host = Host::Tcp { host: "unused".into(), port: 1 };
        let config = Config { password: Some("secret".into()), ..Config::new(host, "relay", "core") };
        (server, Connection::new(reader, writer), config)
    }

    async fn skip_startup(server: &mut DuplexStream) {
        let length = server.read_u32().await.unwrap();
        let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
        server.read_exact(&mut rest).await.unwrap();
    }

    #[tokio::test]
    async fn trust_needs_no_password() {
        let (mut server, mut connection, mut config) = client();
        config.password = None;
        server.write_all(b"R\0\0\0\x08\0\0\0\0").await.unwrap();
        log_in(&mut connection, &config).await.unwrap();
    }

    #[tokio::test]
    async fn md5_answer_is_the_salted_hash() {
        let (mut server, mut connection, config) = client();
        server.write_all(b"R\0\0\0\x0c\0\0\0\x05saltR\0\0\0\x08\0\0\0\0").await.unwrap();
        log_in(&mut connection, &config).await.unwrap();

        skip_startup(&mut server).await;
        let mut answer = [0; 41];
        server.read_exact(&mut answer).await.unwrap();
        // select 'md5' || md5(md5('secret' || 'relay') || 'salt')
        assert_eq!(&answer[..], b"p\0\0\0\x28md5a11876e5ba022a25ec8f8672b33767e7\0");
    }

    #[tokio::test]
    async fn clear_text_is_refused_and_the_password_not_sent() {
        let (mut server, mut connection, config) = client();
        server.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
        let error = log_in(&mut connection, &config).await.unwrap_err();
        assert!(matches!(error, Error::Login(_)) && !error.is_transient(), "{error:?}");

        drop(connection);
        skip_startup(&mut server).await;
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn server_that_skips_its_proof_is_refused() {
        let (mut server, mut connection, config) = client();
        let login = tokio::spawn(async move { log_in(&mut connection, &config).await });
        skip_startup(&mut server).await;
        server.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await.unwrap();
        let mut buffer = vec![0; 4096];
        let length = server.read(&mut buffer).await.unwrap();
        let sent = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let nonce = sent.split_once("r=").unwrap().1;
        let challenge = format!("r={nonce}more,s=c2FsdA==,i=1");
        server.write_u8(b'R').await.unwrap();
        server.write_u32(u32::try_from(challenge.len() + 8).unwrap()).await.unwrap();
        server.write_u32(11).await.unwrap();
        server.write_all(challenge.as_bytes()).await.unwrap();
        server.write_all(b"R\0\0\0\x08\0\0\0\0").await.unwrap();

        let error = login.await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Login(why) if why.contains("prove")), "{error:?}");
    }
}
