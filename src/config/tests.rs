use super::*;

const FRONT: &str = "[cameras.front]\nuri = \"rtsp://admin:hunter2@10.0.0.7/s\"\n";

fn resolve_with(text: &str, variables: &[(&str, &str)]) -> Result<Resolved, Vec<Problem>> {
    let variables: Vec<_> = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    resolve_text(text, &variables)
}

fn resolved(text: &str) -> Resolved {
    resolve_with(text, &[]).unwrap_or_else(|problems| panic!("{text}\nhas {problems:#?}"))
}

/// One line a problem, in the order in which they are told.
fn check_config(text: &str, expected: &[&str]) {
    check_with(text, &[], expected);
}

fn check_with(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let problems = resolve_with(text, variables).err().unwrap_or_default();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected, "of\n{text}");
}

#[test]
fn an_empty_file_is_the_default() {
    let config = resolved("");
    assert_eq!((config.detector.name.as_str(), config.input), ("yunet-n", crate::geometry::Size::new(640, 384)));
    assert!(config.cameras.is_empty());
}

#[test]
fn a_camera_needs_an_address_and_nothing_else() {
    let camera = &resolved(FRONT).cameras["front"];
    assert!(camera.enabled);
    assert_eq!(camera.analysis_period, std::time::Duration::from_millis(100));
    assert_eq!(camera.source.display, "rtsp://10.0.0.7/s");
    check_config("[cameras.front]\n", &["cameras.front.uri (line 1): is missing"]);
}

#[test]
fn syntax_errors_have_their_lines_and_no_text() {
    let problems = resolve_with("a = 1\nuri = \"rtsp://admin:hunter2@cam\n[x\n", &[]).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(shown[0].starts_with("line 2: ") && shown[1].starts_with("line 3: "), "{shown:?}");
    assert!(!shown.concat().contains("hunter2"), "{shown:?}");
}

#[test]
fn every_problem_is_named_at_once() {
    check_config(
        r#"
[models]
detector = "yunet"
provider = "cudo"
[http]
listen = "0.0.0.0:80"
lisen = "x"
[cameras.front]
url = "rtsp://x/"
[cameras.Back]
uri = "gopher://x/"
analysis_fps = 0
stall_timeout = "5"
score = 1.5
zones = [{ name = "a b", polygon = [[0, 0], [1, 2]] }]
[cameras.status]
uri = "test:"
min_face_px = "40"
latency = "1m"
"#,
        &[
            "models.detector (line 3): no model is named \"yunet\"; did you mean \"yunet-n\"?",
            "models.provider (line 4): \"cudo\" is none of cpu, cuda, tensorrt, openvino; did you mean \"cuda\"?",
            "http.listen (line 6): 0.0.0.0:80 can be reached from outside this machine, and no tokens_file is set; set http.tokens_file or http.users_file, or listen on 127.0.0.1",
            "http.listen (line 6): 0.0.0.0:80 can be reached from outside this machine, and there is no certificate; set http.certificate and http.private_key, or http.allow_plain = true where the network is trusted",
            "http.lisen (line 7): is not a key of visor's; did you mean listen?",
            "cameras.front.uri (line 8): is missing",
            "cameras.front.url (line 9): is not a key of visor's; did you mean uri?",
            "cameras.Back (line 10): \"Back\" is not an id: a-z or 0-9, then up to 62 of a-z, 0-9, _ and -",
            "cameras.Back.uri (line 11): \"gopher\" is not a known kind of source; use one of rtsp, rtsps, http, https, v4l2, file, test",
            "cameras.Back.analysis_fps (line 12): is 0, must be at least 0.5",
            "cameras.Back.stall_timeout (line 13): \"5\" is not a length of time such as \"200ms\", \"5s\" or \"1m 30s\"",
            "cameras.Back.score (line 14): is 1.5, must be at most 1.0",
            "cameras.Back.zones[0].name (line 15): \"a b\" is not an id: a-z or 0-9, then up to 62 of a-z, 0-9, _ and -",
            "cameras.Back.zones[0].polygon (line 15): a polygon needs at least 3 corners, here are 2",
            "cameras.status (line 16): \"status\" is reserved",
            "cameras.status.min_face_px (line 18): is text, must be a number",
            "cameras.status.latency (line 19): 60s is not between 0s and 10s; choose a time between them",
        ],
    );
}

#[test]
fn a_mistyped_algorithm_is_told_its_name() {
    let problems = resolve_with(&format!("{FRONT}track.algorithm = \"sorte\"\n"), &[]).unwrap_err();
    let shown = problems[0].to_string();
    assert!(shown.starts_with("cameras.front.track.algorithm (line 3): \"sorte\" is none of "), "{shown}");
    assert!(shown.ends_with("did you mean \"sort\"?"), "{shown}");
}

