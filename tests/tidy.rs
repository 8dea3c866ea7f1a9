//! The house rules that a machine can hold: caps on size, directions of imports, where a crate may be named.
//!
//! Each rule is a function from sources to findings, and each has a test that plants a violation, so that none of
//! them can be a check that never fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
const PARAMETERS: usize = 5;
const AIMED_FILE_LINES: usize = 180;
const AIMED_FUNCTION_LINES: usize = 12;

/// The modules in the order in which a frame travels, as in `lib.rs`: each may import those before it.
const ORDER: &[&str] = &[
    "geometry",
    "clock",
    "frame",
    "fault",
    "units",
    "telemetry",
    "metrics",
    "canvas",
    "simd",
    "ring",
    "address",
    "outbound",
    "gst",
    "capture",
    "restream",
    "infer",
    "source",
    "detect",
    "track",
    "recognise",
    "mask",
    "event",
    "sink",
    "lifecycle",
    "http",
    "pipeline",
    "config",
    "supervisor",
    "api",
    "cli",
];

/// Modules that only these may import, although the order would let others.
const IMPORTED_ONLY_BY: &[(&str, &[&str])] = &[
    ("gst", &["capture", "restream", "cli"]),
    ("capture", &["cli"]),
    ("restream", &["cli"]),
    ("pipeline", &["supervisor", "api", "cli"]),
];

/// Crates that only these modules may name.
const CONFINED: &[(&str, &[&str])] = &[
    ("gio", &["gst", "capture", "restream"]),
    ("gstreamer", &["gst", "capture", "restream"]),
    ("gstreamer_app", &["gst", "capture", "restream"]),
    ("gstreamer_base", &["capture"]),
    ("gstreamer_video", &["gst", "capture", "restream"]),
    ("gstreamer_rtsp_server", &["gst", "capture", "restream"]),
    ("ort", &["infer"]),
    ("anyhow", &["cli"]),
];

/// How the name of a public host ends, of those that are likely here.
const PUBLIC_TOPS: &[&str] = &["com", "io", "net", "org"];

/// Hosts that are named although nothing is fetched from them: licence, schema, documentation, the one for examples, and the one that
/// names what a drawing is.
const LINKED: &[&str] =
    &["www.apache.org", "json-schema.org", "www.home-assistant.io", "toml.io", "example.org", "www.w3.org"];

const UNSAFE_ALLOWED: &[&str] = &["ring", "simd"];

/// Folders whose files are variants of one thing: each is named in the folder's table, and none imports another.
const VARIANTS: &[Variants] = &[
    Variants {
        folder: "detect",
        table: "FAMILIES",
        helpers: &[
            "colour",
            "config",
            "decoder_tests",
            "detector",
            "family",
            "found",
            "input",
            "input_tests",
            "motion",
            "packed",
            "scale",
            "still",
            "straight",
            "thumbnail",
        ],
    },
    Variants { folder: "mask/kinds", table: "KINDS", helpers: &[] },
    Variants { folder: "track/algorithms", table: "ALGORITHMS", helpers: &[] },
    Variants { folder: "recognise/families", table: "EMBEDDERS", helpers: &[] },
    Variants {
        folder: "sink",
        table: "SINKS",
        helpers: &[
            "appearances",
            "board",
            "history",
            "hub",
            "jpeg",
            "person",
            "presence",
            "preview",
            "restream",
            "snapshot",
            "subjects",
            "switch",
            "video",
            "vitals",
        ],
    },
];

struct Variants {
    folder: &'static str,
    /// The constant or static in the folder that names every variant's module.
    table: &'static str,
    /// Files of the folder which are not variants, and which variants may import.
    helpers: &'static [&'static str],
}

