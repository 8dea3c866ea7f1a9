//! A headless Chromium that looks at the console as a user does, by way of its driver.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::daemon::{Daemon, checkout};
use super::wait::{PATIENCE, eventually};

/// The two sizes at which everything is looked at.
pub const DESKTOP: (u32, u32) = (1280, 800);
pub const PHONE: (u32, u32) = (390, 844);

/// What keeps the browser from asking anybody but the daemon, and from needing more than a container has.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-color-profile=srgb",
    "--lang=en-GB",
];

/// A browser of its own, with an empty profile; gone when dropped.
pub struct Browser {
    runtime: tokio::runtime::Runtime,
    client: Client,
    driver: Child,
    origin: String,
    _profile: TempDir,
}

impl Browser {
    /// Opens one in this size; `None`, aloud, where Chromium or its driver is missing.
    pub fn open(daemon: &Daemon, size: (u32, u32)) -> Option<Self> {
        let tools = ["chromium", "chromedriver"].map(|tool| Path::new("/usr/bin").join(tool));
        if let Some(missing) = tools.iter().find(|tool| !tool.is_file()) {
            eprintln!("skipped: {} is missing (apt install chromium chromium-driver)", missing.display());
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(&tools[1])
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            said.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok());
        // what it says later is not to fill its pipe
        std::thread::spawn(move || said.for_each(drop));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = format!("http://127.0.0.1:{}", port.expect("the driver says its port"));
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let builder = builder.capabilities(capabilities(&profile, size));
        let client = runtime.block_on(builder.connect(&address)).expect("a browser");
        let origin = format!("http://{}", eventually("an address for http", || daemon.address()));
        let browser = Self { runtime, client, driver, origin, _profile: profile };
        browser.resize(size);
        Some(browser)
    }

