//! A headless Chromium that looks at the console as a user does, by way of its driver.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
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
    // colours are judged at once after the theme changes
    "--force-prefers-reduced-motion",
];

/// A browser of its own, with an empty profile; gone when dropped.
pub struct Browser {
    agent: ureq::Agent,
    /// Where the driver takes commands for this browser (WebDriver, W3C).
    session: String,
    driver: Child,
    origin: String,
    /// Everything that pages have asked for so far.
    asked: RefCell<Vec<String>>,
    _profile: TempDir,
}

/// An element of the page, as the driver knows it.
pub struct Element(String);

/// The key of an element in what the driver says.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

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
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build(),
        );
        let session = format!("http://127.0.0.1:{}/session", port.expect("the driver says its port"));
        let origin = format!("http://{}", eventually("an address for http", || daemon.address()));
        let asked = RefCell::default();
        let mut browser = Self { agent, session, driver, origin, asked, _profile: profile };
        let opened =
            browser.ask("", &json!({ "capabilities": { "alwaysMatch": capabilities(&browser._profile, size) } }));
        let id = opened.expect("a browser")["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("{}/{id}", browser.session);
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
        self.ask("/url", &json!({ "url": format!("{}/{hash}", self.origin) })).unwrap();
    }

    /// Does something while nobody sees the page: its window is put away meanwhile.
    pub fn while_hidden<T>(&self, work: impl FnOnce() -> T) -> T {
        let window = self.command("Browser.getWindowForTarget", &json!({}))["windowId"].clone();
        let put = |state: &str, visibility: &str| {
            let bounds = json!({ "windowId": window, "bounds": { "windowState": state } });
            self.command("Browser.setWindowBounds", &bounds);
            eventually(&format!("the page to be {visibility}"), || {
                (self.run("return document.visibilityState", vec![]) == visibility).then_some(())
            });
        };
        put("minimized", "hidden");
        let done = work();
        put("normal", "visible");
        done
    }

    /// Runs a script in the page: the body of a function whose arguments are `arguments`.
    pub fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.ask("/execute/sync", &json!({ "script": script, "args": arguments })).unwrap()
    }

    /// The element, once it is there and to be seen.
    pub fn find(&self, css: &str) -> Element {
        eventually(&format!("{css} on the page"), || {
            let found = self.element("css selector", css)?;
            (self.get(&format!("/element/{}/displayed", found.0)).ok()? == json!(true)).then_some(found)
        })
    }

    fn element(&self, using: &str, value: &str) -> Option<Element> {
        let found = self.ask("/element", &json!({ "using": using, "value": value })).ok()?;
        Some(Element(found[ELEMENT].as_str()?.to_owned()))
    }

    /// Whether there is such an element at this moment.
    pub fn has(&self, css: &str) -> bool {
        self.element("css selector", css).is_some()
    }

    /// Waits until the element's text holds this.
    pub fn wait_for_text(&self, css: &str, text: &str) {
        eventually(&format!("{text:?} in {css}"), || self.text(css)?.contains(text).then_some(()));
    }

    /// The visible text of an element at this moment.
    pub fn text(&self, css: &str) -> Option<String> {
        let found = self.element("css selector", css)?;
        Some(self.get(&format!("/element/{}/text", found.0)).ok()?.as_str()?.to_owned())
    }

    /// Clicks at an element; tried again where something lies over it for the moment.
    pub fn click(&self, css: &str) {
        eventually(&format!("a click at {css}"), || self.click_at(&self.element("css selector", css)?));
    }

    /// Clicks at the button or link with this text.
    pub fn press(&self, text: &str) {
        let path = format!("//*[self::button or self::a or self::summary][contains(normalize-space(.), '{text}')]");
        eventually(&format!("a click at {text:?}"), || self.click_at(&self.element("xpath", &path)?));
    }

    fn click_at(&self, element: &Element) -> Option<()> {
        self.ask(&format!("/element/{}/click", element.0), &json!({})).ok().map(drop)
    }

    /// Puts text into a field, in the place of what is there.
    pub fn fill(&self, css: &str, text: &str) {
        let field = self.find(css);
        let _ = self.ask(&format!("/element/{}/clear", field.0), &json!({}));
        self.type_into(&field, text);
    }

    /// Gives a file to an upload's field, which need not be visible.
    pub fn upload(&self, css: &str, file: &Path) {
        let field = eventually(css, || self.element("css selector", css));
        self.type_into(&field, file.to_str().unwrap());
    }

    fn type_into(&self, field: &Element, text: &str) {
        self.ask(&format!("/element/{}/value", field.0), &json!({ "text": text })).unwrap();
    }

    /// A picture of the page (PNG); kept where `VISOR_SCREENSHOTS` names a folder.
    pub fn screenshot(&self, name: &str) -> Vec<u8> {
        let png = self.get("/screenshot").unwrap();
        let png = base64::engine::general_purpose::STANDARD.decode(png.as_str().unwrap()).unwrap();
        if let Some(folder) = std::env::var_os("VISOR_SCREENSHOTS") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(Path::new(&folder).join(format!("{name}.png")), &png).unwrap();
        }
        png
    }

    /// A command of the browser's own protocol.
    pub fn command(&self, name: &str, parameters: &Value) -> Value {
        let command = json!({ "cmd": name, "params": parameters });
        self.ask("/goog/cdp/execute", &command).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Everything that the browser has logged under `kind` since it was asked last.
    pub fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.ask("/se/log", &json!({ "type": kind })).unwrap();
        entries.as_array().cloned().unwrap_or_default()
    }

    /// The addresses that pages have asked for so far.
    pub fn requests(&self) -> Vec<String> {
        let asked = self.log("performance").into_iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let request = message["method"] == "Network.requestWillBeSent";
            request.then(|| message["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
        });
        self.asked.borrow_mut().extend(asked);
        self.asked.borrow().clone()
    }

    /// No script has failed, and nobody but the daemon was asked. `expected` are words of errors that belong to the test, such
    /// as an answer 401.
    pub fn assert_quiet(&self, expected: &[&str]) {
        let of_test = |entry: &Value| expected.iter().any(|words| entry.to_string().contains(words));
        let errors: Vec<_> =
            self.log("browser").into_iter().filter(|e| e["level"] == "SEVERE" && !of_test(e)).collect();
        assert!(errors.is_empty(), "the browser's console: {errors:#?}");
        let here = |url: &String| {
            let url = url.trim_start_matches("blob:");
            url.starts_with(&self.origin) || ["data:", "about:", "chrome:"].iter().any(|scheme| url.starts_with(scheme))
        };
        let elsewhere: Vec<_> = self.requests().into_iter().filter(|url| !here(url)).collect();
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
            let found = self.ask("/execute/async", &json!({ "script": run, "args": [] })).unwrap();
            assert_eq!(found, json!([]), "accessibility, dark: {dark}: {found:#}");
        }
    }

    fn ask(&self, command: &str, parameters: &Value) -> Result<Value, Value> {
        let address = format!("{}{command}", self.session);
        let answer = self.agent.post(&address).content_type("application/json").send(parameters.to_string());
        value(answer)
    }

    fn get(&self, command: &str) -> Result<Value, Value> {
        value(self.agent.get(&format!("{}{command}", self.session)).call())
    }
}

/// What the driver answers; what is no good says so with a field `error`.
fn value(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Value> {
    let mut answer = answer.map_err(|error| json!(error.to_string()))?;
    let text =
        answer.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|error| json!(error.to_string()))?;
    let said: Value = serde_json::from_str(&text).map_err(|error| json!(error.to_string()))?;
    if answer.status().is_success() { Ok(said["value"].clone()) } else { Err(said["value"].clone()) }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the page: {:?}", self.text("body"));
        }
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(profile: &TempDir, (width, height): (u32, u32)) -> Value {
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("--window-size={width},{height}"));
    flags.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
    flags.push("about:blank".to_owned());
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": { "args": flags, "binary": "/usr/bin/chromium" },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        "timeouts": { "script": 15_000 },
    })
}
