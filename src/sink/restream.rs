//! Masked video out over RTSP: the brain's side of the child that serves it.
//!
//! [`Restream`] starts the child, listens to its heartbeat and replaces it when it hangs or crashes. An [`Outlet`] is the
//! way of one camera's masked frames into it: they are painted straight into the shared memory that the child reads, and
//! nothing else ever gets there. Whoever has an outlet never waits: not for the child, nor for whoever minds it.

mod child;
mod config;
mod keeper;
mod outlet;
mod rests;

pub use config::{CameraConfig, Codec, Config, Mount, Push, Settings, Users};
pub use keeper::Restream;
pub use outlet::{Outlet, OutletSlot, SLOTS};
