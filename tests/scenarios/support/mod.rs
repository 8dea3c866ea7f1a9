//! What scenarios share: brokers, recorders, bad networks, made-up cameras.

pub mod broker;
#[cfg(feature = "media")]
pub mod daemon;
pub mod faces;
pub mod mot;
pub mod proxy;
pub mod recorder;
pub mod wait;
