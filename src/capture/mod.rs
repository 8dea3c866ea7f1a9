//! The capture child.
