//! From a picture to somebody who is known: looked at on the desk, taken in by the gallery's thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use axum::Extension;
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::desk::{Looker, Timed};
use super::extract::bad_request;
use super::gallery::refused;
use super::input::Held;
use super::persons::expiry;
use crate::http::ProblemJson;
use crate::recognise::gallery::enroller::{the_face, unfit};
use crate::recognise::gallery::{Enrolment, PersonId, Profile, Receipt, Refusal, Rejection};
use crate::recognise::grading::fourth;
use crate::recognise::quality;
use crate::recognise::{Embedding, Gallery, GradedFace, People};
use crate::sink::{Looked, PersonAnswer, PersonWish};

/// Where references come from that came over HTTP.
const SENT_IN: &str = "http";

/// Faces of one picture that are enrolled, the largest first.
const MOST_FACES: usize = 64;

/// Whose face it is, and how it is taken in.
#[derive(Debug, Default, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EnrolOptions {
    /// The person's id. Somebody new gets it.
    person_id: Option<String>,
    /// The name to show. Without a `person_id` its slug is the id: `Zoë Müller` is `zoe-muller`.
    name: Option<String>,
    /// What another system calls the person: who has it is meant, and somebody new gets it.
    external_id: Option<String>,
    /// Added to the person's tags.
    tags: Vec<String>,
    /// Takes the place of the person's metadata; up to 4 KiB of JSON.
    #[param(value_type = Option<String>)]
    metadata: Option<Map<String, Value>>,
    /// When the person is forgotten by itself (RFC 3339).
    #[schema(format = DateTime)]
    #[param(format = DateTime)]
    expires_at: Option<String>,
    /// Enrols every face of a group photo, each as a person of its own; none is named then.
    enable_multi_face: bool,
    /// Whoever looks like somebody known gets a further face, whatever name was given; only others are new.
    auto_associate: bool,
    /// Least fitness for recognition, 0 to 1. Default: what recognition itself asks for.
    #[schema(minimum = 0, maximum = 1)]
    #[param(minimum = 0, maximum = 1)]
    min_quality: Option<f32>,
}

/// [`EnrolOptions`], checked.
pub(super) struct Order {
    id: Option<PersonId>,
    profile: Profile,
    several: bool,
    associate: bool,
    least: f32,
}

/// What became of a picture.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Enrolled {
    /// How many faces were added.
    pub(super) added: usize,
    /// Each face that was looked at, largest first.
    pub(super) faces: Vec<EnrolledFace>,
}

/// What became of a face.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct EnrolledFace {
    #[serde(flatten)]
    face: GradedFace,
    /// `added`, `duplicate` or `refused`.
    outcome: &'static str,
    /// Whose it is now.
    person: Option<PersonName>,
    /// The id of what was added.
    face_id: Option<u64>,
    /// Whether it is that person's because it looks like them.
    associated: bool,
    /// Other people whom it looks much like, nearest first.
    look_alikes: Vec<LookAlike>,
    /// Why it was refused.
    refused: Option<FaceRefusal>,
}

/// Somebody by id and name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PersonName {
    /// The id.
    pub(super) id: String,
    /// The name.
    pub(super) name: String,
}

/// Another person who looks much alike.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct LookAlike {
    /// The id.
    person: String,
    /// The name.
    name: String,
    /// Cosine of both faces.
    score: f32,
}

/// Why a face was not taken in.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct FaceRefusal {
    /// For programs.
    reason: &'static str,
    /// For people.
    detail: String,
}

/// What a picture showed.
struct Seen {
    model: Arc<str>,
    faces: Vec<SeenFace>,
}

struct SeenFace {
    face: GradedFace,
    numbers: Result<Embedding, Rejection>,
}

/// Whose face it is.
struct Owner {
    id: Option<PersonId>,
    profile: Profile,
    associated: bool,
}

