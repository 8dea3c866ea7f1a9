use std::time::Duration;

use super::*;
use crate::mask::{Audit, Who};
use crate::sink::Snapshots;
use crate::sink::restream::Codec;

const FRONT: &str = "models.embedder = \"none\"\n[cameras.front]\nuri = \"rtsp://10.0.0.7/s\"\n";

fn resolved(text: &str) -> Resolved {
    let text = format!("{FRONT}{text}\n");
    resolve_text(&text, &[]).unwrap_or_else(|problems| panic!("{text}\nhas {problems:#?}"))
}

fn check_problems(text: &str, expected: &[&str]) {
    let problems = resolve_text(&format!("{FRONT}{text}\n"), &[]).err().unwrap_or_default();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected, "of\n{text}");
}

#[test]
fn a_camera_is_masked_where_anything_may_show_its_pictures() {
    let masking = |text: &str| resolved(text).cameras["front"].masking.clone();
    assert_eq!(masking(""), None);
    assert_eq!(masking("snapshots = \"clear\""), None, "nothing else shows them");
    for text in [
        "snapshots = \"masked\"",
        "[cameras.front.mask]",
        "[cameras.front.restream]",
        "privacy_zones = [{ name = \"street\", polygon = [[0, 0], [1, 0], [1, 1]] }]",
    ] {
        let masking = masking(text).unwrap();
        assert_eq!(
            (masking.mask.who, masking.mask.kind.name, masking.mask.audit),
            (Who::Everyone, "solid", Audit::Report)
        );
        assert!(!masking.mask.switchable, "{text}");
    }
}

#[test]
fn a_camera_can_be_looked_at_unless_something_speaks_against_it() {
    let preview = |text: &str| resolved(text).cameras["front"].preview.clone();
    for text in ["", "preview = true", "snapshots = \"clear\""] {
        let Preview::Asked(mask) = preview(text) else { panic!("{text}") };
        assert_eq!((mask.who, mask.kind.name), (Who::Everyone, "solid"), "{text}");
    }
    assert_eq!(preview("[cameras.front.restream]"), Preview::Masked);
    let off = |text: &str, why: &str| {
        let Preview::Off(told) = preview(text) else { panic!("{text}") };
        assert!(told.contains(why), "{text}: {told}");
    };
    off("preview = false", "preview = false");
    off("preview = false\n[cameras.front.restream]", "preview = false");
    off("detect = \"motion\"", "detect = \"always\"");
    off("min_face_px = 40", "min_face_px");
    let problem = "cameras.front.detect (line 5): a camera that is masked must be analysed always: a face may appear without a \
                   motion; set detect = \"always\", or take out mask, privacy_zones, restream, snapshots and preview";
    check_problems("preview = true\ndetect = \"motion\"", &[problem]);
}

#[test]
fn every_key_of_masking_is_taken_over() {
    let config = resolved(
        "snapshots = \"masked\"\n[cameras.front.mask]\nwho = \"strangers\"\nswitchable = true\naudit = \"cover\"\n\
         audit_interval = \"7s\"\n[[cameras.front.privacy_zones]]\nname = \"street\"\npolygon = [[0, 0], [1, 0], [1, 1]]\n\
         [cameras.front.restream]\npath = \"house/front\"\ncodec = \"h265\"\nwidth = 640\nheight = 360\n\
         [restream]\nlisten = \"127.0.0.1:0\"",
    );
    let camera = &config.cameras["front"];
    let mask = &camera.masking.as_ref().unwrap().mask;
    assert_eq!((mask.who, mask.switchable, mask.audit), (Who::Strangers, true, Audit::Cover));
    assert_eq!((mask.audit_interval, mask.zones.len()), (Duration::from_secs(7), 1));
    let mount = camera.restream.as_ref().unwrap();
    assert_eq!((mount.path.as_str(), mount.codec), ("house/front", Codec::H265));
    assert_eq!(mount.size, Some(crate::geometry::Size::new(640, 360)));
    assert_eq!(camera.snapshots, Snapshots::Masked);
    assert_eq!(config.restream.unwrap().listen.port(), 0);
    assert_eq!(resolved("[restream]\nlisten = \"127.0.0.1:1\"").restream, None, "no camera's video is served");
}

#[test]
fn held_frames_have_slots() {
    let slots = |text: &str| resolved(text).cameras["front"].source.slots;
    let held = |text: &str| resolved(text).cameras["front"].masking.as_ref().unwrap().capacity;
    // 210 ms at 30 frames a second, twice
    assert_eq!(held("[cameras.front.mask]"), 13);
    assert_eq!(slots("[cameras.front.mask]"), slots("") + 13);
    assert_eq!(held("analysis_fps = 25\n[cameras.front.mask]"), 12, "the look-ahead alone");
    assert_eq!(held("analysis_fps = 1\n[cameras.front.mask]"), 60, "never more than two seconds");
    let hold = resolved("[cameras.front.mask]\nlookahead_ms = 0").cameras["front"].masking.as_ref().unwrap().hold;
    assert_eq!(hold.as_millis(), 143);
}

#[test]
fn what_would_keep_faces_from_the_mask_is_refused() {
    check_problems(
        "detect = \"motion\"\nanalysis_fps = 0.5\nmin_face_px = 20\nscore = 0.9\n[cameras.front.mask]\nwho = \"all\"",
        &[
            "cameras.front.low_score (line 2): faces that score less than 0.54 would not be masked, and yunet-n finds fainter ones; set low_score = 0.3, which new tracks are not made of",
            "cameras.front.detect (line 4): a camera that is masked must be analysed always: a face may appear without a motion; set detect = \"always\", or take out mask, privacy_zones, restream, snapshots and preview",
            "cameras.front.analysis_fps (line 5): 0.5 is too few for a mask: frames would wait 2s for theirs; set it to 1 or more; 10 is a good rate",
            "cameras.front.min_face_px (line 6): faces smaller than 20 pixels would not be masked; take it out of a camera that is masked",
            "cameras.front.mask.who (line 9): \"all\" is none of everyone, strangers, known, nobody",
        ],
    );
    check_problems("detect = \"motion\"\nmin_face_px = 20\nscore = 0.9", &[]);
    check_problems("score = 0.9\nlow_score = 0.3\n[cameras.front.mask]", &[]);
}

