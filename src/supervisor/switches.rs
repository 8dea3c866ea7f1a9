//! Which switches a camera has, and which of a user's wishes are granted.

use crate::config::Camera;
use crate::mask::Who;
use crate::sink::{Snapshots, Switch};

/// The switches of a camera, where the configuration puts them.
pub(super) fn of(camera: &Camera) -> Vec<(Switch, bool)> {
    let mut switches = vec![(Switch::Detect, true), (Switch::Recognise, true)];
    let masks = camera.masking.as_ref().map(|masking| (Switch::Mask, masking.mask.who != Who::Nobody));
    switches.extend(masks);
    switches.extend(camera.restream.is_some().then_some((Switch::Restream, true)));
    switches.extend((camera.snapshots != Snapshots::Off).then_some((Switch::Snapshots, true)));
    switches
}

/// Whether a switch of the camera may be put there: faces are shown only where the configuration has said so.
pub(super) fn may_be_put(camera: &Camera, switch: Switch, on: bool) -> bool {
    let shows_faces = switch == Switch::Mask && !on;
    let allowed = camera.masking.as_ref().is_none_or(|m| m.mask.switchable || m.mask.who == Who::Nobody);
    !shows_faces || allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve_text;

    fn camera(text: &str) -> Camera {
        let text = format!("models.embedder = \"none\"\n[cameras.front]\nuri = \"test:\"\n{text}\n");
        resolve_text(&text, &[]).unwrap().cameras.remove("front").unwrap()
    }

    #[test]
    fn a_camera_has_the_switches_of_what_it_does() {
        use Switch::{Detect, Mask, Recognise, Restream, Snapshots};
        let switches = |text: &str| of(&camera(text)).into_iter().map(|(switch, _)| switch).collect::<Vec<_>>();
        assert_eq!(switches(""), [Detect, Recognise]);
        assert_eq!(switches("[cameras.front.restream]"), [Detect, Recognise, Mask, Restream]);
        assert_eq!(switches("snapshots = \"masked\""), [Detect, Recognise, Mask, Snapshots]);
        assert_eq!(switches("snapshots = \"clear\""), [Detect, Recognise, Snapshots]);
    }

    #[test]
    fn masks_are_off_only_where_the_configuration_allows_it() {
        let off = |text: &str| {
            let camera = camera(&format!("[cameras.front.mask]\n{text}"));
            (of(&camera)[2], may_be_put(&camera, Switch::Mask, false))
        };
        assert_eq!(off(""), ((Switch::Mask, true), false));
        assert_eq!(off("switchable = true"), ((Switch::Mask, true), true));
        assert_eq!(off("who = \"nobody\""), ((Switch::Mask, false), true));
        let masked = camera("[cameras.front.mask]");
        assert!(may_be_put(&masked, Switch::Mask, true) && may_be_put(&masked, Switch::Detect, false));
    }
}
