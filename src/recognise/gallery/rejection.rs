//! Why something was not enrolled.

use std::fmt;

use serde::Serialize;

/// The reason as a word that stays the same from version to version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No face was found in the picture.
    NoFace,
    /// There is more than one face, and nothing says whose it should be.
    SeveralFaces,
    /// Too few pixels between the eyes.
    TooSmall,
    /// No fine detail.
    TooBlurred,
    /// Not facing the camera.
    TurnedAway,
    /// Too dark or too bright to tell features.
    BadlyExposed,
    /// Something covers part of the face.
    Occluded,
    /// Less fit for recognition than was asked for.
    LowQuality,
    /// Looks like somebody known, but not so much that it is certain.
    Ambiguous,
    /// Not a picture, or a broken one.
    Unreadable,
    /// More bytes or pixels than are looked at.
    TooLarge,
    /// The numbers come from another model than the gallery's.
    WrongModel,
    /// The numbers say nothing: not finite, or all zero.
    Unusable,
    /// The name gives no id.
    BadName,
    /// The id belongs to somebody of another name.
    NameTaken,
    /// The external id is somebody else's.
    ExternalIdTaken,
    /// A tag, an external id or metadata beyond what is kept.
    BadProfile,
    /// Nobody in the gallery has that id.
    UnknownPerson,
    /// The gallery, or the person's share of it, is full.
    GalleryFull,
    /// A model failed or took too long; another try may succeed.
    Failed,
}

impl Refusal {
    /// The word: `no_face`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoFace => "no_face",
            Self::SeveralFaces => "several_faces",
            Self::TooSmall => "too_small",
            Self::TooBlurred => "too_blurred",
            Self::TurnedAway => "turned_away",
            Self::BadlyExposed => "badly_exposed",
            Self::Occluded => "occluded",
            Self::LowQuality => "low_quality",
            Self::Ambiguous => "ambiguous",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::WrongModel => "wrong_model",
            Self::Unusable => "unusable",
            Self::BadName => "bad_name",
            Self::NameTaken => "name_taken",
            Self::ExternalIdTaken => "external_id_taken",
            Self::BadProfile => "bad_profile",
            Self::UnknownPerson => "unknown_person",
            Self::GalleryFull => "gallery_full",
            Self::Failed => "failed",
        }
    }
}

/// A refused enrolment: a word for programs, a sentence for people. Neither says what a face looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The word.
    pub reason: Refusal,
    /// What is wrong and what to do; lower case, no full stop.
    pub detail: String,
}

impl Rejection {
    /// A rejection for `reason`.
    pub fn new(reason: Refusal, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_what_json_says() {
        for reason in [Refusal::NoFace, Refusal::SeveralFaces, Refusal::GalleryFull, Refusal::TooLarge] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
    }
}