#[test]
fn problems_of_masking_and_of_video_out_have_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("face.png");
    std::fs::write(&text, "no picture").unwrap();
    check_problems(
        &format!(
            "[cameras.front.mask]\nkind = \"image\"\nimage = {text:?}\naudit_interval = \"10ms\"\n\
             [[cameras.front.privacy_zones]]\nname = \"A\"\npolygon = [[0, 0], [1, 0]]\n\
             [cameras.front.restream]\npush = \"http://server/x\"\nbitrate_kbps = 1\n\
             [cameras.back]\nuri = \"test:\"\nrestream.path = \"front\"\n\
             [restream]\nlisten = \"0.0.0.0:8554\"\ncertificate = \"/nonexistent\""
        ),
        &[
            &format!("cameras.front.mask.image (line 6): {}: is no picture; name a JPEG or PNG file", text.display()),
            "cameras.front.mask.audit_interval (line 7): 10ms is not between 200ms and 3600s; choose a time between them",
            "cameras.front.privacy_zones[0].name (line 9): \"A\" is not an id: a-z or 0-9, then up to 62 of a-z, 0-9, _ and -",
            "cameras.front.privacy_zones[0].polygon (line 10): a polygon needs at least 3 corners, here are 2",
            "cameras.front.restream.path (line 11): \"front\" is where camera back is found already; give each camera a path of its own",
            "cameras.front.restream.push (line 12): http://server/x is not taken by RTSP RECORD; name a media server as rtsp://host/path or rtsps://host/path",
            "cameras.front.restream.bitrate_kbps (line 13): is 1, must be at least 64",
            "restream.private_key (line 17): is missing: a certificate is of no use without its key; name the PEM file of its key",
            "restream.listen (line 18): 0.0.0.0:8554 can be reached from outside this machine, and no users_file is set; set restream.users_file, or listen on 127.0.0.1",
        ],
    );
}

#[test]
fn a_reload_sees_what_differs_in_masking() {
    let old = resolved("[cameras.front.restream]");
    let camera = Changes { changed: vec!["front".to_owned()], ..Changes::default() };
    for text in [
        "[cameras.front.restream]\nbitrate_kbps = 2000",
        "[cameras.front.restream]\n[cameras.front.mask]\nkind = \"pixelate\"",
        "snapshots = \"clear\"\n[cameras.front.restream]",
    ] {
        assert_eq!(diff(&old, &resolved(text)), camera, "{text}");
    }
    let elsewhere = resolved("[cameras.front.restream]\n[restream]\nlisten = \"127.0.0.1:8555\"");
    let changes = diff(&old, &elsewhere);
    assert_eq!(changes, Changes { restream: true, ..Changes::default() });
    assert_eq!(changes.to_string(), "restream");
    assert_eq!(diff(&old, &resolved("[cameras.front.restream]\n[cameras.front.mask]")), Changes::default());
}

#[test]
fn another_picture_over_faces_is_another_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("over.png");
    let draw = |grey: u8| image::GrayImage::from_pixel(2, 2, image::Luma([grey])).save(&file).unwrap();
    let text = format!("[cameras.front.mask]\nkind = \"image\"\nimage = {file:?}");
    draw(10);
    let old = resolved(&text);
    draw(20);
    assert_eq!(diff(&old, &resolved(&text)).changed, ["front"]);
}

#[test]
fn an_exemption_that_is_nobody_s_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bob = folder.path().join("Bob");
    std::fs::create_dir(&bob).unwrap();
    std::fs::write(bob.join("1.jpg"), "").unwrap();
    let notes = |exempt: &str, gallery: &str| {
        let text = format!("[cameras.front.mask]\nexempt = {exempt}\n[gallery]\n{gallery}");
        let mut notes = resolved(&text).notes();
        notes.retain(|note| note.contains("exempt"));
        notes
    };
    let told = |exempt: &str, gallery: &str, why: &str| {
        let expected =
            format!("cameras.front.mask.exempt: nobody has the tag \"staff\" yet, so that it shows nobody: {why}");
        assert_eq!(notes(exempt, gallery), [expected], "{exempt} {gallery}");
    };
    let people = format!("folder = {:?}", folder.path());
    let example = "gallery.tags gives people tags by their ids: \"staff\" = [\"alice\", \"bob\"]";
    told("[\"staff\"]", "", example);
    told("[\"staff\"]", "tags.staff = []", example);
    told("[\"staff\"]", "tags.stuff = [\"alice\"]", "did you mean \"stuff\"?");
    let absent = |who: &str| {
        format!("gallery.folder has no pictures of {who}; whoever is enrolled while Visor runs can have it")
    };
    told("[\"staff\"]", "tags.staff = [\"alice\"]", &absent("alice"));
    told("[\"staff\"]", &format!("{people}\ntags.staff = [\"alice\", \"cara\"]"), &absent("alice, cara"));
    assert_eq!(notes("[\"staff\"]", &format!("{people}\ntags.staff = [\"alice\", \"bob\"]")), [""; 0]);
    assert_eq!(notes("[]", &people), [""; 0]);
}