/// A file below `src/`.
struct Source {
    /// Its path from `src/`.
    path: String,
    text: String,
    syntax: syn::File,
    /// Lines of `#[cfg(test)]` modules inside it.
    test_lines: Vec<RangeInclusive<usize>>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|e| panic!("src/{path}: {e}"));
        let test_lines = syntax.items.iter().filter_map(test_module).map(|m| lines_of(m.span())).collect();
        Self { path: path.into(), text: text.into(), syntax, test_lines }
    }

    /// The module's path below the crate: `["cli", "run"]`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').filter(|part| !["lib", "main"].contains(part)).collect()
    }

    fn stage(&self) -> &str {
        self.module().first().copied().unwrap_or_default()
    }

    fn is_test(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Lines of code, neither blank nor comment, among these.
    fn code_lines(&self, lines: RangeInclusive<usize>) -> usize {
        let numbered = self.text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
        numbered.filter(|(n, line)| lines.contains(n) && !line.is_empty() && !line.starts_with("//")).count()
    }

    /// Lines of code outside its tests.
    fn length(&self) -> usize {
        let tests: usize = self.test_lines.iter().map(|lines| self.code_lines(lines.clone())).sum();
        self.code_lines(1..=usize::MAX) - tests
    }

    /// All lines before its tests, comments and blank ones too.
    fn lines_before_tests(&self) -> usize {
        let first = self.test_lines.iter().map(|lines| *lines.start()).min();
        first.map_or_else(|| self.text.lines().count(), |first| first - 1)
    }

    fn tokens(&self) -> TokenStream {
        self.text.parse().expect("parsed before")
    }
}

fn lines_of(span: proc_macro2::Span) -> RangeInclusive<usize> {
    span.start().line..=span.end().line
}

/// The item as a `#[cfg(test)]` module, if it is one.
fn test_module(item: &syn::Item) -> Option<&syn::ItemMod> {
    let syn::Item::Mod(module) = item else { return None };
    let is_test = |a: &syn::Attribute| matches!(&a.meta, syn::Meta::List(l) if l.path.is_ident("cfg") && l.tokens.to_string() == "test");
    module.attrs.iter().any(is_test).then_some(module)
}

/// A function outside tests.
struct Function {
    name: String,
    line: usize,
    lines: usize,
    parameters: usize,
}

struct Functions<'a> {
    source: &'a Source,
    found: Vec<Function>,
}

impl Functions<'_> {
    fn note(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let braces = block.brace_token.span;
        let (open, close) = (braces.open().start().line, braces.close().start().line);
        let body = if close > open + 1 { self.source.code_lines(open + 1..=close - 1) } else { 1 };
        let (name, line) = (signature.ident.to_string(), signature.span().start().line);
        self.found.push(Function { name, line, lines: body, parameters: signature.inputs.len() });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if test_module(item).is_none() {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.note(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

fn functions(source: &Source) -> Vec<Function> {
    let mut visitor = Functions { source, found: Vec::new() };
    visitor.visit_file(&source.syntax);
    visitor.found
}

/// A path as it is written somewhere in the file, macros included, with `{…}` groups taken apart.
#[derive(Debug, PartialEq)]
struct Mention {
    line: usize,
    segments: Vec<String>,
}

fn mentions(source: &Source) -> Vec<Mention> {
    let mut found = Vec::new();
    collect_mentions(source.tokens(), &[], &mut found);
    found
}

fn collect_mentions(tokens: TokenStream, prefix: &[String], found: &mut Vec<Mention>) {
    let mut path = Mention { line: 0, segments: Vec::new() };
    let mut colons = 0;
    let mut finish = |path: &mut Mention| {
        let segments = std::mem::take(&mut path.segments);
        if !segments.is_empty() {
            found.push(Mention { line: path.line, segments });
        }
    };
    let mut groups = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    finish(&mut path);
                }
                if path.segments.is_empty() {
                    path = Mention { line: ident.span().start().line, segments: prefix.to_vec() };
                }
                path.segments.push(ident.to_string());
            }
            TokenTree::Group(group) if colons == 2 && group.delimiter() == Delimiter::Brace => {
                groups.push((group.stream(), std::mem::take(&mut path.segments)));
            }
            TokenTree::Group(group) => {
                finish(&mut path);
                groups.push((group.stream(), Vec::new()));
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => finish(&mut path),
        }
        colons = 0;
    }
    finish(&mut path);
    for (stream, prefix) in groups {
        collect_mentions(stream, &prefix, found);
    }
}

