//! Logs: readable on a terminal, JSON elsewhere, journald where systemd listens. Passwords enter none of them.

use std::io::{self, IsTerminal, Write};
use std::os::linux::fs::MetadataExt;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::fault::{Fault, FaultKind};

/// What stands for a credential in a log, an event or an error.
const HIDDEN: &str = "***";

/// Names whose values are credentials, as `name=value`.
const SECRET_NAMES: [&str; 7] = ["password", "passwd", "passphrase", "pass", "pwd", "token", "secret"];

/// Names whose values are credentials in an address' query, and harmless elsewhere.
const SECRET_IN_QUERY: [&str; 4] = ["key", "apikey", "auth", "sig"];

/// Libraries that would log the addresses which they ask for others.
const QUIET: [&str; 2] = ["ureq=off", "ureq_proto=off"];

/// Where log lines go and how they look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Terminal,
    Json,
    Journald,
}

/// Sets the process' log up, once: `filter` (as in `RUST_LOG`: `info`, `visor=debug,warn`) goes before `RUST_LOG`, and
/// `default` holds where neither is given.
///
/// # Errors
/// A filter that does not parse; a second call.
pub fn init(filter: Option<&str>, default: &str) -> Result<(), Fault> {
    let (text, origin) = match (filter, std::env::var("RUST_LOG")) {
        (Some(given), _) => (given.to_owned(), "--log"),
        (None, Ok(set)) if !set.is_empty() => (set, "RUST_LOG"),
        _ => (default.to_owned(), "default"),
    };
    let filter = EnvFilter::try_new(&text).map_err(|e| {
        Fault::new(FaultKind::Usage, format!("log filter \"{text}\" of {origin}: {e}"))
            .remedy("use a level such as info or debug, or a list such as visor=debug,warn")
    })?;
    let filter = QUIET.iter().filter_map(|rule| rule.parse().ok()).fold(filter, EnvFilter::add_directive);
    tracing_subscriber::registry()
        .with(layer(form()))
        .with(filter)
        .try_init()
        .map_err(|e| Fault::internal(e.to_string()))
}

fn form() -> Form {
    if stderr_is_journal() {
        Form::Journald
    } else if io::stderr().is_terminal() {
        Form::Terminal
    } else {
        Form::Json
    }
}

/// systemd names device and inode of the journal's socket: the variable alone may be inherited by a redirected child.
fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stderr| named == format!("{}:{}", stderr.st_dev(), stderr.st_ino()))
}

fn layer(form: Form) -> Box<dyn Layer<Registry> + Send + Sync> {
    match form {
        Form::Journald => match tracing_journald::layer() {
            Ok(journal) => {
                let journal = journal.with_syslog_identifier("visor".to_owned()).with_filter(WithSecret(false));
                let text =
                    tracing_subscriber::fmt::layer().compact().with_ansi(false).without_time().with_writer(stderr);
                journal.and_then(text.with_filter(WithSecret(true))).boxed()
            }
            Err(_) => layer(Form::Json),
        },
        Form::Terminal => {
            let colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            tracing_subscriber::fmt::layer().compact().with_ansi(colour).with_target(false).with_writer(stderr).boxed()
        }
        Form::Json => tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
    }
}

fn stderr() -> Redacting<io::Stderr> {
    Redacting(io::stderr())
}

/// The last guard: whatever reaches the log goes through [`redact`]. The formatter writes a whole line at once.
struct Redacting<W>(W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(redact(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The same text with the credentials of every address in it hidden: `rtsp://user:word@host` becomes
/// `rtsp://***@host`, `?password=word` becomes `?password=***`. Errs towards hiding too much.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, address) = rest.split_at(start + 3);
        out.push_str(before);
        let end =
            address.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>')).unwrap_or(address.len());
        let (address, after) = address.split_at(end);
        match user_info(address) {
            Some(at) => {
                out.push_str(HIDDEN);
                out.push_str(&address[at..]);
            }
            None => out.push_str(address),
        }
        rest = after;
    }
    out.push_str(rest);
    hide_named(&out)
}

/// Where the `@` after user and password stands. People paste passwords with `@`, `/`, `?` and `#` unescaped, so the
/// last `@` counts, unless what is before the first `/` is a host without even a port.
fn user_info(address: &str) -> Option<usize> {
    let last = address.rfind('@')?;
    let authority = &address[..address.find(['/', '?', '#']).unwrap_or(address.len())];
    let plain_host = !authority.contains(['@', ':']) || authority.starts_with('[');
    (!plain_host).then_some(last)
}

fn hide_named(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let (name, value) = rest.split_at(equals + 1);
        out.push_str(name);
        rest = value;
        if is_secret_name(&name[..equals]) {
            let ends = |c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\'' | '<' | '>' | ')');
            out.push_str(HIDDEN);
            rest = &value[value.find(ends).unwrap_or(value.len())..];
        }
    }
    out.push_str(rest);
    out
}

