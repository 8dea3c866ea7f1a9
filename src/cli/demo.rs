//! `visor demo`: a complete system on this machine with nothing configured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::daemon::{Daemon, Origin};
use super::{Outcome, SAMPLE};
use crate::config::{self, Resolved, Written};
use crate::fault::{Fault, Problem};
use crate::infer::manifest::Manifest;
use crate::infer::{self, InputSize, store};
use crate::restream::child::SimulatedCamera;
use crate::restream::sample;
use crate::sink::log::LineSink;
use crate::telemetry;

mod broker;
mod summary;

use broker::Broker;
use summary::{Listener, Summary};

/// The one camera's id.
const CAMERA: &str = "demo";

/// Arguments of `visor demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// End by itself after this many seconds; without it, Ctrl-C ends it.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// A camera or file of your own instead of the sample: rtsp://…, v4l2:///dev/video0, /path/to/clip.mp4.
    #[arg(long, value_name = "URI")]
    source: Option<String>,
    /// The sample clip to be served as if by a camera.
    #[arg(long, value_name = "FILE", default_value = SAMPLE, conflicts_with = "source")]
    sample: PathBuf,
    /// Print the summary as JSON, and nothing else on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &DemoArgs) -> Outcome {
    let models = Models::of(config::models(None).map_err(|problems| wrong("environment", &problems))?)?;
    let say = |line: &str| if args.json { eprintln!("{line}") } else { println!("{line}") };
    models.introduce(&say);
    let embedder = models.resolved.embedder.as_ref();
    let broker = Broker::find_or_start()?;
    say(&format!("broker    {} at {}", broker.origin(), broker.url()));
    say(&format!("          watch it: mosquitto_sub -p {} -v -t 'visor/#'", broker.port()));
    let (camera, uri) = camera(args, &say)?;
    let people = args.source.is_none().then(|| sample::gallery(&args.sample)).filter(|people| people.is_dir());
    if let Some(known) = people.as_deref().zip(embedder).and_then(|(people, _)| names(people)) {
        say(&format!("known     {known}, from {}", people.as_deref().unwrap_or(Path::new("")).display()));
    }
    let (settings, written) = settings(&uri, &models.written, people.as_deref(), &broker)?;

    let listener = Arc::new(Listener::default());
    let began = Instant::now();
    let mut daemon = Daemon::start(settings, Origin { written, file: None }, |hub| {
        hub.attach(Arc::<Listener>::clone(&listener));
        if !args.json {
            hub.attach(Arc::new(LineSink::to(std::io::stdout())?));
        }
        Ok(())
    })?;
    let address = daemon.http_address();
    say(&format!("console   http://{address}/, with what all cameras show, events and people"));
    say(&format!("health    http://{address}/readyz and /metrics"));
    say(&format!("running   {}\n", how_long(args.seconds)));
    let mut summary =
        Summary::new(began, &models.resolved.detector.name, embedder.map(|embedder| embedder.name.clone()));
    let mut video = None;
    let end = daemon.serve(|supervisor| {
        if video.is_none() {
            video = supervisor.video_address();
            video.iter().for_each(|address| introduce_video(*address, &say));
        }
        summary.look(supervisor);
        supervisor.all_ended() || args.seconds.is_some_and(|s| began.elapsed() >= Duration::from_secs(s))
    });
    summary.finish_running();
    let code = daemon.shut_down(end);
    summary.take_processor_time();
    drop((camera, broker));
    let report = summary.report(&listener);
    match args.json {
        true => println!("{}", serde_json::to_string(&report).map_err(|e| Fault::internal(e.to_string()))?),
        false => println!("\n{report}"),
    }
    match &args.source {
        Some(source) if report.saw_nothing() => {
            Err(Fault::unavailable(format!("not a picture came from {}", telemetry::redact(source)))
                .remedy("see above why; try it with visor track"))
        }
        _ => Ok(code),
    }
}

/// The models that are there, where the environment names none.
struct Models {
    /// As the table `[models]`.
    written: String,
    resolved: Resolved,
    /// In the place of the default, which is not there.
    fallback: bool,
    /// Nobody chose the embedder.
    any_embedder: bool,
}

impl Models {
    fn of(mut models: infer::Config) -> Result<Self, Fault> {
        let any_detector = models.detector == store::DEFAULT_DETECTOR && models.input.is_none();
        if any_detector {
            let (detector, input) = store::best_detector(&models.folder())?;
            (models.detector, models.input) = (detector.name, Some(InputSize(input)));
        }
        let fallback = any_detector && models.detector != store::DEFAULT_DETECTOR;
        let table = toml::to_string(&models).map_err(|e| Fault::internal(format!("the models' settings: {e}")))?;
        let written = format!("[models]\n{table}");
        // nobody has seen that text
        let placeless = |problem: Problem| Problem { origin: String::new(), ..problem };
        let of_environment = |problems: Vec<Problem>| problems.into_iter().map(placeless).collect::<Vec<_>>();
        let resolved = Written::of(written.clone()).resolve();
        let resolved = resolved.map_err(|problems| wrong("environment", &of_environment(problems)))?;
        Ok(Self { written, resolved, fallback, any_embedder: models.embedder.is_none() })
    }

