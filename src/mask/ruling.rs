//! What becomes of a frame, and why.

use serde::Serialize;

use super::shape::Region;
use crate::frame::Picture;
use crate::geometry::Rect;

/// Why a frame goes out wholly covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No frame before it has been analysed yet.
    Starting,
    /// No frame after it was analysed in time.
    Late,
    /// It was not analysed itself, and there is no look-ahead in which another could prove it.
    NotAnalysed,
    /// The detector failed, or gave no, empty, constant or unsound tensors.
    Failed,
    /// Another model took over between the analyses around it.
    ModelChanged,
    /// The picture's size changed between the analyses around it.
    SizeChanged,
    /// The stream's clock jumped between the analyses around it.
    ClockJumped,
    /// The stream was cut between the analyses around it.
    Cut,
    /// More frames are held than there is room for.
    QueueFull,
    /// Its pixels changed after it was taken in.
    SlotReused,
    /// The source was lost between the analyses around it.
    SourceLost,
    /// Detection is switched off.
    DetectOff,
    /// The detector did not find the test face.
    Blind,
    /// A face was found in what went out.
    FaceSeen,
    /// The stream ended before the frame after it was analysed.
    Ended,
    /// What was reported of the frames around it does not bear out that it may be shown.
    Unproven,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 16] = [
        Self::Starting,
        Self::Late,
        Self::NotAnalysed,
        Self::Failed,
        Self::ModelChanged,
        Self::SizeChanged,
        Self::ClockJumped,
        Self::Cut,
        Self::QueueFull,
        Self::SlotReused,
        Self::SourceLost,
        Self::DetectOff,
        Self::Blind,
        Self::FaceSeen,
        Self::Ended,
        Self::Unproven,
    ];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Late => "late",
            Self::NotAnalysed => "not_analysed",
            Self::Failed => "failed",
            Self::ModelChanged => "model_changed",
            Self::SizeChanged => "size_changed",
            Self::ClockJumped => "clock_jumped",
            Self::Cut => "cut",
            Self::QueueFull => "queue_full",
            Self::SlotReused => "slot_reused",
            Self::SourceLost => "source_lost",
            Self::DetectOff => "detect_off",
            Self::Blind => "blind",
            Self::FaceSeen => "face_seen",
            Self::Ended => "ended",
            Self::Unproven => "unproven",
        }
    }

    /// The line for it on a covered frame.
    pub(super) const fn caption(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Late | Self::NotAnalysed | Self::Cut | Self::QueueFull => "analysis late",
            Self::Failed | Self::Blind => "detector failed",
            Self::ModelChanged => "model changed",
            Self::SizeChanged | Self::ClockJumped | Self::SourceLost | Self::SlotReused => "source interrupted",
            Self::DetectOff => "detection off",
            Self::FaceSeen => "face seen",
            Self::Ended => "ended",
            Self::Unproven => "not proven",
        }
    }
}

/// The frames whose analyses bracket a frame: the last analysed one that is not after it, and the first that is not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// Number of the analysed frame at or before it.
    pub from: u64,
    /// Number of the analysed frame at or after it.
    pub to: u64,
}

/// What is masked in a frame, and what it rests on. Made by this module alone.
#[derive(Clone, Debug)]
pub struct Plan {
    regions: Vec<Region>,
    clear: Vec<Rect>,
    bracket: Bracket,
    fingerprint: Fingerprint,
}

impl Plan {
    pub(super) fn new(regions: Vec<Region>, bracket: Bracket, fingerprint: Fingerprint) -> Self {
        Self { regions, clear: Vec::new(), bracket, fingerprint }
    }

    /// The same, with the places of faces that go unmasked.
    pub(super) fn but_clear(self, clear: Vec<Rect>) -> Self {
        Self { clear, ..self }
    }

    /// What is masked.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Where faces are that go unmasked.
    pub fn clear(&self) -> &[Rect] {
        &self.clear
    }

    /// What it rests on.
    pub fn bracket(&self) -> Bracket {
        self.bracket
    }

    pub(super) fn is_of(&self, number: u64, picture: Picture<'_>) -> bool {
        (self.bracket.from..=self.bracket.to).contains(&number) && self.still_is(picture)
    }

    pub(super) fn still_is(&self, picture: Picture<'_>) -> bool {
        Fingerprint::of(picture) == self.fingerprint
    }
}

/// What becomes of a frame.
#[derive(Clone, Debug)]
pub enum Ruling {
    /// It is shown with these parts masked.
    Masked(Plan),
    /// Nothing of it is shown.
    Covered(Cause),
}

/// A few hundred of a frame's samples in one number, to notice pixels that change while they are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

/// Samples looked at.
const SAMPLES: usize = 256;

impl Fingerprint {
    pub fn of(picture: Picture<'_>) -> Self {
        let luma = picture.plane(0);
        // an odd step walks over columns as well as rows
        let step = (luma.len() / SAMPLES).max(1) | 1;
        // Fowler, Noll, Vo
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(luma.iter().step_by(step).fold(0xcbf2_9ce4_8422_2325, mix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_causes_name_is_the_one_in_json() {
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_string(&cause).unwrap(), format!("\"{}\"", cause.name()));
        }
    }
}
