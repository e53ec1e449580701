//! Certificates for servers and clients of tests: an authority, and what it vouches for, as PEM files.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::{Error, directory};

/// Signs certificates; whoever trusts its own certificate trusts those.
pub struct CertificateAuthority {
    directory: PathBuf,
    certificate: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its private key (PKCS #8), each in a PEM file that only this user can read.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl CertificateAuthority {
    /// Makes an authority and writes its certificate to `<name>.pem` in the directory, where all that it signs goes too.
    pub fn create(directory: &Path, name: &str) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(Error::certificate(name))?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(Error::certificate(name))?;
        directory::create(directory)?;
        let certificate = directory.join(format!("{name}.pem"));
        fs::write(&certificate, issuer.pem()).map_err(Error::file("write", &certificate))?;
        Ok(Self { directory: directory.to_owned(), certificate, issuer })
    }

    /// What clients, or servers that ask for client certificates, have to trust.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// A server's, for the host names and addresses given.
    pub fn server(&self, name: &str, hosts: &[&str]) -> Result<Identity, Error> {
        self.sign(name, &server_params(name, hosts)?)
    }

    /// The same, out of date since years.
    pub fn expired_server(&self, name: &str, hosts: &[&str]) -> Result<Identity, Error> {
        let mut params = server_params(name, hosts)?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(name, &params)
    }

    /// A client's. Servers that log in by certificate take the name as the user's.
    pub fn client(&self, name: &str) -> Result<Identity, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, &params)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Result<Identity, Error> {
        let key = KeyPair::generate().map_err(Error::certificate(name))?;
        let signed = params.signed_by(&key, &self.issuer).map_err(Error::certificate(name))?;
        let file = |ending: &str| self.directory.join(format!("{name}.{ending}"));
        let identity = Identity { certificate: file("crt"), key: file("key") };
        directory::write_secret(&identity.certificate, &signed.pem())?;
        directory::write_secret(&identity.key, &key.serialize_pem())?;
        Ok(identity)
    }
}

fn server_params(name: &str, hosts: &[&str]) -> Result<CertificateParams, Error> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(Error::certificate(name))?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
