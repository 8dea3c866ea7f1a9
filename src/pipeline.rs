//! The two loops of a camera, naming each stage.
