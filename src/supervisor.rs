//! Starts, watches and replaces cameras and sinks.
