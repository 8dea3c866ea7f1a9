//! What a camera's address means.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::address::{TestPicture, Wish, percent_decoded, test_picture, webcam};
use crate::ring::wire::FailReason;

/// Where the pictures come from.
#[derive(Debug)]
pub(super) enum Origin {
    /// `rtsp://` or `rtsps://`.
    Rtsp(Remote),
    /// Motion JPEG over `http://` or `https://`.
    Http(Remote),
    /// `file:///path`.
    File(PathBuf),
    /// `v4l2:///dev/video0?size=1280x720&fps=30`.
    V4l2 { device: PathBuf, wish: Wish },
    /// `test:ball?size=1280x720&fps=30&frames=100&format=I420`.
    Test(TestPicture),
}

/// An address on the network, its credentials taken out.
pub(super) struct Remote {
    /// The address without user and password.
    pub location: String,
    /// User, decoded.
    pub user: Option<String>,
    /// Password, decoded.
    pub password: Option<SecretString>,
}

/// Reads an address. The error says what is wrong with it and nothing of its content.
pub(super) fn parse(uri: &SecretString) -> Result<Origin, String> {
    let url = Url::parse(uri.expose_secret()).map_err(|error| format!("the address cannot be read: {error}"))?;
    match url.scheme() {
        "rtsp" | "rtsps" => Ok(Origin::Rtsp(remote(url)?)),
        "http" | "https" => Ok(Origin::Http(remote(url)?)),
        "file" => url.to_file_path().map(Origin::File).map_err(|()| "a file's address is file:///path".to_owned()),
        "v4l2" => webcam(&url).map(|wish| Origin::V4l2 { device: PathBuf::from(url.path()), wish }),
        "test" => test_picture(&url).map(Origin::Test),
        // the scheme of a mistyped address may be anything, even a password
        _ => Err("the address must begin with rtsp:, rtsps:, http:, https:, v4l2:, file: or test:".to_owned()),
    }
}

impl Origin {
    /// What may be behind a failure before the first picture, which souphttpsrc keeps to itself.
    pub fn hint(&self, reason: FailReason) -> Option<&'static str> {
        match (self, reason) {
            (Self::Http(remote), FailReason::Unreachable) if remote.location.starts_with("https:") => {
                Some(", or its certificate is not trusted: then name its issuer's, or its own, as ca_file")
            }
            (Self::Http(_), FailReason::Broken) => Some("; it must be Motion JPEG, not a single picture or a page"),
            _ => None,
        }
    }

    /// `text` without this origin's user and password, should GStreamer have put them there.
    pub fn without_secrets(&self, text: &str) -> String {
        let (Self::Rtsp(remote) | Self::Http(remote)) = self else { return text.to_owned() };
        let password = remote.password.as_ref().map(ExposeSecret::expose_secret);
        let secrets = [remote.user.as_deref(), password, Some(remote.location.as_str())];
        // a short one is more likely a word's part than a secret shown
        let present = secrets.into_iter().flatten().filter(|secret| secret.len() >= 3);
        present.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

fn remote(mut url: Url) -> Result<Remote, String> {
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the address names no host".to_owned());
    }
    let decode = |text: &str| percent_decoded(text).ok_or("user and password must be UTF-8 text");
    let user = Some(url.username()).filter(|user| !user.is_empty()).map(decode).transpose()?;
    let password = url.password().map(decode).transpose()?.map(SecretString::from);
    // both only fail for addresses without a host
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(Remote { location: url.into(), user, password })
}

/// Without the address too: a path may hold a token.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    fn origin(uri: &str) -> Result<Origin, String> {
        parse(&SecretString::from(uri))
    }

    #[test]
    fn credentials_leave_the_address() {
        let Origin::Rtsp(remote) = origin("rtsp://ad%40min:p%3Ass@cam:8554/a?b=c").unwrap() else { panic!("not RTSP") };
        assert_eq!(remote.location, "rtsp://cam:8554/a?b=c");
        assert_eq!(remote.user.as_deref(), Some("ad@min"));
        assert_eq!(remote.password.unwrap().expose_secret(), "p:ss");
    }

    #[test]
    fn a_bare_at_sign_belongs_to_the_password() {
        let Origin::Rtsp(remote) = origin("rtsp://admin:p@ss@cam/").unwrap() else { panic!("not RTSP") };
        assert_eq!(remote.password.unwrap().expose_secret(), "p@ss");
        assert_eq!(remote.location, "rtsp://cam/");
    }

    #[test]
    fn what_http_keeps_to_itself_is_hinted_at() {
        let hint = |uri, reason| origin(uri).unwrap().hint(reason);
        assert!(hint("https://cam/", FailReason::Unreachable).is_some_and(|hint| hint.contains("ca_file")));
        assert!(hint("http://cam/", FailReason::Broken).is_some_and(|hint| hint.contains("Motion JPEG")));
        assert_eq!(hint("http://cam/", FailReason::Unreachable), None);
        assert_eq!(hint("rtsp://cam/", FailReason::Broken), None);
    }

    #[test]
    fn files_and_devices_have_paths() {
        let Origin::File(path) = origin("file:///a%20b/clip.mp4").unwrap() else { panic!("not a file") };
        assert_eq!(path, PathBuf::from("/a b/clip.mp4"));
        let Origin::V4l2 { device, wish } = origin("v4l2:///dev/video0?size=640x480").unwrap() else { panic!() };
        assert_eq!((device, wish.size), (PathBuf::from("/dev/video0"), Some(Size::new(640, 480))));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_address() {
        let wrong = ["secret", "secret:x", "rtsp:///secret", "v4l2:///etc/secret", "test:?size=0x9", "test:?secret=1"];
        for uri in wrong {
            let text = origin(uri).unwrap_err();
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