#[test]
fn a_number_where_its_text_is_wanted_is_to_be_quoted() {
    let problems = resolve_with(&format!("{FRONT}rotate = 90\n"), &[]).unwrap_err();
    let shown = problems[0].to_string();
    assert!(shown.ends_with("put it in quotes: \"90\""), "{shown}");
}

#[test]
fn a_number_that_is_too_large_is_said_to_be() {
    check_with(
        "[models]\nsessions = 0xffffffffffffffffffff\n[cameras.front]\nuri = \"test:\"\nanalysis_fps = 99999999999999999999\n\
         low_score = inf\n",
        &[("VISOR__MQTT__OUTBOX", "99999999999999999999")],
        &[
            "models.sessions (line 2): is too large a number",
            "cameras.front.analysis_fps (line 5): is too large a number",
            "cameras.front.low_score (line 6): is too large a number",
            "mqtt.outbox (VISOR__MQTT__OUTBOX): is too large a number",
        ],
    );
}

#[test]
fn a_location_is_a_place_on_earth() {
    resolve_with(&format!("{FRONT}location = [48.2, 16.4]\n"), &[]).unwrap();
    check_config(
        &format!("{FRONT}location = [91, 0]\n"),
        &["cameras.front.location (line 3): is [latitude, longitude] in degrees: -90 to 90, and -180 to 180"],
    );
}

#[test]
fn the_environment_overrides_each_key_in_its_type() {
    let text = format!("{FRONT}[cameras.back-door]\nuri = \"test:\"\n");
    let config = resolve_with(
        &text,
        &[
            ("VISOR__CAMERAS__FRONT__ANALYSIS_FPS", "5"),
            ("VISOR__CAMERAS__FRONT__ENABLED", "off"),
            ("VISOR__CAMERAS__BACK_DOOR__ANALYSIS_FPS", "2.5"),
            ("VISOR__CAMERAS__GARAGE__URI", "test:"),
            ("VISOR__CAMERAS__GARAGE__ZONES", "[{ name = \"gate\", polygon = [[0, 0], [1, 0], [1, 1]] }]"),
            ("VISOR__HTTP__LISTEN", "127.0.0.1:0"),
            ("VISOR__MODELS__DETECTOR", "yunet-s"),
            ("VISOR_ASSETS", "/elsewhere"),
        ],
    )
    .unwrap();
    let period = |id: &str| config.cameras[id].analysis_period.as_millis();
    assert_eq!((period("front"), period("back-door"), period("garage")), (200, 400, 100));
    assert!(!config.cameras["front"].enabled);
    assert_eq!(config.cameras["garage"].zones.len(), 1);
    assert_eq!((config.detector.name.as_str(), config.http.listen.port()), ("yunet-s", 0));
}

#[test]
fn a_wrong_variable_is_named() {
    check_with(
        "",
        &[
            ("VISOR__HTTP__LISTEN__PORT", "80"),
            ("VISOR__MODELS__SESSIONS", "many"),
            ("VISOR__MODLES__FOLDER", "/x"),
            ("VISOR__", "x"),
        ],
        &[
            "VISOR__: is not a key: between two \"__\" stands a name",
            "http.listen (VISOR__HTTP__LISTEN__PORT): is a table, must be text",
            "models.sessions (VISOR__MODELS__SESSIONS): is text, must be an integer",
            "modles (VISOR__MODLES__FOLDER): is not a key of visor's; did you mean models?",
        ],
    );
}

#[test]
fn a_licence_against_commercial_use_must_be_accepted() {
    let text = "[models]\ndetector = \"scrfd-500m\"\n";
    let problems = resolve_with(text, &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].to_string().starts_with("models.accept_licences (line 1): scrfd-500m may not be used"),
        "{}",
        problems[0]
    );
    resolved(&format!("{text}accept_licences = [\"scrfd-500m\"]\n"));
}

#[test]
fn a_reload_is_the_difference() {
    let old = resolved(&format!("{FRONT}[cameras.back]\nuri = \"test:\"\n"));
    assert!(diff(&old, &old.clone()).is_empty());
    let new = resolved(&format!(
        "{}[cameras.side]\nuri = \"test:\"\n[http]\nlisten = \"[::1]:0\"\n",
        FRONT.replace("hunter2", "hunter3")
    ));
    let expected = Changes {
        http: true,
        added: vec!["side".to_owned()],
        removed: vec!["back".to_owned()],
        changed: vec!["front".to_owned()],
        ..Changes::default()
    };
    assert_eq!(diff(&old, &new), expected);
    assert_eq!(expected.to_string(), "http, added side, removed back, changed front");
    assert_eq!(Changes::default().to_string(), "nothing");
    let other = resolved(&format!("{FRONT}[cameras.back]\nuri = \"test:\"\n[models]\ninput = \"320x192\"\n"));
    assert_eq!(diff(&old, &other), Changes { models: true, ..Changes::default() });
}

