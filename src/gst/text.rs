//! Pipeline texts: what stands in `pipelines/`, built in, and replaced by a file of the same name in a folder.
//!
//! A text is a gst-launch description. Lines that begin with `#` are comments; `{name}` is a placeholder. Only values
//! that Visor itself made go into placeholders (element names, numbers); what a user wrote, such as an address or a
//! password, is set as a property afterwards, so that it can never be read as a description.

use std::path::Path;

use crate::fault::Fault;

/// The built-in texts by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("rtsp", include_str!("../../pipelines/rtsp.launch")),
    ("file", include_str!("../../pipelines/file.launch")),
    ("http", include_str!("../../pipelines/http.launch")),
    ("v4l2", include_str!("../../pipelines/v4l2.launch")),
    ("test", include_str!("../../pipelines/test.launch")),
    ("rtp-h264", include_str!("../../pipelines/rtp-h264.launch")),
    ("rtp-h265", include_str!("../../pipelines/rtp-h265.launch")),
    ("rtp-jpeg", include_str!("../../pipelines/rtp-jpeg.launch")),
    ("h264", include_str!("../../pipelines/h264.launch")),
    ("h265", include_str!("../../pipelines/h265.launch")),
    ("decode", include_str!("../../pipelines/decode.launch")),
    ("encode", include_str!("../../pipelines/encode.launch")),
    ("join", include_str!("../../pipelines/join.launch")),
    ("out", include_str!("../../pipelines/out.launch")),
    ("out-rtsp", include_str!("../../pipelines/out-rtsp.launch")),
    ("push", include_str!("../../pipelines/push.launch")),
    ("frames", include_str!("../../pipelines/frames.launch")),
];

/// The pipeline text `name`, from `folder` where that holds a `name.launch`, with its placeholders filled in.
///
/// # Errors
/// Where the file cannot be read, or holds a placeholder that `values` does not name.
pub fn text(name: &str, folder: Option<&Path>, values: &[(&str, &str)]) -> Result<String, Fault> {
    let file = folder.map(|folder| folder.join(format!("{name}.launch"))).filter(|path| path.exists());
    let body = match &file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Fault::config(format!("cannot read the pipeline text {}: {error}", path.display())))?,
        None => built_in(name)?.to_owned(),
    };
    fill(&body, values).map_err(|unknown| {
        let place = file.map_or_else(|| format!("{name}.launch"), |path| path.display().to_string());
        let known: Vec<_> = values.iter().map(|(known, _)| format!("{{{known}}}")).collect();
        Fault::config(format!("pipeline text {place}: unknown placeholder {{{unknown}}}"))
            .remedy(format!("it may use {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") }))
    })
}

fn built_in(name: &str) -> Result<&'static str, Fault> {
    let found = BUILT_IN.iter().find(|(known, _)| *known == name);
    found.map(|(_, body)| *body).ok_or_else(|| Fault::internal(format!("no pipeline text is named {name}")))
}

/// Drops comments and replaces placeholders; the name of an unknown placeholder where there is one.
/// Braces around anything but a lower-case word (`{ I420, NV12 }`, a list in caps) stay as they are.
fn fill(body: &str, values: &[(&str, &str)]) -> Result<String, String> {
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
    let description = lines.collect::<Vec<_>>().join(" ");
    let mut filled = String::with_capacity(description.len());
    let mut rest = description.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) if is_name(name) => {
                let value = values.iter().find(|(known, _)| *known == name).ok_or_else(|| name.to_owned())?.1;
                filled.push_str(value);
                rest = tail;
            }
            _ => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_placeholders_are_filled() {
        let body = "# what it is\n  a ! b x={x} !\n\n video/x-raw,format={ I420, NV12 } ! c name={x}\n";
        let filled = fill(body, &[("x", "7")]).unwrap();
        assert_eq!(filled, "a ! b x=7 ! video/x-raw,format={ I420, NV12 } ! c name=7");
    }

    #[test]
    fn an_unknown_placeholder_is_named() {
        let fault = text("decode", None, &[]).unwrap_err();
        assert!(fault.to_string().contains("unknown placeholder {decoder}"), "{fault}");
    }

    #[test]
    fn a_file_of_the_same_name_replaces_a_text() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("decode.launch"), "mine ! {decoder}").unwrap();
        assert_eq!(text("decode", Some(folder.path()), &[("decoder", "d")]).unwrap(), "mine ! d");
        assert!(text("file", Some(folder.path()), &[]).is_ok(), "others stay built in");
    }

    #[test]
    fn every_text_opens_with_a_comment() {
        for (name, body) in BUILT_IN {
            assert!(body.starts_with("# "), "{name} says nothing about itself");
        }
    }
}