impl EnrolOptions {
    /// Checks what can be without a picture.
    pub(super) fn order(self) -> Result<Order, ProblemJson> {
        let is_named = self.person_id.is_some() || self.name.is_some() || self.external_id.is_some();
        if self.enable_multi_face && is_named {
            return Err(bad_request("enable_multi_face: the faces of a group are not one person's; name nobody"));
        }
        if !is_named && !self.enable_multi_face && !self.auto_associate {
            return Err(bad_request("say whose face it is by person_id, name or external_id, or set auto_associate"));
        }
        let least = self.min_quality.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&least) {
            return Err(bad_request("min_quality: 0 to 1"));
        }
        let id = self.person_id.as_deref().map(PersonId::new).transpose().map_err(|wrong| refused(&wrong))?;
        let profile = Profile {
            name: self.name.unwrap_or_default(),
            external_id: self.external_id,
            tags: self.tags,
            metadata: self.metadata,
            expires: self.expires_at.as_deref().map(expiry).transpose()?,
        };
        profile.check().map_err(|wrong| refused(&wrong))?;
        Ok(Order { id, profile, several: self.enable_multi_face, associate: self.auto_associate, least })
    }
}

impl Order {
    /// The id of the person that it names, as far as that can be said before anybody looks.
    pub(super) fn person(&self, gallery: &Gallery) -> Option<String> {
        let of_external = || self.of_external(gallery);
        let of_name = || PersonId::of_name(&self.profile.name).ok();
        self.id.clone().or_else(of_external).or_else(of_name).map(|id| id.to_string())
    }

    fn of_external(&self, gallery: &Gallery) -> Option<PersonId> {
        gallery.of_external(self.profile.external_id.as_deref()?).map(|person| person.id.clone())
    }

    fn look(&self, looker: &mut Looker, picture: &[u8]) -> Result<Seen, ProblemJson> {
        let still = looker.decode(picture)?;
        let view = still.view();
        let all = looker.faces(view)?;
        let meant = if self.several { all.clone() } else { vec![the_face(&all).map_err(|wrong| refused(&wrong))?] };
        if meant.is_empty() {
            let nobody = Rejection::new(Refusal::NoFace, "shows no face that could be found");
            return Err(refused(&nobody));
        }
        let demands = quality::Config::default();
        let mut faces = Vec::new();
        let mut model = Arc::from("");
        for face in meant.iter().take(MOST_FACES) {
            let quality = quality::assess(view, face, &all, &demands);
            let numbers = match (quality.reason, face.landmarks) {
                (Some(reason), _) => Err(unfit(reason)),
                (None, _) if quality.score < self.least => Err(self.too_poor(quality.score)),
                (None, None) => Err(Rejection::new(Refusal::Failed, "there is no model for landmarks")),
                (None, Some(landmarks)) => {
                    let (numbers, of) = looker.numbers(view, landmarks)?;
                    model = of;
                    Ok(numbers)
                }
            };
            faces.push(SeenFace { face: GradedFace::new(face, quality), numbers });
        }
        Ok(Seen { model, faces })
    }

    fn too_poor(&self, score: f32) -> Rejection {
        let detail = format!("shows a face of quality {:.2}, less than {:.2}", score, self.least);
        Rejection::new(Refusal::LowQuality, detail)
    }

    fn owner(&self, people: &People, face: &Embedding) -> Result<Owner, Rejection> {
        let gallery = &people.gallery;
        if self.associate {
            let ranking = gallery.search(face);
            let margin = ranking.margin();
            if let Some(first) = ranking.first.filter(|first| first.score >= gallery.threshold()) {
                if margin.is_some_and(|margin| margin < gallery.margin()) {
                    let detail = "looks like more than one person; say whose face it is, without auto_associate";
                    return Err(Rejection::new(Refusal::Ambiguous, detail));
                }
                let profile = Profile { tags: self.profile.tags.clone(), ..Profile::default() };
                return Ok(Owner { id: Some(first.person.id.clone()), profile, associated: true });
            }
        }
        let id = self.id.clone().or_else(|| self.of_external(gallery));
        let is_nameless = id.is_none() && self.profile.name.is_empty();
        let id = if is_nameless { Some(PersonId::new(&format!("person-{}", Uuid::new_v4().simple()))?) } else { id };
        Ok(Owner { id, profile: self.profile.clone(), associated: false })
    }
}

