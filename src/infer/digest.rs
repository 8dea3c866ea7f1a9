//! SHA-256 as manifests write it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of `bytes`, as 64 lower-case hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Says what is expected and what was found, where `bytes` do not have the hash `expected`.
pub(super) fn check(bytes: &[u8], expected: &str) -> Result<(), String> {
    let found = sha256(bytes);
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(format!("wrong sha256: expected {expected}, found {found}"))
}
