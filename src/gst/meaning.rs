//! What GStreamer's errors mean to somebody whose camera does not work.

use gstreamer as gst;
use gstreamer::glib;

use crate::ring::wire::FailReason;

/// The reason behind an error that the element of this name posted, and a sentence about it. `debug` is only searched
/// for words: it may hold addresses and credentials, and nothing of it comes out.
pub fn meaning(error: &glib::Error, debug: &str, element: &str) -> (FailReason, String) {
    // souphttpsrc has no other word for a connection that is refused or lost
    let lost = element == "source" && error.matches(gst::StreamError::Failed);
    let reason = if lost { FailReason::Unreachable } else { reason(error, debug) };
    (reason, format!("{} ({})", sentence(reason), error.message().trim_end_matches('.')))
}

fn reason(error: &glib::Error, debug: &str) -> FailReason {
    if let Some(kind) = error.kind::<gst::ResourceError>() {
        return resource(kind, debug);
    }
    if let Some(kind) = error.kind::<gst::StreamError>() {
        return match kind {
            gst::StreamError::CodecNotFound | gst::StreamError::Format => FailReason::Unsupported,
            _ => FailReason::Broken,
        };
    }
    if error.matches(gst::CoreError::MissingPlugin) || error.is::<gst::ParseError>() {
        return FailReason::Unsupported;
    }
    FailReason::Internal
}

fn resource(kind: gst::ResourceError, debug: &str) -> FailReason {
    use gst::ResourceError as E;
    let says = |words: &[&str]| words.iter().any(|word| debug.contains(word));
    match kind {
        E::NotAuthorized => FailReason::Unauthorised,
        E::NotFound => FailReason::NotFound,
        // rtspsrc and souphttpsrc put the server's own answer into the debug text only
        _ if says(&["(401)", "(403)", "Unauthorized", "Forbidden"]) => FailReason::Unauthorised,
        _ if says(&["(404)", "Not Found", "No such file"]) => FailReason::NotFound,
        _ if says(&["imeout", "imed out", "Could not receive any UDP packets"]) => FailReason::Timeout,
        E::Settings => FailReason::Unsupported,
        _ => FailReason::Unreachable,
    }
}

/// What a reason means, for people.
pub fn sentence(reason: FailReason) -> &'static str {
    match reason {
        FailReason::Unreachable => "it cannot be reached or broke the connection",
        FailReason::Unauthorised => "it refuses this user and password",
        FailReason::Untrusted => "its certificate is not trusted; name its issuer's, or its own, as ca_file",
        FailReason::NotFound => "there is no such stream, file or device",
        FailReason::Unsupported => "it needs a plugin or a format that is not supported here",
        FailReason::Broken => "what comes from it cannot be decoded",
        FailReason::EndedEarly => "it ended before the first picture",
        FailReason::Timeout => "it did not answer in time",
        FailReason::Memory => "it takes too much memory",
        FailReason::Internal => "the media framework failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_means_what_the_camera_said() {
        let check = |error: glib::Error, debug: &str, expected| assert_eq!(reason(&error, debug), expected, "{error}");
        let resource = |kind| glib::Error::new::<gst::ResourceError>(kind, "text");
        check(resource(gst::ResourceError::NotAuthorized), "", FailReason::Unauthorised);
        check(resource(gst::ResourceError::OpenRead), "x: Unauthorized (401)", FailReason::Unauthorised);
        check(resource(gst::ResourceError::NotFound), "", FailReason::NotFound);
        check(resource(gst::ResourceError::OpenReadWrite), "Connection refused", FailReason::Unreachable);
        check(resource(gst::ResourceError::Read), "Timeout while waiting for server response", FailReason::Timeout);
        let stream = |kind| glib::Error::new::<gst::StreamError>(kind, "text");
        check(stream(gst::StreamError::CodecNotFound), "", FailReason::Unsupported);
        check(stream(gst::StreamError::TypeNotFound), "", FailReason::Broken);
        check(glib::Error::new(gst::CoreError::MissingPlugin, "text"), "", FailReason::Unsupported);
    }

    #[test]
    fn a_source_that_fails_is_a_connection_lost() {
        let error = glib::Error::new(gst::StreamError::Failed, "Internal data stream error.");
        assert_eq!(meaning(&error, "", "source").0, FailReason::Unreachable);
        assert_eq!(meaning(&error, "", "streams").0, FailReason::Broken);
    }

    #[test]
    fn debug_text_stays_inside() {
        let error = glib::Error::new(gst::ResourceError::OpenRead, "Could not open resource.");
        let (_, text) = meaning(&error, "rtsp://admin:secret@camera/", "source");
        assert!(text.contains("Could not open resource") && !text.contains("secret"), "{text}");
    }
}