fn is_secret_name(before_equals: &str) -> bool {
    let before = before_equals.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
    let name = before_equals[before.len()..].to_ascii_lowercase();
    let in_query = before.ends_with(['?', '&']);
    SECRET_NAMES.contains(&name.as_str()) || in_query && SECRET_IN_QUERY.contains(&name.as_str())
}

/// Lets events through to a layer by whether [`redact`] would leave them as they are. journald takes fields as they
/// come; what must be changed goes to the same journal as a line of text.
struct WithSecret(bool);

impl<S> Filter<S> for WithSecret {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut search = Search { found: false };
        event.record(&mut search);
        search.found == self.0
    }
}

struct Search {
    found: bool,
}

impl Visit for Search {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        self.found |= redact(&text) != text;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::warn;

    use super::*;

    #[test]
    fn addresses_lose_their_credentials_and_keep_the_rest() {
        let cases = [
            ("rtsp://admin:hunter2@10.0.0.7:554/s", "rtsp://***@10.0.0.7:554/s"),
            ("rtsp://admin:hun@ter2/x@cam/s?a=1", "rtsp://***@cam/s?a=1"),
            ("rtsp://admin:hunter2/@cam/s", "rtsp://***@cam/s"),
            ("mqtts://user@broker", "mqtts://***@broker"),
            ("rtsp://cam:554/a@b", "rtsp://***@b"),
            ("rtsp://cam/a@b", "rtsp://cam/a@b"),
            ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
            ("http://cam/s?user=a&password=hunter2&x=1", "http://cam/s?user=a&password=***&x=1"),
            ("rtsp://cam/user=admin_password=hunter2", "rtsp://cam/user=admin_password=***"),
            ("no address, a@b", "no address, a@b"),
            ("\"rtsp://a:hunter2@c/1\" and 'rtsp://b:hunter2@d'", "\"rtsp://***@c/1\" and 'rtsp://***@d'"),
            ("frames=3 key=cameras.front fps=25", "frames=3 key=cameras.front fps=25"),
            ("http://cam/?key=hunter2", "http://cam/?key=***"),
            ("höhe€key=3", "höhe€key=3"),
            ("€password=hunter2", "€password=***"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn no_log_line_shows_a_password() {
        let json = |page: Page| tracing_subscriber::fmt::layer().json().with_writer(move || Redacting(page.clone()));
        let shown =
            logged(json, || warn!(uri = "rtsp://admin:hunter2@cam/s", "cannot open rtsp://admin:hunter2@cam/s"));
        assert!(shown.contains("rtsp://***@cam/s"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_event_with_a_password_does_not_reach_the_journal_as_it_is() {
        let raw = |page: Page| {
            tracing_subscriber::fmt::layer().with_writer(move || page.clone()).with_filter(WithSecret(false))
        };
        let shown = logged(raw, || {
            warn!("lost rtsp://admin:hunter2@cam/s");
            warn!(error = %"lost rtsp://admin:hunter2@cam/s", "source lost");
            warn!(uri = "rtsp://cam/s", "source found");
        });
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.contains("source found"), "{shown}");
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a layer writes while `work` logs.
    fn logged<L: Layer<Registry> + Send + Sync>(layer: impl FnOnce(Page) -> L, work: impl FnOnce()) -> String {
        let page = Page::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer(page.clone())), work);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_redacted(text in "\\PC*") {
            redact(&text);
        }

        #[test]
        fn any_password_is_hidden(password in "[^\\s\"'<>]{1,20}") {
            let marked = format!("hunter2{password}");
            let shown = redact(&format!("lost rtsp://admin:{marked}@cam/s again"));
            proptest::prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
