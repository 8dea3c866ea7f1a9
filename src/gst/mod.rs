//! What both children share: plugin list, pipeline texts, bus, caps.
