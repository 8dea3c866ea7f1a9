//! What scenarios share: brokers, recorders, bad networks, made-up cameras.

pub mod broker;
pub mod capture_child;
#[cfg(feature = "media")]
pub mod composed;
#[cfg(feature = "media")]
pub mod daemon;
pub mod faces;
#[cfg(feature = "media")]
pub mod film;
#[cfg(feature = "media")]
pub mod growth;
#[cfg(feature = "media")]
pub mod leaks;
pub mod mot;
#[cfg(feature = "media")]
pub mod naming;
#[cfg(feature = "media")]
pub mod patched;
pub mod proxy;
pub mod recorder;
#[cfg(feature = "media")]
pub mod scene;
#[cfg(feature = "media")]
pub mod shim;
pub mod wait;
