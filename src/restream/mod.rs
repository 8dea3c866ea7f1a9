//! The RTSP server child.
