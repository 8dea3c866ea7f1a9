//! The people whom Visor knows, in memory only: enrolment, exact search, thresholds that follow the gallery's size.
//!
//! A [`Gallery`] is a handle to one immutable snapshot at a time. A search takes the present snapshot without a lock and
//! never waits; a change makes the next snapshot, which shares with the last one every segment of references that the
//! change does not touch. What a change drops is overwritten with zeros once the last search that could see it is over.
//!
//! | module | what happens there |
//! |---|---|
//! | [`person`] | ids, names, references: what a listing shows |
//! | [`rejection`] | why something was not enrolled: a word and a sentence |
//! | [`calibration`] | what strangers score: threshold and margin for a gallery's size |
//! | `vector` | an embedding as it is compared, exactly and in bytes |
//! | `segment` | references as rows of numbers, immutable and shared |
//! | `snapshot` | one state of the gallery |
//! | `search` | the best person and the next, exactly |
//! | `store` | the handle: enrol, forget, expire |
//! | [`tags`] | words that policies refer to |
//! | [`advice`] | how well these people can be told apart |
//! | [`spread`] | what one person's references score against each other, and different people's |
//! | [`synthetic`] | made-up galleries, for benchmarks |
//! | [`enroller`] | from a picture to a reference |
//! | [`folder`] | the folder of people's pictures |

pub mod advice;
pub mod calibration;
pub mod enroller;
pub mod folder;
pub mod person;
pub mod rejection;
mod search;
mod segment;
mod snapshot;
pub mod spread;
mod store;
pub mod synthetic;
pub mod tags;
#[cfg(test)]
mod tests;
mod vector;

pub use advice::Advice;
pub use calibration::Calibration;
pub use enroller::{Enroller, Who};
pub use person::{Person, PersonId, Reference};
pub use rejection::{Refusal, Rejection};
pub use search::{Hit, Ranking};
pub use spread::Spread;
pub use store::{Amendment, Enrolment, Filter, Gallery, LookAlike, Page, Profile, Receipt, Settings};
pub use tags::Tags;
