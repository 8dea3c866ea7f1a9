//! Masked video out over RTSP.

mod config;

pub use config::{CameraConfig, Codec, Config, Mount, Push, Settings, Users};
