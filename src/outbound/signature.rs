//! How a receiver knows that a webhook is from here, and new.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Where the signature stands.
pub const HEADER: &str = "x-visor-signature";

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 with the secret over the time, a full stop and the body. A receiver computes the same
/// and refuses a time that is minutes off, so that nothing old is put before it again.
pub fn sign(secret: &SecretString, time: Timestamp, body: &[u8]) -> String {
    let seconds = time.as_second();
    // Any length of key is one for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let mut text = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_other_tools_compute() {
        let time = Timestamp::from_second(1_700_000_000).unwrap();
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac opensesame
        let expected = "t=1700000000,v1=5abe8159e02f1ff302a9105edc276ec3508794db021514bfdc95836d646fe459";
        assert_eq!(sign(&SecretString::from("opensesame"), time, br#"{"a":1}"#), expected);
    }
}
