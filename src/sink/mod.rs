//! Where events go: one file a sink, one table line.