/// The path from the crate's root, where the mention is of something in this crate.
fn in_crate(source: &Source, mention: &Mention) -> Option<Vec<String>> {
    let supers = mention.segments.iter().take_while(|segment| *segment == "super").count();
    if supers == 0 {
        return (mention.segments.first()? == "crate").then(|| mention.segments[1..].to_vec());
    }
    let module = source.module();
    let above = module.get(..module.len().checked_sub(supers)?)?.iter().map(|part| (*part).to_owned());
    Some(above.chain(mention.segments[supers..].iter().cloned()).collect())
}

// --- the rules ---

fn sizes(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    // code may also stand behind a test
    let (path, length) = (&source.path, source.lines_before_tests().max(source.length()));
    if length > FILE_LINES {
        findings.push(format!("src/{path}: {length} lines without its tests, more than {FILE_LINES}"));
    }
    for Function { name, line, lines, parameters } in functions(source) {
        if lines > FUNCTION_LINES {
            findings.push(format!("src/{path}:{line}: {name} has {lines} lines, more than {FUNCTION_LINES}"));
        }
        if parameters > PARAMETERS {
            findings.push(format!("src/{path}:{line}: {name} has {parameters} parameters, more than {PARAMETERS}"));
        }
    }
    findings
}

fn directions(source: &Source) -> Vec<String> {
    let stage = source.stage();
    if stage.is_empty() {
        return Vec::new();
    }
    let Some(own) = ORDER.iter().position(|name| *name == stage) else {
        return vec![format!("src/{}: {stage} has no place in the order of tests/tidy.rs and lib.rs", source.path)];
    };
    let mut findings = Vec::new();
    for mention in mentions(source).iter().filter(|m| !source.is_test(m.line)) {
        let Some(target) = in_crate(source, mention).and_then(|path| path.into_iter().next()) else { continue };
        let Some(place) = ORDER.iter().position(|name| *name == target) else { continue };
        let guests = IMPORTED_ONLY_BY.iter().find(|(name, _)| *name == target);
        let unwelcome = place != own && guests.is_some_and(|(_, guests)| !guests.contains(&stage));
        if place > own || unwelcome {
            findings.push(format!("src/{}:{}: {stage} may not import {target}", source.path, mention.line));
        }
    }
    findings
}

fn confinement(source: &Source) -> Vec<String> {
    let stage = source.stage();
    let mut findings = Vec::new();
    for mention in mentions(source).iter().filter(|m| !source.is_test(m.line)) {
        let Some(first) = mention.segments.first().filter(|_| mention.segments.len() > 1) else { continue };
        let home = CONFINED.iter().find(|(name, _)| name == first);
        if home.is_some_and(|(_, homes)| !homes.contains(&stage)) {
            findings.push(format!("src/{}:{}: {first} may not be named in {stage}", source.path, mention.line));
        }
    }
    if !UNSAFE_ALLOWED.contains(&stage) {
        let written = mentions(source).into_iter().filter(|m| m.segments.iter().any(|s| s == "unsafe"));
        findings.extend(written.map(|m| format!("src/{}:{}: unsafe outside ring/ and simd/", source.path, m.line)));
    }
    findings
}

