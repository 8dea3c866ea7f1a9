//! The certificate that the server shows.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio_native_tls::TlsAcceptor;
use tokio_native_tls::native_tls::{self, Error, Identity, Protocol};

use crate::fault::Problem;

/// A certificate with its key, ready to be shown. Equal where the files hold the same: a renewed one is a change.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    files: [u8; 32],
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a certificate")
    }
}

impl Tls {
    /// Reads both files; `None` where neither is named.
    ///
    /// # Errors
    /// Every problem there is.
    pub(super) fn read(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>, Vec<Problem>> {
        let (certificate, key) = match (certificate, key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => {
                let problem = Problem::new("private_key", "is missing: a certificate is of no use without its key");
                return Err(vec![problem.remedy("name the PEM file of its key")]);
            }
            (None, Some(_)) => {
                let problem = Problem::new("certificate", "is missing: a key is of no use without its certificate");
                return Err(vec![problem.remedy("name its PEM file")]);
            }
        };
        let read = |name: &str, file: &Path| {
            std::fs::read(file).map_err(|e| {
                let problem = Problem::new(name, format!("{} cannot be read: {e}", file.display()));
                problem.remedy("name a PEM file that visor's user may read")
            })
        };
        match (read("certificate", certificate), read("private_key", key)) {
            (Ok(chain), Ok(secret)) => Self::make(&chain, &secret).map(Some).map_err(|problem| vec![problem]),
            (chain, secret) => Err([chain.err(), secret.err()].into_iter().flatten().collect()),
        }
    }

    fn make(chain: &[u8], key: &[u8]) -> Result<Self, Problem> {
        const CONVERT: &str = "make it one: openssl pkcs8 -topk8 -nodes -in KEY -out NEW_KEY";
        let not_pkcs8 = || Problem::new("private_key", "holds no key in PEM's form of PKCS#8").remedy(CONVERT);
        let begin = b"-----BEGIN PRIVATE KEY-----";
        let at = key.windows(begin.len()).position(|window| window == begin).ok_or_else(not_pkcs8)?;
        let identity = Identity::from_pkcs8(chain, &key[at..]).map_err(|_| {
            let problem = Problem::new("certificate", "it or its key cannot be used, or is no PEM file");
            problem.remedy("check: openssl x509 -noout -in CERTIFICATE; openssl pkey -noout -in KEY")
        })?;
        let acceptor = acceptor(identity).map_err(|_| {
            let problem = Problem::new("certificate", "its key is another one's");
            problem.remedy("name the key that the certificate was made with")
        })?;
        let mut digest = Sha256::new();
        for content in [chain, key] {
            digest.update(content.len().to_le_bytes());
            digest.update(content);
        }
        Ok(Self { acceptor, files: digest.finalize().into() })
    }
}

fn acceptor(identity: Identity) -> Result<TlsAcceptor, Error> {
    let acceptor = native_tls::TlsAcceptor::builder(identity).min_protocol_version(Some(Protocol::Tlsv12)).build()?;
    Ok(TlsAcceptor::from(acceptor))
}
