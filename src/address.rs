//! What an address asks for beyond where it points. The brain checks it before anything starts, the child that opens it
//! reads it again.

use url::Url;

use crate::geometry::Size;
use crate::ring::MAX_SIDE;

/// What a webcam is asked for; it gives the nearest that it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Size in pixels.
    pub size: Option<Size>,
    /// Frames a second.
    pub fps: Option<u32>,
}

/// A picture made by the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPicture {
    /// Size in pixels.
    pub size: Size,
    /// Frames a second.
    pub fps: u32,
    /// How many frames; for ever without.
    pub frames: Option<u32>,
    /// One of [`FORMATS`].
    pub format: &'static str,
    /// One of [`PATTERNS`].
    pub pattern: &'static str,
}

/// Patterns of a test picture, as GStreamer's `videotestsrc` names them; the first is the default.
pub const PATTERNS: &[&str] = &[
    "smpte",
    "snow",
    "black",
    "white",
    "red",
    "green",
    "blue",
    "checkers-1",
    "checkers-2",
    "checkers-4",
    "checkers-8",
    "circular",
    "blink",
    "smpte75",
    "zone-plate",
    "gamut",
    "chroma-zone-plate",
    "solid-color",
    "ball",
    "smpte100",
    "bar",
    "pinwheel",
    "spokes",
    "gradient",
    "colors",
    "smpte-rp-219",
];

/// Pixel formats of a test picture, as GStreamer names them; the first is the default.
pub const FORMATS: &[&str] = &[
    "I420",
    "YV12",
    "NV12",
    "NV21",
    "YUY2",
    "UYVY",
    "Y41B",
    "Y42B",
    "Y444",
    "I420_10LE",
    "I422_10LE",
    "Y444_10LE",
    "P010_10LE",
    "RGB",
    "BGR",
    "RGBx",
    "BGRx",
    "RGBA",
    "BGRA",
    "GRAY8",
];

/// The wish in `v4l2:///dev/video0?size=1280x720&fps=30`.
///
/// # Errors
/// What is wrong, without quoting the address.
pub fn webcam(url: &Url) -> Result<Wish, String> {
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
    Ok(wish)
}

/// The picture that `test:PATTERN?size=1280x720&fps=30&frames=100&format=I420` asks for; all of it may be left out, and
/// the pattern may stand among the parameters.
///
/// # Errors
/// What is wrong, without quoting the address.
pub fn test_picture(url: &Url) -> Result<TestPicture, String> {
    let pattern = |name: &str| one_of("a test picture's pattern", name, PATTERNS);
    let mut picture = TestPicture {
        size: Size::new(1280, 720),
        fps: 30,
        frames: None,
        format: FORMATS[0],
        pattern: if url.path().is_empty() { PATTERNS[0] } else { pattern(url.path())? },
    };
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "size" => picture.size = size(&value)?,
            "fps" => picture.fps = number(&key, &value)?,
            "frames" => picture.frames = Some(number(&key, &value)?),
            "format" => picture.format = one_of("a test picture's format", &value, FORMATS)?,
            "pattern" => picture.pattern = pattern(&value)?,
            _ => return Err("a test address takes size=WxH, fps=N, frames=N, format= and pattern= only".to_owned()),
        }
    }
    Ok(picture)
}

fn one_of(what: &str, name: &str, known: &[&'static str]) -> Result<&'static str, String> {
    let found = known.iter().find(|known| **known == name);
    found.copied().ok_or_else(|| format!("{what} must be one of {}", known.join(", ")))
}

fn number(key: &str, value: &str) -> Result<u32, String> {
    let wrong = || format!("{key} must be a whole number from 1 to 1000000");
    value.parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(wrong)
}

fn size(value: &str) -> Result<Size, String> {
    let (width, height) = value.split_once('x').ok_or("size must be WIDTHxHEIGHT")?;
    let side = |text: &str| text.parse().ok().filter(|n| (1..=MAX_SIDE).contains(n));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok(Size::new(width, height)),
        _ => Err(format!("size must be WIDTHxHEIGHT, each from 1 to {MAX_SIDE}")),
    }
}

/// `text` with `%41` and its like decoded, as it stands in a user name or a password; `None` where that fails.
pub fn percent_decoded(text: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_test_picture_has_parameters() {
        let picture = test_picture(&url("test:?size=641x361&fps=5&frames=7&format=NV12")).unwrap();
        assert_eq!((picture.size, picture.fps, picture.frames), (Size::new(641, 361), 5, Some(7)));
        assert_eq!((picture.format, picture.pattern), ("NV12", "smpte"));
        for address in ["test:ball?fps=5", "test:?fps=5&pattern=ball"] {
            assert_eq!(test_picture(&url(address)).unwrap().pattern, "ball");
        }
    }

    #[test]
    fn a_pattern_or_format_that_nobody_knows_is_refused_with_those_that_there_are() {
        for (address, known) in
            [("test:foo", "pinwheel"), ("test:?pattern=foo", "pinwheel"), ("test:?format=x", "Y42B")]
        {
            let refused = test_picture(&url(address)).unwrap_err();
            assert!(refused.contains(known), "{refused}");
        }
        assert!(test_picture(&url("test:?size=0x9")).is_err());
        assert!(test_picture(&url("test:?fps=0")).is_err());
        assert!(test_picture(&url("test:?colour=red")).is_err());
    }

    #[test]
    fn a_webcam_may_be_asked_for_a_size_and_a_rate() {
        let wish = webcam(&url("v4l2:///dev/video0?size=640x480&fps=15")).unwrap();
        assert_eq!((wish.size, wish.fps), (Some(Size::new(640, 480)), Some(15)));
        assert!(webcam(&url("v4l2:///etc/passwd")).is_err());
        assert!(webcam(&url("v4l2:///dev/video0?zoom=2")).is_err());
    }

    #[test]
    fn credentials_are_decoded() {
        assert_eq!(percent_decoded("p%40ss%2fword").as_deref(), Some("p@ss/word"));
        assert_eq!(percent_decoded("100%"), None);
        assert_eq!(percent_decoded("%zz"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }
}