/// Each variant is in its folder's table, and none imports another.
fn variants(sources: &[Source], rule: &Variants) -> Vec<String> {
    let folder: Vec<_> = rule.folder.split('/').map(str::to_owned).collect();
    let variant_in = |path: &[String]| {
        let name = path.strip_prefix(&folder[..])?.first()?;
        (!rule.helpers.contains(&name.as_str())).then(|| name.clone())
    };
    let variant_of = |source: &Source| variant_in(&source.module().iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    let names: BTreeSet<_> = sources.iter().filter_map(variant_of).collect();
    let listed: BTreeSet<_> =
        sources.iter().filter(|s| s.stage() == folder[0]).flat_map(|source| table_words(source, rule.table)).collect();
    let unlisted = names.difference(&listed).map(|name| {
        let (folder, table) = (rule.folder, rule.table);
        format!(
            "src/{folder}/{name} is not in the table {table}; if it is no variant, say so in VARIANTS of tests/tidy.rs"
        )
    });
    let mut findings: Vec<_> = unlisted.collect();
    for source in sources {
        let Some(own) = variant_of(source) else { continue };
        for mention in mentions(source).iter().filter(|m| !source.is_test(m.line)) {
            let other = in_crate(source, mention).and_then(|path| variant_in(&path));
            if let Some(other) = other.filter(|other| *other != own && names.contains(other)) {
                findings.push(format!("src/{}:{}: {own} imports its sibling {other}", source.path, mention.line));
            }
        }
    }
    findings
}

/// Every word in the value of this constant or static.
fn table_words(source: &Source, table: &str) -> Vec<String> {
    let value = source.syntax.items.iter().find_map(|item| match item {
        syn::Item::Const(item) if item.ident == table => Some(&item.expr),
        syn::Item::Static(item) if item.ident == table => Some(&item.expr),
        _ => None,
    });
    let lines = value.map(|value| lines_of(value.span()));
    let inside = |line: usize| lines.as_ref().is_some_and(|lines| lines.contains(&line));
    mentions(source).into_iter().filter(|m| inside(m.line)).flat_map(|m| m.segments).collect()
}

/// Places of this machine.
fn machine_places(file: &str, text: &str, places: &[String]) -> Vec<String> {
    let found = places.iter().filter(|place| text.contains(place.as_str()));
    found.map(|place| format!("{file}: holds \"{place}\", a place of this machine")).collect()
}

fn places_to_avoid() -> Vec<String> {
    let places = ["work", "tmp/w", "root"].map(|place| format!("/{place}/"));
    let own = [Some(env!("CARGO_MANIFEST_DIR").to_owned()), std::env::var("HOME").ok()];
    // A place such as "/" or "/src" says nothing.
    let own = own.into_iter().flatten().filter(|place| place.matches('/').count() > 1);
    places.into_iter().chain(own).collect()
}

/// Words that end like the name of a public host.
fn public_hosts(text: &str) -> BTreeSet<&str> {
    let of_host = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let words = text.split(|c| !of_host(c)).map(|word| word.trim_matches(['.', '-']));
    words.filter(|word| word.rsplit_once('.').is_some_and(|(_, top)| PUBLIC_TOPS.contains(&top))).collect()
}

/// Hosts that no model comes from: fetching a package goes through its client's own settings, which know where from.
fn foreign_hosts(file: &str, text: &str, known: &BTreeSet<String>) -> Vec<String> {
    let found = public_hosts(text).into_iter().filter(|host| !known.contains(*host));
    found.map(|host| format!("{file}: names the host \"{host}\", which is no model's upstream")).collect()
}

/// Hosts of the addresses in the models' manifests, and what is linked to.
fn known_hosts() -> BTreeSet<String> {
    let manifests = std::fs::read_dir(root().join("models")).unwrap().map(|entry| entry.unwrap().path());
    let manifests = manifests.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let texts = manifests.map(|path| std::fs::read_to_string(path).unwrap());
    let upstream = |text: String| {
        let hosts = text.split("https://").skip(1).filter_map(|rest| rest.split('/').next());
        hosts.map(str::to_owned).collect::<Vec<_>>()
    };
    texts.flat_map(upstream).chain(LINKED.iter().map(|host| (*host).to_owned())).collect()
}

// --- the sources ---

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Everything below `src/` but files which are tests as a whole, and what lies below these.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        Source::new(&name, &std::fs::read_to_string(path).unwrap())
    };
    let all: Vec<_> = files.iter().map(read).collect();
    let tests: BTreeSet<_> = all.iter().flat_map(test_files).collect();
    let is_test = |source: &Source| {
        let module = source.module();
        (1..=module.len()).any(|depth| tests.contains(&module[..depth].join("/")))
    };
    all.into_iter().filter(|source| !is_test(source)).collect()
}

