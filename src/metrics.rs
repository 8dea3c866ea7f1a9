//! Names of all metrics, what they mean, and the recorder behind `/metrics`.
//!
//! To add one: a line in the table below, and its name in `tests::NAMES`.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::fault::Fault;

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows only; the name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of times, in seconds; the name ends in `_seconds`.
    Histogram,
}

/// A metric as it is described to a reader.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name with the prefix `visor_`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// What it counts, with labels in braces.
    pub help: &'static str,
}

/// One line a metric: constant, kind, name, description. The constant and the table come of the same line.
macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*
        /// Every metric there is.
        pub const ALL: &[Metric] = &[$(Metric { name: $name, kind: Kind::$kind, help: $help }),*];
    };
}

metrics! {
    BUILD_INFO Gauge "visor_build_info" "always 1 {version}";
    FRAMES_CAPTURED Counter "visor_frames_captured_total" "frames received from a camera {camera}";
    FRAMES_ANALYSED Counter "visor_frames_analysed_total" "frames that went through detection and tracking {camera}";
    FRAMES_DROPPED Counter "visor_frames_dropped_total" "frames not analysed, or not handed to an output, by reason {camera, reason}";
    FRAME_AGE Histogram "visor_frame_age_seconds" "age of a frame since it arrived, when a stage begins {camera, stage}";
    STAGE_SECONDS Histogram "visor_stage_seconds" "time spent in a stage on one frame {camera, stage}";
    TRACKS_ACTIVE Gauge "visor_tracks_active" "confirmed tracks now {camera}";
    IDENTITIES Counter "visor_identities_total" "tracks told to be somebody, or ended undecided, by status {camera, status}";
    CAMERA_UP Gauge "visor_camera_up" "1 while a camera delivers frames, else 0 {camera}";
    CAMERA_RESTARTS Counter "visor_camera_restarts_total" "capture processes started again, by reason {camera, reason}";
    EVENTS_PUBLISHED Counter "visor_events_published_total" "events accepted by a sink's receiver {sink}";
    EVENTS_LOST Counter "visor_events_lost_total" "events that a sink could not keep, by reason {sink, reason}";
    MASK_FRAMES Counter "visor_mask_frames_total" "frames handed out of a masked camera {camera, outcome}";
    MASK_COVERED Counter "visor_mask_covered_total" "frames handed out wholly covered, by reason {camera, reason}";
    MASK_HOLD Histogram "visor_mask_hold_seconds" "for how long a frame of a masked camera is held at most, as it comes in {camera}";
    MASK_AUDITS Counter "visor_mask_audits_total" "frames handed out of a masked camera in which a detector looked for faces {camera}";
    MASK_AUDIT_FACES Counter "visor_mask_audit_faces_total" "faces that it found there {camera}";
    MASK_UNPROVEN Counter "visor_mask_unproven_frames_total" "frames that were to be shown without a proof and were covered instead; must stay 0 {camera}";
    RESTREAM_CLIENTS Gauge "visor_restream_clients" "players that watch a camera's masked video now {camera}";
    RESTREAM_INTERRUPTIONS Counter "visor_restream_interruptions_total" "times that a camera's encoder failed or hung {camera}";
    RESTREAM_PUSH_UP Gauge "visor_restream_push_up" "1 while a camera's media server takes its masked video, else 0 {camera}";
    RESTREAM_RESTARTS Counter "visor_restream_restarts_total" "RTSP server processes started again, by reason {reason}";
    PREVIEW_CLIENTS Gauge "visor_preview_clients" "who looks at a camera over HTTP now {camera}";
    PREVIEW_SECONDS Histogram "visor_preview_seconds" "processor time of one picture that was made for who looks over HTTP";
    SNAPSHOTS_PUBLISHED Counter "visor_snapshots_published_total" "best shots of tracks that a broker took {camera}";
    SNAPSHOTS_DROPPED Counter "visor_snapshots_dropped_total" "best shots that nobody got to see, by reason {camera, reason}";
    MQTT_CONNECTED Gauge "visor_mqtt_connected" "1 while the MQTT broker is connected, else 0";
    PROVIDER_INFO Gauge "visor_provider_info" "1 while a model is loaded: the provider it runs on {provider, model}";
    CONFIG_RELOADS Counter "visor_config_reloads_total" "reloads of the configuration, by outcome {outcome}";
    EMBEDDINGS Counter "visor_embeddings_total" "faces chosen to be embedded, by outcome: made, late or failed {camera, outcome}";
    GALLERY_FACES Gauge "visor_gallery_faces" "references in the gallery";
    GALLERY_SEARCH_SECONDS Histogram "visor_gallery_search_seconds" "time of one search of the gallery";
    HTTP_REQUESTS Counter "visor_http_requests_total" "answered requests, by status {status}";
    HTTP_REQUEST_SECONDS Histogram "visor_http_request_seconds" "time until a request is answered, by the path's pattern {route, method}";
    HTTP_REFUSED Counter "visor_http_refused_total" "requests sent away: host, origin, token, rate, busy, slow_body or connections {reason}";
    HTTP_STREAMS Gauge "visor_http_streams" "answers without an end that are open now: events and pictures";
    WEBHOOK_DELIVERIES Counter "visor_webhook_deliveries_total" "tries to tell a webhook that a job has ended: delivered, retried, given_up or overflowed {outcome}";
}