impl Enrolled {
    /// A face that nothing came of.
    #[cfg(test)]
    pub(super) fn nobody() -> EnrolledFace {
        let (person, face_id, associated, look_alikes, refused) = Default::default();
        let face = GradedFace { rect: [0.0; 4], score: 0.0, landmarks: None, quality: 0.0, reason: None };
        EnrolledFace { face, outcome: "refused", person, face_id, associated, look_alikes, refused }
    }

    /// Says nothing any more of a person.
    pub(super) fn forget(&mut self, person: &str) {
        let is_of = |face: &EnrolledFace| face.person.as_ref().is_some_and(|owner| owner.id == person);
        self.faces.retain(|face| !is_of(face));
        self.faces.iter_mut().for_each(|face| face.look_alikes.retain(|other| other.person != person));
    }
}

impl Api {
    /// Takes in what a picture shows. Given up, nobody is added any more.
    pub(super) async fn enrol(
        &self,
        (picture, held): (Bytes, Held),
        order: &Arc<Order>,
        given_up: &Arc<AtomicBool>,
    ) -> Timed<Enrolled> {
        let looking = Arc::clone(order);
        let look = move |looker: &mut Looker| {
            let seen = looking.look(looker, &picture);
            drop((picture, held));
            seen
        };
        let (Extension(mut laps), Seen { model, faces }) = self.desk().timed(look).await?;
        let begun = Instant::now();
        let mut enrolled = Enrolled { added: 0, faces: Vec::with_capacity(faces.len()) };
        for SeenFace { face, numbers } in faces {
            let taken = match numbers {
                Ok(numbers) => self.take_in(order, (numbers, face.quality), &model, given_up).await?,
                Err(rejection) => Err(rejection),
            };
            if let (Err(rejection), false) = (&taken, order.several) {
                return Err(refused(rejection));
            }
            let became = self.became(face, taken);
            enrolled.added += usize::from(became.face_id.is_some());
            enrolled.faces.push(became);
        }
        laps.add("enrol", begun.elapsed());
        Ok((Extension(laps), enrolled))
    }

    /// One face; what the gallery has against it is no error of the whole.
    async fn take_in(
        &self,
        order: &Order,
        (numbers, quality): (Embedding, f32),
        model: &Arc<str>,
        given_up: &Arc<AtomicBool>,
    ) -> Result<Result<(Receipt, bool), Rejection>, ProblemJson> {
        let owner = match order.owner(&self.people()?, &numbers) {
            Ok(owner) => owner,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let enrolment = Enrolment {
            id: owner.id,
            profile: owner.profile,
            references: vec![(numbers, quality)],
            negative: false,
            source: SENT_IN.into(),
        };
        let (model, given_up) = (Arc::clone(model), Arc::clone(given_up));
        let looked = Looked { enrolment, model, given_up, only_known: owner.associated };
        match self.ask("", PersonWish::Add(Box::new(looked))).await? {
            PersonAnswer::Enrolled(receipt) => Ok(Ok((receipt, owner.associated))),
            PersonAnswer::Refused(rejection) => Ok(Err(rejection)),
            other => Err(super::gallery::unexpected(&other)),
        }
    }

    fn became(&self, face: GradedFace, taken: Result<(Receipt, bool), Rejection>) -> EnrolledFace {
        let (receipt, associated) = match taken {
            Ok(taken) => taken,
            Err(Rejection { reason, detail }) => {
                let refused = Some(FaceRefusal { reason: reason.word(), detail });
                let (person, face_id, associated, look_alikes) = Default::default();
                return EnrolledFace { face, outcome: "refused", person, face_id, associated, look_alikes, refused };
            }
        };
        let known = self.people().ok().and_then(|people| people.gallery.person(&receipt.person));
        let name = known.map_or_else(|| receipt.person.to_string(), |person| person.name.to_string());
        let alike = receipt.look_alikes.iter().map(|other| LookAlike {
            person: other.person.to_string(),
            name: other.name.to_string(),
            score: fourth(other.score),
        });
        EnrolledFace {
            face,
            outcome: if receipt.added.is_empty() { "duplicate" } else { "added" },
            person: Some(PersonName { id: receipt.person.to_string(), name }),
            face_id: receipt.added.first().copied(),
            associated,
            look_alikes: alike.collect(),
            refused: None,
        }
    }
}