/// Modules of a file that are tests in files of their own.
fn test_files(source: &Source) -> Vec<String> {
    let declared = source.syntax.items.iter().filter_map(test_module).filter(|m| m.content.is_none());
    let below = source.module().join("/");
    declared.map(|m| format!("{below}/{}", m.ident).trim_start_matches('/').to_owned()).collect()
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn sizes_keep_to_their_caps() {
    let sources = sources();
    let file = median(sources.iter().map(Source::length).collect());
    let function = median(sources.iter().flat_map(functions).map(|f| f.lines).collect());
    eprintln!(
        "median file {file} lines (aim {AIMED_FILE_LINES}), median function {function} (aim {AIMED_FUNCTION_LINES})"
    );
    assert_none(&sources.iter().flat_map(sizes).collect::<Vec<_>>());
}

#[test]
fn imports_run_from_the_outside_in() {
    assert_none(&sources().iter().flat_map(directions).collect::<Vec<_>>());
}

#[test]
fn crates_are_named_where_they_belong() {
    assert_none(&sources().iter().flat_map(confinement).collect::<Vec<_>>());
}

#[test]
fn every_variant_is_in_its_table_and_knows_no_other() {
    let sources = sources();
    assert_none(&VARIANTS.iter().flat_map(|rule| variants(&sources, rule)).collect::<Vec<_>>());
}

#[test]
fn the_order_is_the_one_in_lib_rs() {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("//! | ") && line.contains('`'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    assert_eq!(names.collect::<Vec<_>>(), ORDER);
}

#[test]
fn no_file_names_this_machine_or_a_host_that_is_no_models_upstream() {
    let listed = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else {
        eprintln!("skipped: not a git checkout");
        return;
    };
    let (places, hosts) = (places_to_avoid(), known_hosts());
    let mut findings = Vec::new();
    // The lock file names the registry by its own format.
    for file in listed.stdout.split(|b| *b == 0).filter(|f| !f.is_empty() && *f != b"Cargo.lock") {
        let file = std::str::from_utf8(file).unwrap();
        if let Ok(text) = std::fs::read_to_string(root().join(file)) {
            findings.extend(machine_places(file, &text, &places));
            findings.extend(foreign_hosts(file, &text, &hosts));
        }
    }
    assert_none(&findings);
}

// --- each rule finds what it is for ---

fn check_rule(rule: fn(&Source) -> Vec<String>, path: &str, text: &str, expected: usize) {
    let findings = rule(&Source::new(path, text));
    assert_eq!(findings.len(), expected, "{path}: {text}\n{findings:?}");
}

#[test]
fn a_long_file_function_or_list_of_parameters_is_found() {
    let lines = |n: usize| "let _ = 1;\n".repeat(n);
    check_rule(sizes, "track/a.rs", &format!("fn f() {{\n{}}}", lines(60)), 0);
    check_rule(sizes, "track/a.rs", &format!("fn f() {{\n// why\n\n{}}}", lines(60)), 0);
    check_rule(sizes, "track/a.rs", &format!("fn f() {{\n{}}}", lines(61)), 1);
    check_rule(sizes, "track/a.rs", &format!("impl A {{ fn f() {{\n{}}} }}", lines(61)), 1);
    check_rule(sizes, "track/a.rs", &format!("#[cfg(test)]\nmod tests {{ fn f() {{\n{}}} }}", lines(400)), 0);
    check_rule(sizes, "track/a.rs", &"const A: u8 = 1;\n".repeat(401), 1);
    check_rule(sizes, "track/a.rs", &"// why\n".repeat(401), 1);
    check_rule(sizes, "track/a.rs", "fn f(a: A, b: A, c: A, d: A, e: A) {}", 0);
    check_rule(sizes, "track/a.rs", "fn f(a: A, b: A, c: A, d: A, e: A, g: A) {}", 1);
}

#[test]
fn an_import_against_the_direction_is_found() {
    check_rule(directions, "track/a.rs", "use crate::detect::Detection;", 0);
    check_rule(directions, "track/a.rs", "use crate::event::Event;", 1);
    check_rule(directions, "track/mod.rs", "use crate::{frame::Frame, sink::{self, Hub}};", 2);
    check_rule(directions, "track/mod.rs", "use super::sink;", 1);
    check_rule(directions, "track/a.rs", "use super::sink;", 0);
    check_rule(directions, "track/a.rs", "use super::super::sink::Hub;", 1);
    check_rule(directions, "track/a.rs", "fn f() -> crate::sink::Hub { m!(crate::http::serve()) }", 2);
    check_rule(directions, "track/a.rs", "#[cfg(test)]\nmod tests { use crate::sink::Hub; }", 0);
    check_rule(directions, "http/a.rs", "use crate::pipeline::Loop;", 1);
    check_rule(directions, "source/a.rs", "use crate::gst::bus;", 1);
    check_rule(directions, "supervisor.rs", "use crate::pipeline::Loop;", 0);
    check_rule(directions, "newcomer.rs", "", 1);
}

#[test]
fn a_crate_outside_its_home_is_found() {
    check_rule(confinement, "gst/a.rs", "use gstreamer::prelude::*;", 0);
    check_rule(confinement, "source/a.rs", "use gstreamer::prelude::*;", 1);
    check_rule(confinement, "source/a.rs", "fn f() { m!(::gstreamer_app::AppSink::new()) }", 1);
    check_rule(confinement, "detect/a.rs", "use {ort::session::Session, std::fs};", 1);
    check_rule(confinement, "detect/a.rs", "fn f(ort: u8) -> u8 { ort }", 0);
    check_rule(confinement, "sink/a.rs", "fn f() -> anyhow::Result<()> { Ok(()) }", 1);
    check_rule(confinement, "ring/a.rs", "fn f() { unsafe { g() } }", 0);
    check_rule(confinement, "simd/a.rs", "fn f() { unsafe { g() } }", 0);
    check_rule(confinement, "sink/a.rs", "fn f() { unsafe { g() } }", 1);
    check_rule(confinement, "sink/a.rs", "unsafe impl Send for A {}", 1);
}

#[test]
fn a_variant_that_is_unlisted_or_knows_a_sibling_is_found() {
    let rule = Variants { folder: "sink", table: "SINKS", helpers: &["hub"] };
    let check = |files: &[(&str, &str)], expected: usize| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let findings = variants(&sources, &rule);
        assert_eq!(findings.len(), expected, "{findings:?}");
    };
    let table =
        ("sink/mod.rs", "pub const SINKS: &[Entry] = &[Entry { open: log::open }, Entry { open: mqtt::open }];");
    check(&[table, ("sink/log.rs", ""), ("sink/mqtt/mod.rs", ""), ("sink/hub.rs", "")], 0);
    check(&[table, ("sink/log.rs", ""), ("sink/webhook.rs", "")], 1);
    check(&[table, ("sink/log.rs", "use super::hub::Hub;"), ("sink/hub.rs", "")], 0);
    check(&[table, ("sink/log.rs", "use super::mqtt::Client;"), ("sink/mqtt/mod.rs", "")], 1);
    check(&[table, ("sink/log.rs", "use crate::sink::mqtt;"), ("sink/mqtt/mod.rs", "")], 1);
    check(&[table, ("sink/mqtt/mod.rs", ""), ("sink/mqtt/topic.rs", "use crate::sink::mqtt::a;")], 0);
}

#[test]
fn a_place_of_this_machine_is_found() {
    let place = format!("{}/x", env!("CARGO_MANIFEST_DIR"));
    assert!(!machine_places("a", &place, &places_to_avoid()).is_empty());
    assert!(machine_places("a", "/usr/share/visor/models", &places_to_avoid()).is_empty());
}

#[test]
fn a_host_that_no_model_comes_from_is_found() {
    let known = known_hosts();
    let strange = ["registry", PUBLIC_TOPS[0]].join(".");
    for text in [format!("https://{strange}/simple"), format!("pull it from {strange}."), format!("a@{strange}:443")] {
        assert_eq!(foreign_hosts("a", &text, &known).len(), 1, "{text}");
    }
    for text in ["https://github.com/opencv/opencv_zoo", "rtsp://cam/1", "std::io", "visor.toml"] {
        assert_eq!(foreign_hosts("a", text, &known), [""; 0], "{text}");
    }
}
