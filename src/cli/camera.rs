//! `visor camera`: a simulated RTSP camera for the demo, the tests and the soak; hidden from help.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use secrecy::SecretString;
use tracing::info;

use super::Outcome;
use crate::fault::{Fault, FaultKind};
use crate::gst;
use crate::restream::child::Announcement;
use crate::restream::clip::{Clip, Codec, PictureSize, Recipe};
use crate::restream::sim::{Access, Mount, Scheme, Server, User};
use crate::restream::{self, sample};
use crate::units::Period;

/// Arguments of `visor camera`.
#[derive(clap::Args, Debug)]
pub struct CameraArgs {
    /// Address and port; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A camera at rtsp://…/PATH showing SOURCE: a media file, or test: or test:PATTERN (videotestsrc's patterns).
    #[arg(long = "mount", value_name = "PATH=SOURCE", value_parser = mount_text)]
    mounts: Vec<(String, String)>,
    /// Send the file's own pictures (copy), or encode them as h264, h265 or mjpeg.
    #[arg(long, default_value = "copy")]
    codec: String,
    /// Picture size where it is encoded.
    #[arg(long, value_name = "WxH", default_value = "1280x720", conflicts_with = "sizes")]
    size: PictureSize,
    /// Picture sizes in turn, each for --every: a change of size in midstream.
    #[arg(long, value_name = "WxH,…", value_delimiter = ',')]
    sizes: Vec<PictureSize>,
    /// How long each of --sizes lasts.
    #[arg(long, default_value = "5s")]
    every: Period,
    /// Pictures a second where they are encoded.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=120))]
    fps: u32,
    /// Thousands of bits a second where they are encoded, instead of an even quality.
    #[arg(long, value_name = "KBIT/S", value_parser = clap::value_parser!(u32).range(50..=100_000))]
    kbps: Option<u32>,
    /// Ask for this user and a password.
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// File whose first line is the password.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,
    /// How the password is asked for.
    #[arg(long, value_enum, default_value = "digest")]
    scheme: Scheme,
    /// Serve over TLS: PEM file with the certificate to show and its key.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Be a child: end when standard input is closed or the parent thread is gone, and write no file.
    #[arg(long)]
    until_eof: bool,
    /// Make the demo's clip out of the photographs in a folder, and serve nothing.
    #[arg(long, num_args = 2, value_names = ["PHOTOS", "OUT"], conflicts_with = "mounts")]
    make_sample: Option<Vec<PathBuf>>,
    /// Encode a clip anew in the size and at the rate asked for, into a file, and serve nothing.
    #[arg(long, num_args = 2, value_names = ["CLIP", "OUT"], conflicts_with = "mounts")]
    transcode: Option<Vec<PathBuf>>,
    /// With --transcode: so many pictures from the clip's beginning.
    #[arg(long, value_name = "N", requires = "transcode")]
    pictures: Option<u32>,
}

fn mount_text(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, source)) if !path.is_empty() && !source.is_empty() => Ok((path.into(), source.into())),
        _ => Err("not of the form PATH=SOURCE".into()),
    }
}

/// Runs the command.
pub fn run(args: &CameraArgs) -> Outcome {
    if args.until_eof {
        // Where the kernel has no Landlock the capture children say so.
        let _ = gst::confine(gst::Memory::OUTPUT)?;
    }
    restream::ready()?;
    if let Some([photos, out]) = args.make_sample.as_deref() {
        sample::make(photos, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some([clip, out]) = args.transcode.as_deref() {
        sample::transcode(&clip.to_string_lossy(), &recipe("h264", args)?, args.pictures, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.mounts.is_empty() {
        return Err(Fault::new(FaultKind::Usage, "no camera to serve").remedy("give --mount PATH=SOURCE"));
    }
    let server = Server::bind(args.listen, &load(args)?, &Access { user: user(args)?, tls: args.tls.clone() })?;
    announce(&server, args)?;
    let (quit, quitting) = crossbeam_channel::bounded::<()>(0);
    if args.until_eof {
        let lifeline = std::thread::Builder::new().name("camera-lifeline".into());
        let watch = move || {
            let _ = std::io::stdin().read(&mut [0]);
            drop(quit);
        };
        lifeline.spawn(watch).map_err(|e| Fault::internal(format!("no thread: {e}")))?;
        server.run(quitting);
    } else {
        server.run(quitting);
        drop(quit);
    }
    Ok(ExitCode::SUCCESS)
}

/// Every source once, however many mounts show it.
fn load(args: &CameraArgs) -> Result<Vec<Mount>, Fault> {
    let mut clips = BTreeMap::<&str, Arc<Clip>>::new();
    let mut mounts = Vec::new();
    for (path, source) in &args.mounts {
        let clip = match clips.get(source.as_str()) {
            Some(clip) => Arc::clone(clip),
            None => Arc::new(load_clip(source, args)?),
        };
        clips.insert(source, Arc::clone(&clip));
        mounts.push(Mount { path: path.clone(), clip });
    }
    Ok(mounts)
}

fn load_clip(source: &str, args: &CameraArgs) -> Result<Clip, Fault> {
    let began = Instant::now();
    let clip = match args.codec.as_str() {
        "copy" if !source.starts_with("test:") => Clip::copy(source)?,
        codec => Clip::encode(source, &recipe(codec, args)?)?,
    };
    info!(
        source,
        seconds = clip.length().as_secs_f64(),
        bytes = clip.bytes(),
        encoded_in_ms = began.elapsed().as_millis() as u64,
        "clip loaded"
    );
    Ok(clip)
}

fn recipe(codec: &str, args: &CameraArgs) -> Result<Recipe, Fault> {
    // A pattern has no pictures of its own to copy.
    let codec = if codec == "copy" { "h264" } else { codec };
    let codec: Codec = codec.parse().map_err(|e| Fault::new(FaultKind::Usage, format!("--codec: {e}")))?;
    let sizes = if args.sizes.is_empty() { vec![args.size] } else { args.sizes.clone() };
    Ok(Recipe { codec, sizes, fps: args.fps, kbps: args.kbps, every: args.every.0 })
}

fn user(args: &CameraArgs) -> Result<Option<User>, Fault> {
    let (Some(name), Some(file)) = (&args.user, &args.password_file) else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .map_err(|e| Fault::unavailable(format!("cannot read the password file {}: {e}", file.display())))?;
    let password = SecretString::from(text.lines().next().unwrap_or_default().to_owned());
    Ok(Some(User { name: name.clone(), password, scheme: args.scheme }))
}

fn announce(server: &Server, args: &CameraArgs) -> Result<(), Fault> {
    let listen = server.listen().to_string();
    let scheme = if args.tls.is_some() { "rtsps" } else { "rtsp" };
    let urls = args.mounts.iter().map(|(path, _)| (path.clone(), format!("{scheme}://{listen}/{path}"))).collect();
    let line = serde_json::to_string(&Announcement { listen, urls }).map_err(|e| Fault::internal(e.to_string()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| Fault::internal(format!("cannot print: {e}")))
}
