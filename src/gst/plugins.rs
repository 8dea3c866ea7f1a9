//! GStreamer's plugins, loaded from a short list by path.
//!
//! The usual registry scans every installed plugin and caches what it found under the user's home. A child needs a
//! few of them, and a plugin that is never loaded cannot be attacked. What is not installed is passed over here: the
//! pipeline that needs it says which element is missing.

use std::path::{Path, PathBuf};

use gstreamer as gst;

use crate::fault::Fault;

/// Plugins that every child role needs.
const COMMON: &[&str] = &["coreelements", "app", "videoconvertscale", "videofilter", "videotestsrc", "videoparsersbad"];

/// Starts GStreamer and loads `COMMON` plugins and `wanted`, each by its short name (`rtsp` is `libgstrtsp.so`).
///
/// # Errors
/// Where GStreamer does not start or its core plugin cannot be found.
pub fn start(wanted: &[&str]) -> Result<(), Fault> {
    gst::init().map_err(|error| Fault::unavailable(format!("GStreamer does not start: {error}")))?;
    let folders = folders();
    for name in COMMON.iter().chain(wanted) {
        if let Some(path) = find(&folders, name) {
            // One that does not load (a driver's library that is absent) offers no elements; nothing else follows.
            let _ = gst::Plugin::load_file(&path);
        }
    }
    if gst::ElementFactory::find("capsfilter").is_none() {
        let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return Err(Fault::unavailable(format!("no GStreamer plugins in {}", looked.join(", ")))
            .remedy("install GStreamer's plugins, or name their folder in GST_PLUGIN_SYSTEM_PATH_1_0"));
    }
    Ok(())
}

fn find(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(format!("libgst{name}.so"))).find(|path| path.is_file())
}

/// Where distributions keep plugins, unless GStreamer's own variable says otherwise.
fn folders() -> Vec<PathBuf> {
    if let Some(paths) = std::env::var_os("GST_PLUGIN_SYSTEM_PATH_1_0") {
        return std::env::split_paths(&paths).collect();
    }
    let multiarch = match std::env::consts::ARCH {
        "arm" => "arm-linux-gnueabihf".to_owned(),
        arch => format!("{arch}-linux-gnu"),
    };
    let libraries = [format!("/usr/lib/{multiarch}"), "/usr/lib64".into(), "/usr/lib".into(), "/usr/local/lib".into()];
    libraries.iter().map(|library| Path::new(library).join("gstreamer-1.0")).collect()
}