    /// The page inside the window has this size, whatever the window's frame takes.
    pub fn resize(&self, (width, height): (u32, u32)) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Dark or light, as the system would ask for.
    pub fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.command("Emulation.setEmulatedMedia", &features);
    }

    /// Goes to an address of the console, such as `#/events`.
    pub fn go(&self, hash: &str) {
        self.block(self.client.goto(&format!("{}/{hash}", self.origin))).unwrap();
    }

    /// Runs a script in the page: the body of a function whose arguments are `arguments`.
    pub fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.block(self.client.execute(script, arguments)).unwrap()
    }

    /// The element, once it is there and to be seen.
    pub fn find(&self, css: &str) -> Element {
        eventually(&format!("{css} on the page"), || {
            let found = self.block(self.client.find(Locator::Css(css))).ok()?;
            self.block(found.is_displayed()).ok()?.then_some(found)
        })
    }

    /// Whether there is such an element at this moment.
    pub fn has(&self, css: &str) -> bool {
        self.block(self.client.find(Locator::Css(css))).is_ok()
    }

    /// Waits until the element's text holds this.
    pub fn wait_for_text(&self, css: &str, text: &str) {
        eventually(&format!("{text:?} in {css}"), || self.text(css)?.contains(text).then_some(()));
    }

    /// The visible text of an element at this moment.
    pub fn text(&self, css: &str) -> Option<String> {
        let found = self.block(self.client.find(Locator::Css(css))).ok()?;
        self.block(found.text()).ok()
    }

    /// Clicks at an element; tried again where something lies over it for the moment.
    pub fn click(&self, css: &str) {
        eventually(&format!("a click at {css}"), || {
            let found = self.block(self.client.find(Locator::Css(css))).ok()?;
            self.block(found.click()).ok()
        });
    }

    /// Clicks at the button or link with this text.
    pub fn press(&self, text: &str) {
        let path = format!("//*[self::button or self::a or self::summary][contains(normalize-space(.), '{text}')]");
        eventually(&format!("a click at {text:?}"), || {
            let found = self.block(self.client.find(Locator::XPath(&path))).ok()?;
            self.block(found.click()).ok()
        });
    }

    /// Puts text into a field, in the place of what is there.
    pub fn fill(&self, css: &str, text: &str) {
        let field = self.find(css);
        let _ = self.block(field.clear());
        self.block(field.send_keys(text)).unwrap();
    }

    /// Gives a file to an upload's field, which need not be visible.
    pub fn upload(&self, css: &str, file: &Path) {
        let field = eventually(css, || self.block(self.client.find(Locator::Css(css))).ok());
        self.block(field.send_keys(file.to_str().unwrap())).unwrap();
    }

    /// A picture of the page (PNG); kept where `VISOR_SCREENSHOTS` names a folder.
    pub fn screenshot(&self, name: &str) -> Vec<u8> {
        let png = self.block(self.client.screenshot()).unwrap();
        if let Some(folder) = std::env::var_os("VISOR_SCREENSHOTS") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(Path::new(&folder).join(format!("{name}.png")), &png).unwrap();
        }
        png
    }

    /// A command of the browser's own protocol.
    pub fn command(&self, name: &str, parameters: &Value) -> Value {
        let command = DevTools(json!({ "cmd": name, "params": parameters }));
        self.block(self.client.issue_cmd(command)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Everything that the browser has logged under `kind` since it was asked last.
    pub fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.block(self.client.issue_cmd(Log(json!({ "type": kind })))).unwrap();
        entries.as_array().cloned().unwrap_or_default()
    }

    /// No script has failed, and nobody but the daemon was asked. `expected` are words of errors that belong to the test, such
    /// as an answer 401.
    pub fn assert_quiet(&self, expected: &[&str]) {
        let of_test = |entry: &Value| expected.iter().any(|words| entry.to_string().contains(words));
        let errors: Vec<_> =
            self.log("browser").into_iter().filter(|e| e["level"] == "SEVERE" && !of_test(e)).collect();
        assert!(errors.is_empty(), "the browser's console: {errors:#?}");
        let asked = self.log("performance").into_iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let request = message["method"] == "Network.requestWillBeSent";
            request.then(|| message["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
        });
        let here = |url: &String| {
            let url = url.trim_start_matches("blob:");
            url.starts_with(&self.origin) || ["data:", "about:", "chrome:"].iter().any(|scheme| url.starts_with(scheme))
        };
        let elsewhere: Vec<_> = asked.filter(|url| !here(url)).collect();
        assert!(elsewhere.is_empty(), "asked elsewhere: {elsewhere:?}");
    }

    /// What axe-core finds wrong for those who cannot see or point, in light and dark; nothing, aloud, where it is missing.
    pub fn assert_accessible(&self) {
        let file = checkout(".cache/tools/axe-core/axe.min.js");
        let Ok(axe) = std::fs::read_to_string(&file) else {
            return eprintln!("skipped: {} is missing (scripts/setup axe fetches it)", file.display());
        };
        for dark in [false, true] {
            self.dark(dark);
            // the policy of trusted types keeps scripts from being put into the page; the driver's own are not
            self.run(&format!("{axe}; window.axe = axe;"), vec![]);
            let run = "const done = arguments[arguments.length - 1]; axe.run({ resultTypes: ['violations'] })\
                       .then((found) => done(found.violations.map((v) => [v.id, v.help, v.nodes.map((n) => [n.html, n.failureSummary])])))\
                       .catch((e) => done([String(e)]));";
            let found = self.block(self.client.execute_async(run, vec![])).unwrap();
            assert_eq!(found, json!([]), "accessibility, dark: {dark}: {found:#}");
        }
    }

    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("the browser answers") })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the page: {:?}", self.text("body"));
        }
        let client = self.client.clone();
        let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), client.close()).await });
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(profile: &TempDir, (width, height): (u32, u32)) -> Capabilities {
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("--window-size={width},{height}"));
    flags.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
    flags.push("about:blank".to_owned());
    let wanted = json!({
        "browserName": "chrome",
        "goog:chromeOptions": { "args": flags, "binary": "/usr/bin/chromium" },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        "timeouts": { "script": 20_000 },
    });
    wanted.as_object().unwrap().clone()
}

/// A command of Chromium's protocol, through the driver.
#[derive(Debug)]
struct DevTools(Value);

/// What was logged.
#[derive(Debug)]
struct Log(Value);

macro_rules! extension {
    ($name:ty, $path:literal) => {
        impl WebDriverCompatibleCommand for $name {
            fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
                base.join(&format!("session/{}/{}", session.unwrap_or_default(), $path))
            }

            fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
                (http::Method::POST, Some(self.0.to_string()))
            }
        }
    };
}

extension!(DevTools, "goog/cdp/execute");
extension!(Log, "se/log");