#[test]
fn a_renewed_password_file_is_a_change_of_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let text = format!("[mqtt]\nurl = \"mqtt://broker\"\nusername = \"visor\"\npassword_file = {file:?}\n");
    std::fs::write(&file, "hunter2\n").unwrap();
    let old = resolved(&text);
    assert!(diff(&old, &resolved(&text)).is_empty());
    std::fs::write(&file, "hunter3\n").unwrap();
    assert_eq!(diff(&old, &resolved(&text)), Changes { mqtt: true, ..Changes::default() });
    std::fs::remove_file(&file).unwrap();
    let problems = resolve_with(&text, &[]).unwrap_err();
    assert_eq!((problems.len(), problems[0].key.as_str()), (1, "mqtt.password_file"));
}

#[test]
fn the_broker_is_off_unless_its_table_is_there() {
    assert!(resolved("").sinks().mqtt.is_none());
    assert!(resolved("[mqtt]\n").sinks().mqtt.is_some());
    let by_variable = resolve_with("", &[("VISOR__MQTT__URL", "mqtt://broker")]).unwrap();
    assert!(by_variable.sinks().mqtt.is_some());
}

#[test]
fn what_is_accepted_is_a_model_or_a_licence() {
    resolved("[models]\naccept_licences = [\"scrfd-500m\", \"LicenseRef-InsightFace-non-commercial\"]\n");
    let problems = resolve_with("[models]\naccept_licences = [\"scrfd-500n\"]\n", &[]).unwrap_err();
    let expected = "models.accept_licences (line 2): no model is named \"scrfd-500n\"; did you mean \"scrfd-500m\"?";
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_tracker_s_scores_stand_in_order() {
    let scores = |low, sure| format!("{FRONT}[cameras.front.track]\nlow_score = {low}\nsure_score = {sure}\n");
    resolved(&scores(0.4, 0.4));
    let problems = resolve_with(&scores(0.9, 0.2), &[]).unwrap_err();
    let expected = "cameras.front.track.low_score (line 4): low_score = 0.9 is greater than sure_score = 0.2";
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_user_is_named_once() {
    let problems = resolve_with(&format!("{FRONT}username = \"viewer\"\n"), &[]).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].key, "cameras.front.username");
}

#[test]
fn notes_say_what_will_not_happen() {
    let notes = resolved("").notes().concat();
    assert!(notes.contains("no camera is configured") && notes.contains("events go nowhere"), "{notes}");
    let text = "models.embedder = \"none\"\n[log]\nevents = true\n[cameras.a]\nuri = \"file:///nowhere/a%20b.mp4\"\nenabled = false\n";
    let notes = resolved(text).notes();
    assert_eq!(
        notes,
        ["every camera is switched off (enabled = false)", "cameras.a.uri: there is no /nowhere/a b.mp4 now"]
    );
    let notes = resolved(
        "models.embedder = \"none\"\n[log]\nevents = true\n[cameras.a]\nuri = \"v4l2:///dev/video97?fps=5\"\n",
    )
    .notes();
    assert_eq!(notes, ["cameras.a.uri: there is no /dev/video97 now"]);
}

#[test]
fn the_embedder_is_the_one_that_is_named_the_best_there_is_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let embedder = |name: &str| {
        let models = format!("[models]\nfolder = \"{}\"\n{name}\n", folder.path().display());
        let resolved = resolve_with(&models, &[]);
        resolved.map(|r| (r.embedder.as_ref().map(|model| model.name.clone()), r.notes().concat()))
    };
    let (none, notes) = embedder("").unwrap();
    assert_eq!(none, None);
    assert!(notes.contains("recognition is off: no embedder is there; fetch it: visor models pull"), "{notes}");
    let (none, notes) = embedder("embedder = \"none\"").unwrap();
    assert_eq!(none, None);
    assert!(!notes.contains("recognition"), "{notes}");
    assert_eq!(embedder("embedder = \"dlib-resnet\"").unwrap().0.as_deref(), Some("dlib-resnet"));
    let wrong = |name: &str| embedder(name).unwrap_err().iter().map(ToString::to_string).collect::<String>();
    let shown = wrong("embedder = \"dlib-resent\"");
    assert!(shown.starts_with("models.embedder (line 3): ") && shown.contains("mean \"dlib-resnet\""), "{shown}");
    let shown = wrong("embedder = \"yunet-n\"");
    assert!(shown.contains("yunet-n does not tell people apart"), "{shown}");
    let shown = wrong("embedder = \"mobilefacenet-y1\"");
    assert!(shown.contains("models.accept_licences = [\"mobilefacenet-y1\"]"), "{shown}");
}

