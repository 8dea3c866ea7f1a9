//! Logs: readable on a terminal, JSON or journald elsewhere.
