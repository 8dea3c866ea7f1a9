//! Masked video pushed to a media server by RTSP RECORD.
#![cfg(feature = "media")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{
    RTSPAuth, RTSPMediaFactory, RTSPMountPoints, RTSPServer, RTSPToken, RTSPTransportMode, gst_rtsp,
};
use visor::sink::restream::CameraConfig;
use visor::source::Uri;

use super::support::broker::free_port;
use super::support::player::{mount, open_to_all, play, serve};
use super::support::wait::eventually;

/// A media server that takes video at `/live` from the user `pusher` alone.
struct MediaServer {
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
    /// Packets that came.
    packets: Arc<AtomicU64>,
}

impl MediaServer {
    fn start(port: u16) -> Self {
        gstreamer::init().unwrap();
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let packets = Arc::new(AtomicU64::default());
        let server = RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&port.to_string());
        let auth = RTSPAuth::new();
        auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
        auth.add_digest("pusher", "open sesame", &RTSPToken::builder().field("media.factory.role", "any").build());
        server.set_auth(Some(&auth));
        let points = RTSPMountPoints::new();
        points.add_factory("/live", recorder(&packets));
        server.set_mount_points(Some(&points));
        let running = main_loop.clone();
        let thread = std::thread::spawn(move || {
            let _source = server.attach(Some(&context)).unwrap();
            running.run();
        });
        Self { main_loop, thread: Some(thread), packets }
    }

    fn wait_for_video(&self) {
        let before = self.packets.load(Ordering::Acquire);
        eventually("video at the media server", || {
            (self.packets.load(Ordering::Acquire) > before + 20).then_some(())
        });
    }
}

impl Drop for MediaServer {
    fn drop(&mut self) {
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes H.264 and counts its packets.
fn recorder(packets: &Arc<AtomicU64>) -> RTSPMediaFactory {
    let factory = RTSPMediaFactory::new();
    factory.set_launch("( rtph264depay name=depay0 ! fakesink name=taken sync=false )");
    factory.set_transport_mode(RTSPTransportMode::RECORD);
    factory.add_role_from_structure(
        &gstreamer::Structure::builder("any")
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build(),
    );
    let packets = Arc::clone(packets);
    factory.connect_media_configure(move |_, media| {
        let bin = media.element().downcast::<gstreamer::Bin>().unwrap();
        let pad = bin.by_name("taken").unwrap().static_pad("sink").unwrap();
        let packets = Arc::clone(&packets);
        let kinds = gstreamer::PadProbeType::BUFFER | gstreamer::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, _| {
            packets.fetch_add(1, Ordering::AcqRel);
            gstreamer::PadProbeReturn::Ok
        });
    });
    factory
}

#[test]
fn video_is_pushed_to_a_media_server_that_comes_late_and_goes() {
    let port = free_port();
    let restream = serve(&open_to_all());
    let push = format!("rtsp://pusher:open%20sesame@127.0.0.1:{port}/live");
    let config = CameraConfig { push: Some(Uri::from(push.as_str())), ..CameraConfig::default() };
    let (_film, url) = mount(&restream, "pushed", &config);
    // it is not there yet, which players do not notice
    play(&url, "tcp", 10);
    let server = MediaServer::start(port);
    server.wait_for_video();
    play(&url, "tcp", 10);
    drop(server);
    let server = MediaServer::start(port);
    server.wait_for_video();
}