    fn introduce(&self, say: &impl Fn(&str)) {
        let Resolved { detector, input, embedder, .. } = &self.resolved;
        say(&format!("detector  {} at {}x{} ({})", detector.name, input.width, input.height, detector.licence));
        if self.fallback {
            say(&format!(
                "          NOTE: the default, {}, could not be had; {} takes ten times as long and finds fewer small faces.",
                store::DEFAULT_DETECTOR,
                detector.name
            ));
            say(
                "          Up to 10 frames a second are analysed, or as many as this machine carries; the summary says how many.",
            );
        }
        introduce_embedder(embedder.as_ref(), self.any_embedder, say);
    }
}

fn introduce_embedder(embedder: Option<&Manifest>, any: bool, say: &impl Fn(&str)) {
    let default = store::DEFAULT_EMBEDDER;
    match embedder {
        Some(embedder) => {
            say(&format!("embedder  {} ({})", embedder.name, embedder.licence));
            if any && embedder.name != default {
                say(&format!(
                    "          NOTE: the default, {default}, could not be had; small faces are told apart less well."
                ));
            }
        }
        None if any => say("embedder  none is there: nobody will be recognised; fetch one: visor models pull"),
        None => say("embedder  none: nobody will be recognised"),
    }
}

fn introduce_video(address: SocketAddr, say: &impl Fn(&str)) {
    let url = format!("rtsp://{address}/{CAMERA}");
    say(&format!("video     {url}, with the faces masked"));
    say(&format!("          play it: ffplay -rtsp_transport tcp {url}"));
}

/// The names of the people in a gallery's folder.
fn names(people: &Path) -> Option<String> {
    let folders = people.read_dir().ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> = folders.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The simulated camera, if one is needed, and the address of what is to be watched.
fn camera(args: &DemoArgs, say: &impl Fn(&str)) -> Result<(Option<SimulatedCamera>, String), Fault> {
    if let Some(source) = &args.source {
        let uri = address(source)?;
        say(&format!("camera    {}", telemetry::redact(&uri)));
        return Ok((None, uri));
    }
    if !args.sample.is_file() {
        let what = format!("there is no sample clip at {}", args.sample.display());
        return Err(Fault::unavailable(what)
            .remedy("run make demo in a checkout, or name a camera or clip of yours with --source"));
    }
    let mount = format!("{CAMERA}={}", args.sample.display());
    let camera = SimulatedCamera::start(Path::new("/proc/self/exe"), &["--mount", &mount])?;
    let uri = camera.url(CAMERA).ok_or_else(|| Fault::internal("the simulated camera has no address"))?.to_owned();
    say(&format!("camera    {uri} (simulated: {})", args.sample.display()));
    Ok((Some(camera), uri))
}

/// A path becomes a `file:` address, or `v4l2:` where it is a device's; everything else is taken as it is.
fn address(source: &str) -> Result<String, Fault> {
    if source.contains(':') && !Path::new(source).exists() {
        return Ok(source.to_owned());
    }
    let path = std::fs::canonicalize(source).map_err(|e| Fault::unavailable(format!("{source}: {e}")))?;
    let url = url::Url::from_file_path(&path).map_err(|()| Fault::internal(format!("{source} has no address")))?;
    let scheme = if path.starts_with("/dev") { "v4l2" } else { "file" };
    Ok(url.as_str().replacen("file", scheme, 1))
}

/// The configuration that the demo stands for, `models` being its first table.
fn settings(uri: &str, models: &str, people: Option<&Path>, broker: &Broker) -> Result<(Resolved, Written), Fault> {
    let text = |value: &str| toml::Value::from(value).to_string();
    let gallery = people.map(|people| format!("[gallery]\nfolder = {}\n", text(&people.to_string_lossy())));
    let written = format!(
        "{models}{}[mqtt]\nurl = {}\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [restream]\nlisten = \"127.0.0.1:0\"\n[cameras.{CAMERA}]\nuri = {}\nrestream.path = \"{CAMERA}\"\n",
        gallery.unwrap_or_default(),
        text(broker.url()),
        text(uri)
    );
    let written = Written::of(written);
    Ok((written.resolve().map_err(|problems| wrong("demo", &problems))?, written))
}

fn wrong(what: &str, problems: &[Problem]) -> Fault {
    config::fault(Path::new(what), problems).from_command_line()
}

fn how_long(seconds: Option<u64>) -> String {
    match seconds {
        Some(n) => format!("for {n} s; Ctrl-C ends it sooner"),
        None => "until Ctrl-C".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_file_or_a_device() {
        assert_eq!(address("/dev/null").unwrap(), "v4l2:///dev/null");
        assert_eq!(address("/proc/version").unwrap(), "file:///proc/version");
        assert_eq!(address("rtsp://camera/1").unwrap(), "rtsp://camera/1");
        assert!(address("/nonexistent/clip.mp4").is_err());
    }
}
