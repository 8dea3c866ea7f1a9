//! Phases, readiness, shutdown and what systemd is told.
