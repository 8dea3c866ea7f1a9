//! The certificate that the server shows.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio_native_tls::TlsAcceptor;
use tokio_native_tls::native_tls::{self, Error, Identity, Protocol};
use zeroize::Zeroizing;

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
            std::fs::read(file).map(Zeroizing::new).map_err(|e| {
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
        let at = place(key, "-----BEGIN PRIVATE KEY-----").ok_or_else(|| not_pkcs8(key))?;
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

fn place(text: &[u8], words: &str) -> Option<usize> {
    text.windows(words.len()).position(|window| window == words.as_bytes())
}

/// Says what the key is in the place of what it should be. Of many forms OpenSSL makes the one that can be read.
fn not_pkcs8(key: &[u8]) -> Problem {
    let forms = [
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "is encrypted, and nobody is there to say its password"),
        ("Proc-Type: 4,ENCRYPTED", "is encrypted, and nobody is there to say its password"),
        ("-----BEGIN EC PRIVATE KEY-----", "holds a key in the form of SEC1 (EC PRIVATE KEY), not of PKCS#8"),
        ("-----BEGIN RSA PRIVATE KEY-----", "holds a key in the form of PKCS#1 (RSA PRIVATE KEY), not of PKCS#8"),
    ];
    let form = forms.iter().find(|(mark, _)| place(key, mark).is_some());
    let what = form.map_or("holds no key in PEM's form of PKCS#8", |(_, what)| what);
    Problem::new("private_key", what).remedy("make it one: openssl pkey -in KEY -out NEW_KEY")
}

fn acceptor(identity: Identity) -> Result<TlsAcceptor, Error> {
    let acceptor = native_tls::TlsAcceptor::builder(identity).min_protocol_version(Some(Protocol::Tlsv12)).build()?;
    Ok(TlsAcceptor::from(acceptor))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Runs OpenSSL in `folder`; whether it was content.
    fn openssl(folder: &Path, arguments: &str) -> bool {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    #[test]
    fn a_key_of_another_form_is_told_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        if !openssl(at, "version") {
            return eprintln!("skipped: openssl is not installed");
        }
        for (make, word) in [
            ("ecparam -name prime256v1 -genkey -out KEY", "SEC1"),
            ("genrsa -traditional -out KEY 2048", "PKCS#1"),
            ("genrsa -aes128 -passout pass:sesame -out KEY 2048", "encrypted"),
            ("genrsa -traditional -aes128 -passout pass:sesame -out KEY 2048", "encrypted"),
        ] {
            assert!(openssl(at, make), "{make}");
            let password = if word == "encrypted" { " -passin pass:sesame" } else { "" };
            assert!(openssl(at, &format!("req -x509 -new -key KEY -days 2 -subj /CN=x -out CERTIFICATE{password}")));
            let read = |key: &str| Tls::read(Some(&at.join("CERTIFICATE")), Some(&at.join(key)));
            let problem = read("KEY").unwrap_err().remove(0).to_string();
            assert!(problem.starts_with("private_key: ") && problem.contains(word), "{problem}");
            let (_, remedy) = problem.split_once("openssl ").unwrap();
            assert!(openssl(at, &format!("{remedy}{password}")), "{remedy}");
            assert!(read("NEW_KEY").unwrap().is_some(), "{remedy}");
        }
        std::fs::write(at.join("KEY"), "no key at all").unwrap();
        let problem = Tls::read(Some(&at.join("CERTIFICATE")), Some(&at.join("KEY"))).unwrap_err().remove(0);
        assert!(problem.to_string().contains("holds no key in PEM"), "{problem}");
    }
}