/// Upper bounds of every histogram's buckets, in seconds: from a tracker's microseconds to a stall.
const BUCKETS: [f64; 22] = [
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3,
    0.35, 0.5, 1.0, 2.5, 10.0,
];

/// How often what histograms collected is folded into buckets when nobody asks for `/metrics`: bounds their memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process' recorder; clones share it.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// All metrics in Prometheus' text form.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Installs the process' recorder, once; later calls give the same one.
///
/// # Errors
/// Another recorder is installed already.
pub fn install() -> Result<Exporter, Fault> {
    install_behind(|recorder| recorder)
}

/// [`install`], with what `before` makes of the recorder in front of it; not where one is installed already.
///
/// # Errors
/// Another recorder is installed already.
pub fn install_behind<R>(before: impl FnOnce(PrometheusRecorder) -> R) -> Result<Exporter, Fault>
where
    R: ::metrics::Recorder + Sync + 'static,
{
    static INSTALLED: OnceLock<Result<Exporter, String>> = OnceLock::new();
    INSTALLED.get_or_init(|| build(before)).clone().map_err(|e| Fault::internal(format!("metrics: {e}")))
}

fn build<R>(before: impl FnOnce(PrometheusRecorder) -> R) -> Result<Exporter, String>
where
    R: ::metrics::Recorder + Sync + 'static,
{
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .map_err(|e| e.to_string())?
        .build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(before(recorder)).map_err(|e| e.to_string())?;
    describe();
    ::metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let upkeep = handle.clone();
    std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .map_err(|e| e.to_string())?;
    Ok(Exporter(handle))
}

fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => ::metrics::describe_histogram!(metric.name, ::metrics::Unit::Seconds, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are promises: removing one breaks somebody's dashboard.
    const NAMES: &str = "\
visor_build_info
visor_frames_captured_total
visor_frames_analysed_total
visor_frames_dropped_total
visor_frame_age_seconds
visor_stage_seconds
visor_tracks_active
visor_identities_total
visor_camera_up
visor_camera_restarts_total
visor_events_published_total
visor_events_lost_total
visor_mask_frames_total
visor_mask_covered_total
visor_mask_hold_seconds
visor_mask_audits_total
visor_mask_audit_faces_total
visor_mask_unproven_frames_total
visor_restream_clients
visor_restream_interruptions_total
visor_restream_push_up
visor_restream_restarts_total
visor_preview_clients
visor_preview_seconds
visor_snapshots_published_total
visor_snapshots_dropped_total
visor_mqtt_connected
visor_provider_info
visor_config_reloads_total
visor_embeddings_total
visor_gallery_faces
visor_gallery_search_seconds
visor_http_requests_total
visor_http_request_seconds
visor_http_refused_total
visor_http_streams
visor_webhook_deliveries_total
";

    #[test]
    fn names_are_as_promised() {
        let names: String = ALL.iter().map(|m| format!("{}\n", m.name)).collect();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn names_end_as_their_kind_demands() {
        for metric in ALL {
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Histogram, metric.name.ends_with("_seconds"), "{}", metric.name);
            assert!(metric.name.starts_with("visor_"), "{}", metric.name);
        }
    }

    #[test]
    fn durations_are_real_histograms() {
        let exporter = install().unwrap();
        ::metrics::histogram!(STAGE_SECONDS, "camera" => "front", "stage" => "detect").record(0.012);
        let page = exporter.render();
        assert!(page.contains("# TYPE visor_stage_seconds histogram"), "{page}");
        assert!(page.contains("visor_stage_seconds_bucket{camera=\"front\",stage=\"detect\",le=\"0.015\"}"), "{page}");
        assert!(page.contains("# HELP visor_stage_seconds time spent in a stage"), "{page}");
        assert!(page.contains("visor_build_info{version="), "{page}");
    }
}
