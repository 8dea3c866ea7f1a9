//! Whose certificate is believed.

use std::path::Path;

use gio::prelude::*;
use gio::{TlsCertificate, TlsCertificateFlags, TlsFileDatabase};
use gstreamer as gst;
use gstreamer::glib;

use crate::gst::meaning::sentence;
use crate::ring::wire::{FailReason, Trust};

use super::Failure;

/// Tells an `rtspsrc`; `refused` hears of a certificate that is not believed, which the element's own error does not
/// speak of. A camera whose own certificate is in the file may call itself what it likes: many know neither their name
/// nor their address.
pub(super) fn of_rtsp(
    source: &gst::Element,
    trust: &Trust,
    refused: impl Fn(Failure) + Send + Sync + 'static,
) -> Result<(), Failure> {
    if !trust.verify {
        source.set_property("tls-validation-flags", TlsCertificateFlags::empty());
    }
    let mut pinned = Vec::new();
    if let Some(file) = &trust.ca_file {
        source.set_property("tls-database", database(file)?);
        let listed = TlsCertificate::list_new_from_file(file).map_err(|error| unusable(file, &error))?;
        // as texts: the objects may not leave their thread
        pinned.extend(listed.iter().filter_map(TlsCertificate::certificate_pem));
    }
    source.connect("accept-certificate", true, move |args| {
        let shown = args.get(2)?.get::<TlsCertificate>().ok()?.certificate_pem()?;
        let wrong = args.get(3)?.get::<TlsCertificateFlags>().ok()?;
        let accepted = wrong == TlsCertificateFlags::BAD_IDENTITY && pinned.contains(&shown);
        if !accepted {
            refused(Failure::new(
                FailReason::Untrusted,
                format!("{} ({})", sentence(FailReason::Untrusted), faults(wrong)),
            ));
        }
        Some(accepted.to_value())
    });
    Ok(())
}

/// What is wrong with a certificate, for people.
fn faults(wrong: TlsCertificateFlags) -> String {
    let known = [
        (TlsCertificateFlags::UNKNOWN_CA, "nobody trusted has signed it"),
        (TlsCertificateFlags::BAD_IDENTITY, "it is for another name or address"),
        (TlsCertificateFlags::NOT_ACTIVATED, "it is not valid yet"),
        (TlsCertificateFlags::EXPIRED, "it has expired"),
        (TlsCertificateFlags::REVOKED, "it was revoked"),
        (TlsCertificateFlags::INSECURE, "it is made in a way that is not safe any more"),
    ];
    let found: Vec<_> = known.into_iter().filter(|(flag, _)| wrong.contains(*flag)).map(|(_, text)| text).collect();
    if found.is_empty() { "it is wrong".to_owned() } else { found.join(", ") }
}

/// Tells a `souphttpsrc`.
pub(super) fn of_http(source: &gst::Element, trust: &Trust) -> Result<(), Failure> {
    source.set_property("ssl-strict", trust.verify);
    if let Some(file) = &trust.ca_file {
        source.set_property("tls-database", database(file)?);
    }
    Ok(())
}

fn database(file: &Path) -> Result<TlsFileDatabase, Failure> {
    TlsFileDatabase::new(file).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &glib::Error) -> Failure {
    Failure::new(
        FailReason::Untrusted,
        format!("the certificates in ca_file {} cannot be used: {error}", file.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said() {
        let wrong = TlsCertificateFlags::EXPIRED | TlsCertificateFlags::BAD_IDENTITY;
        assert_eq!(faults(wrong), "it is for another name or address, it has expired");
        assert_eq!(faults(TlsCertificateFlags::GENERIC_ERROR), "it is wrong");
    }
}
