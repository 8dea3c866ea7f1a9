//! What a camera's address means.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::geometry::Size;

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
    /// `test:?size=1280x720&fps=30&frames=100&format=I420&pattern=smpte`.
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

/// What a webcam is asked for; it gives the nearest that it can.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    /// Size in pixels.
    pub size: Option<Size>,
    /// Frames a second.
    pub fps: Option<u32>,
}

/// A picture made here.
#[derive(Debug)]
pub(super) struct TestPicture {
    /// Size in pixels.
    pub size: Size,
    /// Frames a second.
    pub fps: u32,
    /// How many frames; for ever without.
    pub frames: Option<u32>,
    /// GStreamer's name of a pixel format.
    pub format: String,
    /// GStreamer's name of a pattern.
    pub pattern: String,
}

/// Reads an address. The error says what is wrong with it and nothing of its content.
pub(super) fn parse(uri: &SecretString) -> Result<Origin, String> {
    let url = Url::parse(uri.expose_secret()).map_err(|error| format!("the address cannot be read: {error}"))?;
    match url.scheme() {
        "rtsp" | "rtsps" => Ok(Origin::Rtsp(remote(url)?)),
        "http" | "https" => Ok(Origin::Http(remote(url)?)),
        "file" => url.to_file_path().map(Origin::File).map_err(|()| "a file's address is file:///path".to_owned()),
        "v4l2" => v4l2(&url),
        "test" => test(&url),
        // the scheme of a mistyped address may be anything, even a password
        _ => Err("the address must begin with rtsp:, rtsps:, http:, https:, v4l2:, file: or test:".to_owned()),
    }
}

impl Origin {
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

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

fn v4l2(url: &Url) -> Result<Origin, String> {
    let mut wish = Wish::default();
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "size" => wish.size = Some(size(&value)?),
            "fps" => wish.fps = Some(number(&key, &value)?),
            _ => return Err("a webcam's address takes size=WxH and fps=N only".to_owned()),
        }
    }
    if !url.path().starts_with("/dev/") {
        return Err("a webcam's address is v4l2:///dev/videoN".to_owned());
    }
    Ok(Origin::V4l2 { device: PathBuf::from(url.path()), wish })
}

fn test(url: &Url) -> Result<Origin, String> {
    let mut picture = TestPicture {
        size: Size::new(1280, 720),
        fps: 30,
        frames: None,
        format: "I420".to_owned(),
        pattern: "smpte".to_owned(),
    };
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "size" => picture.size = size(&value)?,
            "fps" => picture.fps = number(&key, &value)?,
            "frames" => picture.frames = Some(number(&key, &value)?),
            "format" => picture.format = value.into_owned(),
            "pattern" => picture.pattern = value.into_owned(),
            _ => return Err("a test address takes size=WxH, fps=N, frames=N, format= and pattern= only".to_owned()),
        }
    }
    Ok(Origin::Test(picture))
}

fn number(key: &str, value: &str) -> Result<u32, String> {
    let wrong = || format!("{key} must be a whole number from 1 to 1000000");
    value.parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(wrong)
}

fn size(value: &str) -> Result<Size, String> {
    let (width, height) = value.split_once('x').ok_or("size must be WIDTHxHEIGHT")?;
    let side = |text: &str| text.parse().ok().filter(|n| (1..=crate::ring::MAX_SIDE).contains(n));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok(Size::new(width, height)),
        _ => Err(format!("size must be WIDTHxHEIGHT, each from 1 to {}", crate::ring::MAX_SIDE)),
    }
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
    fn files_and_devices_have_paths() {
        let Origin::File(path) = origin("file:///a%20b/clip.mp4").unwrap() else { panic!("not a file") };
        assert_eq!(path, PathBuf::from("/a b/clip.mp4"));
        let Origin::V4l2 { device, wish } = origin("v4l2:///dev/video0?size=640x480").unwrap() else { panic!() };
        assert_eq!((device, wish.size), (PathBuf::from("/dev/video0"), Some(Size::new(640, 480))));
    }

    #[test]
    fn a_test_picture_has_parameters() {
        let Origin::Test(picture) = origin("test:?size=641x361&fps=5&frames=7").unwrap() else { panic!() };
        assert_eq!((picture.size, picture.fps, picture.frames), (Size::new(641, 361), 5, Some(7)));
        assert!(matches!(origin("test:"), Ok(Origin::Test(_))));
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
