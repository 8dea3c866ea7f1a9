//! Certificates for the connection to the broker.

use std::path::Path;

use rumqttc::tokio_native_tls::native_tls::{Certificate, Identity, TlsConnector};

use super::config::Config;
use crate::fault::Problem;

/// The TLS side of a connection; `None` where it goes without (`over_tls` is false).
pub(super) fn connector(config: &Config, over_tls: bool) -> Result<Option<TlsConnector>, Vec<Problem>> {
    let files = [
        ("ca_file", &config.ca_file),
        ("client_certificate", &config.client_certificate),
        ("client_key", &config.client_key),
    ];
    let named = files.into_iter().filter(|(_, file)| file.is_some());
    if !over_tls {
        let idle = |(key, _)| Problem::new(key, "is never used, since url is not mqtts://").remedy("use mqtts://");
        let problems: Vec<Problem> = named.map(idle).collect();
        return if problems.is_empty() { Ok(None) } else { Err(problems) };
    }
    let mut problems = Vec::new();
    let mut builder = TlsConnector::builder();
    match config.ca_file.as_deref().map(authorities).transpose() {
        Ok(certificates) => {
            builder.disable_built_in_roots(certificates.is_some());
            certificates.into_iter().flatten().for_each(|certificate| {
                builder.add_root_certificate(certificate);
            });
        }
        Err(problem) => problems.push(problem),
    }
    match identity(config) {
        Ok(identity) => {
            identity.map(|identity| builder.identity(identity));
        }
        Err(problem) => problems.push(problem),
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    builder.build().map(Some).map_err(|e| vec![Problem::new("url", format!("cannot set up TLS: {e}"))])
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, Problem> {
    let certificates = Certificate::stack_from_pem(&read("ca_file", file)?);
    certificates
        .ok()
        .filter(|stack| !stack.is_empty())
        .ok_or_else(|| Problem::new("ca_file", format!("{} holds no certificate in PEM format", file.display())))
}

fn identity(config: &Config) -> Result<Option<Identity>, Problem> {
    let (certificate_file, key_file) = match (&config.client_certificate, &config.client_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(Problem::new("client_key", "is missing beside client_certificate")),
        (None, Some(_)) => return Err(Problem::new("client_certificate", "is missing beside client_key")),
    };
    let certificate = read("client_certificate", certificate_file)?;
    let key = read("client_key", key_file)?;
    Identity::from_pkcs8(&certificate, &key).map(Some).map_err(|e| {
        let what = format!("{} is not the key of {} in PKCS#8: {e}", key_file.display(), certificate_file.display());
        Problem::new("client_key", what).remedy("convert it with `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`")
    })
}

fn read(key: &str, file: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(file).map_err(|e| Problem::new(key, format!("cannot read {}: {e}", file.display())))
}