#[test]
fn the_gallery_s_problems_are_named() {
    check_config(
        &format!("{FRONT}[gallery]\nfolder = \"/nonexistent\"\nthreshold = 1.5\nstranger_ttl = \"1s\"\n"),
        &[
            "gallery.folder (line 4): there is no folder /nonexistent; make it, with a folder for each person in it",
            "gallery.threshold (line 5): is 1.5, must be at most 1.0",
            "gallery.stranger_ttl (line 6): must lie between 1m and 30d (\"720h\")",
        ],
    );
}

#[test]
fn secrets_show_in_no_form_of_the_configuration() {
    let written: Config = serde_json::from_value(serde_json::json!({
        "cameras": { "front": { "uri": "rtsp://admin:hunter2@cam/s?password=hunter2" } },
        "mqtt": { "url": "mqtt://visor:hunter2@broker" },
    }))
    .unwrap();
    let config = resolved(&format!("{FRONT}[mqtt]\nurl = \"mqtt://visor:hunter2@broker\"\n"));
    for shown in [
        format!("{written:?}"),
        format!("{config:?}"),
        serde_json::to_string(&written).unwrap(),
        format!("{:?}", resolve_with(&format!("{FRONT}rotate = \"rtsp://a:hunter2@b\"\n"), &[]).unwrap_err()),
        format!("{:?}", resolve_with("[cameras.front]\nuri = \"hunter2\"\nurl = [\"hunter2\"]", &[]).unwrap_err()),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = resolve_with(&text, &[]);
    }

    #[test]
    fn no_tree_of_known_keys_makes_it_panic(lines in proptest::collection::vec(line(), 0..12)) {
        let problems = resolve_with(&lines.join("\n"), &[]).err().unwrap_or_default();
        proptest::prop_assert!(problems.iter().all(|p| !p.what.is_empty()));
    }

    #[test]
    fn no_variable_makes_it_panic(name in "(CAMERAS|HTTP|MODELS|X|_){1,3}(__[A-Z_]{0,6}){0,4}", text in "\\PC*") {
        let _ = resolve_with(FRONT, &[(&format!("VISOR__{name}"), &text)]);
    }
}

/// Lines that are often valid TOML and seldom a valid configuration.
fn line() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::strategy::Strategy;
    let table = "\\[(\\[cameras\\.front\\.zones\\]|models|http|cameras|cameras\\.front|cameras\\.front\\.track|x)\\]";
    let value =
        "(-?[0-9]{1,20}|nan|-inf|1e400|true|\"\\PC{0,8}\"|\\[\\]|\\[\\[0, 0\\], 1\\]|\\{ a = 1 \\}|1979-05-27|\"5s\")";
    let key = "(uri|url|analysis_fps|zones|track|score|listen|folder|input|sessions|stall_timeout|enabled|cameras|\"\"|name|polygon)";
    (table, key, value, 0..4u8).prop_map(|(table, key, value, kind)| match kind {
        0 => table,
        _ => format!("{key} = {value}"),
    })
}

#[test]
fn the_models_are_read_whatever_else_is_wrong() {
    let text = "[models]\ndetector = \"yunet-s\"\n[mqtt]\nport = 1\n[cameras.FRONT]\nfps = \"x\"\n";
    let environment = [("VISOR__MODELS__PROVIDER".to_owned(), "cuda".to_owned())];
    let models = models_of(text, &environment).unwrap();
    assert_eq!((models.detector.as_str(), models.provider.name()), ("yunet-s", "cuda"));
}

#[test]
fn the_models_own_problems_are_named() {
    let shown = |text: &str| models_of(text, &[]).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(shown("[cameras.front]\nfps = 1\n[models]\ndetektor = \"x\"\n")[0].starts_with("models.detektor (line 4)"));
    assert_eq!(shown("models = 3\n"), ["models (line 1): is an integer, must be a table"]);
}

#[test]
fn a_file_that_is_no_text_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"[cameras.front]\nuri = \"file:///caf\xe9.mp4\"\n").unwrap();
    let shown = load(file.path()).unwrap_err()[0].to_string();
    assert!(shown.contains("is not text in UTF-8; save it"), "{shown}");
    let shown = load(Path::new("/nonexistent/visor.toml")).unwrap_err()[0].to_string();
    assert!(shown.contains("cannot read /nonexistent/visor.toml"), "{shown}");
}
