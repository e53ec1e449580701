//! The channel binding `tls-server-end-point`: the hash of the server's certificate that SCRAM-SHA-256-PLUS signs.
//!
//! A server in the middle that has a certificate of its own, however valid, gives another hash, and the real server
//! refuses the login. RFC 5929, section 4.1: the hash is that of the certificate's own signature, SHA-256 for older ones.

use sha2::{Digest, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// `None` for a signature without a hash of its own (Ed25519) or with parameters (RSA-PSS): such a login is not bound,
/// and TLS alone protects it.
pub(crate) fn hash(certificate: &[u8]) -> Option<Vec<u8>> {
    match signature_algorithm(certificate)? {
        // <https://www.rfc-editor.org/rfc/rfc8017#appendix-C>, <https://www.rfc-editor.org/rfc/rfc5758#section-3.2>
        // md5WithRSA, sha1WithRSA, sha256WithRSA; ecdsa-with-SHA1, ecdsa-with-SHA256
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04"
        | b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"
        | b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
        | b"\x2a\x86\x48\xce\x3d\x04\x01"
        | b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => Some(Sha256::digest(certificate).to_vec()),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c" | b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => {
            Some(Sha384::digest(certificate).to_vec())
        }
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d" | b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}

/// `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, … }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (content, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(content, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    Some(element(algorithm, OBJECT_IDENTIFIER)?.0)
}

/// The content of the DER element at the front, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        // The long form: how many bytes hold the length.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (*first == tag).then_some(())?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256, Sha384, Sha512};

    use super::hash;

    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let sequence = |content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[0x30, 0x82], &length[..], content].concat()
        };
        let oid = [&[0x06, u8::try_from(algorithm.len()).unwrap()], algorithm].concat();
        let body = vec![7; 300];
        sequence(&[sequence(&body), sequence(&oid), vec![0x03, 0x01, 0x00]].concat())
    }

    #[test]
    fn hash_is_that_of_the_certificates_signature_and_at_least_sha_256() {
        let sha1 = certificate(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05");
        assert_eq!(hash(&sha1).unwrap(), Sha256::digest(&sha1).to_vec());
        let sha384 = certificate(b"\x2a\x86\x48\xce\x3d\x04\x03\x03");
        assert_eq!(hash(&sha384).unwrap(), Sha384::digest(&sha384).to_vec());
        let sha512 = certificate(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d");
        assert_eq!(hash(&sha512).unwrap(), Sha512::digest(&sha512).to_vec());
    }

    #[test]
    fn ed25519_has_no_hash_and_what_is_no_certificate_neither() {
        assert_eq!(hash(&certificate(b"\x2b\x65\x70")), None);
        let whole = certificate(b"\x2a\x86\x48\xce\x3d\x04\x03\x02");
        for length in 0..whole.len() - 3 {
            assert_eq!(hash(&whole[..length]), None, "{length}");
        }
        assert_eq!(hash(b"\x30\x84\xff\xff\xff\xff\x30"), None);
    }
}
