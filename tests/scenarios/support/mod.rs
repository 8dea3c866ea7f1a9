//! What scenarios share: brokers, recorders, bad networks, made-up cameras.

pub mod broker;
#[cfg(feature = "media")]
#[allow(dead_code, reason = "not every way to use a page is needed at each time")]
pub mod browser;
pub mod capture_child;
#[cfg(feature = "media")]
pub mod composed;
#[cfg(feature = "media")]
pub mod curl;
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
#[cfg(feature = "media")]
pub mod player;
pub mod proxy;
pub mod recorder;
#[cfg(feature = "media")]
pub mod rtsp;
#[cfg(feature = "media")]
pub mod scene;
#[cfg(feature = "media")]
pub mod shim;
#[cfg(feature = "media")]
pub mod viewer;
pub mod wait;
