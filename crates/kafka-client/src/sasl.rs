//! The login on a connection of our own: Kafka's SaslHandshake and SaslAuthenticate around PLAIN or SCRAM.
//!
//! <https://kafka.apache.org/protocol#sasl_handshake>

use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::dialogue::{Dialogue, put_string, string, strings};
use crate::scram::{Hash, Scram, Unproved};
use crate::{Error, Login, Mechanism};

const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const HANDSHAKE_VERSION: i16 = 1;
/// The first that tells how long the login lasts; the next one says the same in another encoding.
const AUTHENTICATE_VERSION: i16 = 1;

/// Kafka's ILLEGAL_SASL_STATE: a login where none is asked for.
const NO_LOGIN_HERE: i16 = 34;

const REMEDY: &str = "check kafka.username, kafka.password and kafka.mechanism";
const LOGIN_REMEDY: &str = "check the port, or set kafka.security = ssl";

struct Authenticated {
    message: BytesMut,
    lasts: Option<Duration>,
}

/// Logs in; what comes before and after on the connection is the caller's. Tells how long the login lasts.
pub(crate) async fn log_in<S>(
    dialogue: &mut Dialogue<'_, S>,
    login: &Login,
) -> Result<Option<Duration>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    choose(dialogue, login.mechanism).await?;
    let hash = match login.mechanism {
        Mechanism::Plain => {
            let message = format!("\0{}\0{}", login.username, login.password.expose());
            return Ok(authenticate(dialogue, message.as_bytes()).await?.lasts);
        }
        Mechanism::ScramSha256 => Hash::sha256(),
        Mechanism::ScramSha512 => Hash::sha512(),
    };
    let broker = dialogue.broker;
    let unproved = |Unproved(why)| refused(broker, why.to_owned());
    let scram = Scram::new(hash, &login.username, &login.password).map_err(unproved)?;
    let challenge = authenticate(dialogue, scram.first_message().as_bytes()).await?;
    let (answer, expected) = scram.answer(&challenge.message).map_err(unproved)?;
    let last = authenticate(dialogue, answer.as_bytes()).await?;
    expected.check(&last.message).map_err(unproved)?;
    Ok(last.lasts)
}

async fn choose<S>(dialogue: &mut Dialogue<'_, S>, mechanism: Mechanism) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut body = BytesMut::new();
    put_string(&mut body, mechanism.as_str());
    let mut answer = dialogue.call(SASL_HANDSHAKE, HANDSHAKE_VERSION, &body).await?;
    let broker = dialogue.broker;
    match answer.try_get_i16().map_err(|_| dialogue.malformed())? {
        0 => Ok(()),
        NO_LOGIN_HERE => Err(Error::Refused {
            brokers: broker.to_owned(),
            reason: "this listener takes no login".to_owned(),
            remedy: LOGIN_REMEDY,
        }),
        _ => {
            let offered = strings(&mut answer).unwrap_or_default().join(", ");
            Err(refused(broker, format!("the broker offers {offered}, not {}", mechanism.as_str())))
        }
    }
}

async fn authenticate<S>(dialogue: &mut Dialogue<'_, S>, message: &[u8]) -> Result<Authenticated, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut body = BytesMut::new();
    body.put_i32(i32::try_from(message.len()).map_err(|_| dialogue.malformed())?);
    body.put_slice(message);
    let mut answer = dialogue.call(SASL_AUTHENTICATE, AUTHENTICATE_VERSION, &body).await?;
    let code = answer.try_get_i16().map_err(|_| dialogue.malformed())?;
    let reason = string(&mut answer).ok_or_else(|| dialogue.malformed())?;
    if code != 0 {
        let reason = if reason.is_empty() { format!("the login failed with code {code}") } else { reason };
        return Err(refused(dialogue.broker, reason));
    }
    let length = answer.try_get_i32().ok().and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| *length <= answer.len()).ok_or_else(|| dialogue.malformed())?;
    let message = answer.split_to(length);
    let lasts_ms = answer.try_get_i64().map_err(|_| dialogue.malformed())?;
    let lasts = u64::try_from(lasts_ms).ok().filter(|lasts_ms| *lasts_ms > 0).map(Duration::from_millis);
    Ok(Authenticated { message, lasts })
}

fn refused(broker: &str, reason: String) -> Error {
    Error::Refused { brokers: broker.to_owned(), reason, remedy: REMEDY }
}
