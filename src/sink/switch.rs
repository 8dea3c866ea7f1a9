//! What users may switch on and off at a camera.

use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::lock;

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

/// Wishes that wait for the supervisor: of each switch the newest alone, which takes the place of an earlier one that was
/// not looked at yet. So there are never more than there are switches, and none is ever refused for want of room.
#[derive(Debug)]
pub struct SwitchWishes {
    waiting: Mutex<Vec<SwitchCommand>>,
    bell: (Sender<()>, Receiver<()>),
}

impl Default for SwitchWishes {
    fn default() -> Self {
        Self { waiting: Mutex::default(), bell: bounded(1) }
    }
}

impl SwitchWishes {
    /// Takes a wish for a switch that there is.
    pub fn ask(&self, wish: SwitchCommand) {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|earlier| (&earlier.camera, earlier.switch) != (&wish.camera, wish.switch));
        waiting.push(wish);
        // rung already: whoever hears it takes this one, too
        let _ = self.bell.0.try_send(());
    }

    /// Rings when there is something to take.
    pub fn bell(&self) -> &Receiver<()> {
        &self.bell.1
    }

    /// All that wait, in the order in which they were asked.
    pub fn take(&self) -> Vec<SwitchCommand> {
        std::mem::take(&mut lock(&self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(camera: &str, switch: Switch, on: bool) -> SwitchCommand {
        SwitchCommand { camera: camera.into(), switch, on }
    }

    #[test]
    fn of_a_burst_the_newest_wish_of_each_switch_is_granted() {
        let wishes = SwitchWishes::default();
        for n in 0..1000 {
            wishes.ask(wish("front", Switch::Detect, n % 2 == 0));
            wishes.ask(wish(&format!("cam-{}", n % 100), Switch::Mask, n >= 900));
        }
        wishes.ask(wish("front", Switch::Mask, true));
        wishes.bell().try_recv().unwrap();
        let taken = wishes.take();
        assert_eq!(taken.len(), 102);
        assert!(taken.iter().filter(|wish| wish.switch == Switch::Mask).all(|wish| wish.on));
        assert!(taken.contains(&wish("front", Switch::Detect, false)));
        assert_eq!(taken.last(), Some(&wish("front", Switch::Mask, true)), "in the order in which they were asked");
        assert!(wishes.take().is_empty() && wishes.bell().try_recv().is_err());
    }
}
