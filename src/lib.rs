//! Visor watches cameras: it finds each face, follows it, and says over MQTT what it sees.
//!
//! Read the modules in the order in which a frame travels; imports run the same way, a stage never imports a later one.
//!
//! | module | what happens there |
//! |---|---|
//! | [`geometry`] [`clock`] [`frame`] [`fault`] [`units`] [`telemetry`] [`metrics`] | nouns, no I/O |
//! | `canvas` | planes to paint on, and the slate |
//! | [`simd`] | vector kernels, and memory kept out of swap and dumps: `unsafe` is here and in `ring` alone |
//! | [`ring`] | frames cross from child to brain in sealed shared memory |
//! | [`address`] | what an address asks for beyond where it points |
//! | [`outbound`] | addresses that somebody else has named: which may be asked, and webhooks |
//! | `gst` `capture` | the child that speaks to the camera: untrusted bytes stay there |
//! | `restream` | the RTSP server child |
//! | [`infer`] | ONNX Runtime: library, manifests, sessions, tensors |
//! | [`source`] | the brain's side of a capture child: start, watch, restart |
//! | [`detect`] | picture → faces |
//! | [`track`] | faces → tracks |
//! | [`recognise`] | tracks → people: embeddings, gallery, identity |
//! | [`mask`] | which parts of a frame are hidden, the proof that it may be shown, and the pixels |
//! | [`event`] | tracks → events with gapless numbers |
//! | [`sink`] | events → MQTT, log; masked video → RTSP |
//! | [`lifecycle`] [`http`] | phases and readiness; health, metrics, version |
//! | [`pipeline`] | the two loops of a camera, naming each stage |
//! | [`config`] | composes each part's own settings |
//! | [`supervisor`] | start, replace, shut down |
//! | [`api`] | the engine over HTTP: pictures, people, cameras, events |
//! | [`cli`] | the commands |
//!
//! What is absent: no module right of `capture` and `restream` can reach a media parser, and nothing here opens a
//! file for writing while the daemon runs.
#![warn(missing_docs)]

pub mod address;
pub mod api;
mod canvas;
#[cfg(feature = "media")]
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod detect;
pub mod event;
pub mod fault;
pub mod frame;
pub mod geometry;
#[cfg(feature = "media")]
pub mod gst;
pub mod http;
pub mod infer;
pub mod lifecycle;
pub mod mask;
pub mod metrics;
pub mod outbound;
pub mod pipeline;
pub mod recognise;
#[cfg(feature = "media")]
pub mod restream;
pub mod ring;
pub mod simd;
pub mod sink;
pub mod source;
pub mod supervisor;
pub mod telemetry;
pub mod track;
pub mod units;
