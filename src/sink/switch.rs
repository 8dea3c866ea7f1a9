//! What users may switch on and off at a camera.

use std::sync::Arc;

/// One of a camera's switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// Analysis of its frames.
    Detect,
    /// Naming of the faces in them.
    Recognise,
    /// Masks over them, in all that shows the camera's pictures.
    Mask,
    /// Its masked video over RTSP.
    Restream,
    /// Best shots of its tracks.
    Snapshots,
}

/// How a switch is shown.
#[derive(Debug)]
pub struct SwitchLine {
    /// The switch.
    pub switch: Switch,
    /// Its name in topics and ids.
    pub name: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// Icon in Home Assistant.
    pub icon: &'static str,
}

/// Every switch there is.
pub static SWITCHES: &[SwitchLine] = &[
    SwitchLine { switch: Switch::Detect, name: "detect", label: "Detection", icon: "mdi:face-recognition" },
    SwitchLine { switch: Switch::Recognise, name: "recognise", label: "Recognition", icon: "mdi:account-search" },
    SwitchLine { switch: Switch::Mask, name: "mask", label: "Masks", icon: "mdi:incognito" },
    SwitchLine { switch: Switch::Restream, name: "restream", label: "Video", icon: "mdi:video" },
    SwitchLine { switch: Switch::Snapshots, name: "snapshots", label: "Snapshots", icon: "mdi:image-multiple" },
];

impl Switch {
    /// What topics call it.
    pub fn name(self) -> &'static str {
        SWITCHES.iter().find(|line| line.switch == self).map_or("", |line| line.name)
    }

    /// The switch that topics call `name`.
    pub fn named(name: &str) -> Option<Self> {
        SWITCHES.iter().find(|line| line.name == name).map(|line| line.switch)
    }
}

/// A user's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchCommand {
    /// Whose switch.
    pub camera: Arc<str>,
    /// Which switch.
    pub switch: Switch,
    /// On or off.
    pub on: bool,
}
