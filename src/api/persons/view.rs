//! A person as answers show them.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::Api;
use crate::event::rfc3339;
use crate::http::Principal;
use crate::recognise::Gallery;
use crate::recognise::gallery::{self, Reference};
use crate::sink::PersonState;

/// Somebody who is known.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Person {
    /// The id.
    id: String,
    /// The name to show.
    name: String,
    /// What another system calls the person.
    external_id: Option<String>,
    /// Words that policies refer to, from the configuration or their own.
    tags: BTreeSet<String>,
    /// What else another system wants to know.
    metadata: Map<String, Value>,
    /// When the person came.
    #[schema(format = DateTime)]
    created_at: String,
    /// When anything of the person was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When the person is forgotten by itself.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// How many faces stand for the person.
    face_count: usize,
    /// How many faces were lost when the embedder was replaced, whose pictures nobody kept: until a new one is enrolled.
    faces_lost: usize,
    /// Each of them; in lists left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    faces: Option<Vec<Face>>,
    /// Whether in sight, as far as the caller's cameras say; null for who was not seen yet.
    presence: Option<Presence>,
}

/// Whether somebody is in sight.
#[derive(Serialize, ToSchema)]
struct Presence {
    /// In sight of a camera now, or a moment ago.
    present: bool,
    /// The camera that sees the person, or saw the person last.
    camera: Option<String>,
    /// Since when `present` is what it is.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// When the person was seen last; while in sight up to ten seconds old.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
}

/// A face that stands for a person: no numbers of it.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Face {
    /// Its id.
    pub(in crate::api) id: u64,
    /// Fitness for recognition, 0 to 1.
    quality: f64,
    /// Where it came from: `folder`, or the name of an interface.
    source: String,
    /// When it came.
    #[schema(format = DateTime)]
    created_at: String,
}

impl Person {
    /// As lists show it.
    pub(in crate::api) fn new(
        person: &gallery::Person,
        gallery: &Gallery,
        state: Option<&PersonState>,
        principal: &Principal,
    ) -> Self {
        let seen = state.map(|state| &state.presence).filter(|presence| presence.since.is_some());
        let seen = seen.filter(|presence| presence.camera.as_ref().is_none_or(|camera| principal.sees(camera)));
        Self {
            id: person.id.to_string(),
            name: person.name.to_string(),
            external_id: person.external_id.as_deref().map(str::to_owned),
            tags: gallery.tags_of(person),
            metadata: Map::clone(&person.metadata),
            created_at: rfc3339(person.created_at),
            updated_at: rfc3339(person.updated_at),
            expires_at: person.expires.map(rfc3339),
            face_count: person.references.len(),
            faces_lost: person.lost,
            faces: None,
            presence: seen.map(|presence| Presence {
                present: presence.present,
                camera: presence.camera.as_deref().map(str::to_owned),
                since: presence.since.map(rfc3339),
                last_seen: presence.last_seen.map(rfc3339),
            }),
        }
    }

    /// By itself, with its faces.
    pub(in crate::api) fn whole(person: &gallery::Person, gallery: &Gallery, api: &Api, principal: &Principal) -> Self {
        let shown = api.0.hub.board().people();
        let faces = person.references.iter().map(Face::new).collect();
        Self { faces: Some(faces), ..Self::new(person, gallery, shown.get(&*person.id), principal) }
    }
}

impl Face {
    pub(in crate::api) fn new(reference: &Reference) -> Self {
        Self {
            id: reference.id,
            quality: rounded(reference.quality),
            source: if reference.is_of_folder() { "folder".to_owned() } else { reference.source.to_string() },
            created_at: rfc3339(reference.created_at),
        }
    }
}

/// A score as answers have it.
pub(in crate::api) fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e4).round() / 1e4
}
