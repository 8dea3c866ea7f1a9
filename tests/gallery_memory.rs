//! After somebody has been forgotten, nothing of them is in this process' memory: its writable mappings are searched for
//! the numbers, exact and in bytes. A test of its own, since other tests' memory would be searched as well.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use visor::infer::manifest::Impostors;
use visor::recognise::Embedding;
use visor::recognise::gallery::{Calibration, Enrolment, Gallery, Profile, Settings};
use zeroize::Zeroizing;

const DIMENSION: usize = 256;

/// How much of each pattern is looked for: enough not to be there by chance.
const BYTES: usize = 24;

/// What is looked for, never as it is: the search must not find its own list.
struct Needle([u8; BYTES]);

const MASK: u8 = 0xa5;

impl Needle {
    fn new(pattern: &[u8]) -> Self {
        Self(std::array::from_fn(|i| pattern[i] ^ MASK))
    }

    fn is_at(&self, memory: &[u8]) -> bool {
        memory.iter().zip(&self.0).all(|(byte, masked)| *byte ^ MASK == *masked)
    }
}

/// The numbers of a face, which depend on `seed` alone.
fn numbers(seed: u64) -> Zeroizing<Vec<f32>> {
    let mut random = fastrand::Rng::with_seed(seed);
    Zeroizing::new((0..DIMENSION).map(|_| random.f32() - 0.5).collect())
}

/// As the model gave them, of length one, and as stored bytes.
fn needles(seed: u64) -> [Needle; 3] {
    let raw = numbers(seed);
    let length = raw.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let unit: Zeroizing<Vec<f32>> = Zeroizing::new(raw.iter().map(|v| (f64::from(*v) / length) as f32).collect());
    let scale = unit.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
    let coarse: Zeroizing<Vec<u8>> =
        Zeroizing::new(unit.iter().map(|v| ((v / scale).round() as i8 as u8).wrapping_add(128)).collect());
    let bytes =
        |values: &[f32]| Zeroizing::new(values.iter().take(BYTES).flat_map(|v| v.to_ne_bytes()).collect::<Vec<_>>());
    [Needle::new(&bytes(&raw)), Needle::new(&bytes(&unit)), Needle::new(&coarse)]
}

/// How often each needle is in a writable mapping of this process.
fn count(needles: &[Needle; 3]) -> [usize; 3] {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = [0; 3];
    // Touched before the maps are gone through, and left out of what is searched: it holds copies of what was read.
    let mut buffer = vec![0u8; 1 << 20];
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let (mut at, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        while at < to {
            let part = buffer.len().min((to - at) as usize);
            let Ok(read) = memory.read_at(&mut buffer[..part], at) else { break };
            // Numbers are aligned to a multiple of four bytes in memory of every kind.
            for offset in
                (0..read.saturating_sub(BYTES)).step_by(4).filter(|offset| !own.contains(&(at + *offset as u64)))
            {
                for (needle, found) in needles.iter().zip(&mut found) {
                    *found += usize::from(needle.is_at(&buffer[offset..offset + BYTES]));
                }
            }
            // A little again, so that nothing is missed between two parts.
            at += if read == part && part == buffer.len() { part as u64 - 4096 } else { read.max(1) as u64 };
        }
    }
    found
}

fn gallery() -> Gallery {
    let impostors = Impostors { cosine: 0.4, rate: 7e-4, scale: 0.036 };
    let calibration = Calibration { pair: 0.4, impostors };
    Gallery::new(Settings {
        model: "test".into(),
        dimension: DIMENSION,
        threshold: None,
        margin: None,
        calibration,
        tags: Default::default(),
    })
}

fn enrol(gallery: &Gallery, name: &str, seeds: std::ops::Range<u64>, expires: Option<SystemTime>) -> Vec<u64> {
    let references = seeds.map(|seed| (Embedding::new(&numbers(seed)), 0.9)).collect();
    let enrolment = Enrolment {
        id: None,
        profile: Profile { expires, ..Profile::named(name) },
        references,
        negative: false,
        source: "test".into(),
    };
    gallery.enrol(enrolment).unwrap().added
}

/// A gallery of many with Alice among them; `forget` is to leave nothing of her.
fn check_forgotten(what: &str, forget: impl FnOnce(Gallery, Vec<u64>) -> Option<Gallery>) {
    const ALICE: u64 = 1 << 40;
    let gallery = gallery();
    for n in 0..300 {
        enrol(&gallery, &format!("before {n}"), 2 * n..2 * n + 2, None);
    }
    let alice =
        enrol(&gallery, "Alice", ALICE..ALICE + 3, Some(SystemTime::now() + std::time::Duration::from_secs(3600)));
    for n in 300..400 {
        enrol(&gallery, &format!("after {n}"), 2 * n..2 * n + 2, None);
    }
    let probe = Embedding::new(&numbers(7));
    assert_eq!(&*gallery.search(&probe).first.unwrap().person.id, "before-3");
    drop(probe);
    let [_, exact, coarse] = count(&needles(ALICE + 1));
    assert!(exact > 0 && coarse > 0, "{what}: not found while she is there: {exact} {coarse}");
    let rest = forget(gallery, alice);
    assert_eq!(count(&needles(ALICE + 1)), [0; 3], "{what}: as given, exact, in bytes");
    if let Some(rest) = rest {
        let [_, exact, coarse] = count(&needles(7));
        assert!(exact > 0 && coarse > 0, "{what}: the others are still there");
        drop(rest);
    }
    assert_eq!(count(&needles(7)), [0; 3], "{what}: the others are gone with the gallery");
}

#[test]
fn whoever_is_forgotten_is_not_in_memory() {
    check_forgotten("forget", |gallery, _| {
        assert!(gallery.forget("alice"));
        Some(gallery)
    });
    check_forgotten("remove", |gallery, references| {
        assert_eq!(gallery.remove(&references), 3);
        Some(gallery)
    });
    check_forgotten("sweep", |gallery, _| {
        let later = SystemTime::now() + std::time::Duration::from_secs(7200);
        assert_eq!(gallery.sweep(later).len(), 1);
        Some(gallery)
    });
    check_forgotten("forget all", |gallery, _| {
        gallery.forget_all();
        None
    });
    check_forgotten("drop", |gallery, _| {
        drop(gallery);
        None
    });
}
