//! The environment of a child role.
//!
//! A child is started with an empty environment and then these: libraries inside it must find no place to write to,
//! no settings of the user who started the daemon, and no secrets. It cannot set them itself (threads may already
//! read the environment), so whoever spawns it does.

/// What is set for each child, name and value.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    // GStreamer: no plugin registry under ~/.cache, no scan of every installed plugin; `gst` loads a short list by path.
    ("GST_REGISTRY_DISABLE", "yes"),
    ("GST_REGISTRY_FORK", "no"),
    // GIO, which souphttpsrc and TLS need: no dconf file, no D-Bus, no proxy from the desktop.
    ("GSETTINGS_BACKEND", "memory"),
    ("GIO_USE_VFS", "local"),
    ("GIO_USE_PROXY_RESOLVER", "dummy"),
    // Graphics drivers behind hardware decoders: no shader or kernel caches.
    ("MESA_SHADER_CACHE_DISABLE", "true"),
    ("CUDA_CACHE_DISABLE", "1"),
    ("__GL_SHADER_DISK_CACHE", "0"),
    // A home that does not exist; ORC and others would otherwise look the user's up and try to write there.
    ("HOME", "/nonexistent"),
];

/// What is handed on from the daemon's own environment where it is set there: none of it is secret, and each is how
/// an administrator steers a library or a driver.
pub const INHERITED: &[&str] = &[
    "PATH",
    "LD_LIBRARY_PATH",
    "TZ",
    "GST_DEBUG",
    "GST_PLUGIN_SYSTEM_PATH_1_0",
    "LIBVA_DRIVER_NAME",
    "LIBVA_DRIVERS_PATH",
    "CUDA_VISIBLE_DEVICES",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_both_set_and_inherited() {
        assert!(ENVIRONMENT.iter().all(|(name, _)| !INHERITED.contains(name)));
    }
}
