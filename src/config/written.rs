//! The configuration as it is written, kept while the daemon runs: cameras may be added to it that no file names.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::document::Document;
use super::{Resolved, check, read, read_file, resolve, variables};
use crate::fault::Problem;

/// The table of cameras.
const CAMERAS: &str = "cameras";

/// A text, the environment over it, and the cameras that were added since. May hold passwords, and so is never shown.
#[derive(Clone, Default)]
pub struct Written {
    text: Zeroizing<String>,
    variables: Vec<(String, String)>,
    added: BTreeMap<String, Value>,
    /// Zones of cameras that the text names, in the place of those there.
    drawn: BTreeMap<String, Map<String, Value>>,
}

impl Written {
    /// That of `file`, with the environment over it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &Path) -> Result<Self, Vec<Problem>> {
        Ok(Self { text: read_file(file)?, variables: variables(), ..Self::default() })
    }

    /// That of a text alone.
    pub fn of(text: String) -> Self {
        Self { text: Zeroizing::new(text), ..Self::default() }
    }

    /// The same with `variables` (name, value) over it.
    #[must_use]
    pub(super) fn under(self, variables: &[(String, String)]) -> Self {
        Self { variables: variables.to_vec(), ..self }
    }

    /// The settings that it leads to. Starts nothing.
    ///
    /// # Errors
    /// Every problem there is; of a text that is not TOML only where it breaks.
    pub fn resolve(&self) -> Result<Resolved, Vec<Problem>> {
        let mut document = Document::parse(&self.text)?;
        let mut problems = document.overlay(&self.variables);
        self.add_to(&mut document.value);
        problems.extend(resolve::check_ids(&document.value));
        let mut value = std::mem::take(&mut document.value);
        problems.extend(check::check(&mut value));
        let resolved = read(value).and_then(|config| resolve::resolve(&config));
        let later = match resolved {
            Ok(resolved) if problems.is_empty() => return Ok(resolved),
            Ok(_) => Vec::new(),
            Err(later) => later,
        };
        // What follows from a problem already named would only confuse.
        let known: Vec<String> = problems.iter().map(|p| p.key.clone()).collect();
        problems.extend(later.into_iter().filter(|p| !known.contains(&p.key)));
        Err(document.located(problems))
    }

    fn add_to(&self, root: &mut Value) {
        let Some(root) = root.as_object_mut().filter(|_| !self.added.is_empty() || !self.drawn.is_empty()) else {
            return;
        };
        let cameras = root.entry(CAMERAS).or_insert_with(|| Value::Object(Map::new()));
        let Some(cameras) = cameras.as_object_mut() else { return };
        for (id, table) in &self.added {
            cameras.entry(id.as_str()).or_insert_with(|| table.clone());
        }
        for (id, zones) in &self.drawn {
            if let Some(table) = cameras.get_mut(id).and_then(Value::as_object_mut) {
                table.extend(zones.clone());
            }
        }
    }

    /// A camera's table as the text, the environment and what came since make it.
    pub fn table(&self, camera: &str) -> Option<Value> {
        self.whole().get_mut(CAMERAS)?.get_mut(camera).map(Value::take)
    }

    fn whole(&self) -> Value {
        let Ok(mut document) = Document::parse(&self.text) else { return Value::Null };
        document.overlay(&self.variables);
        self.add_to(&mut document.value);
        document.value
    }

    /// The same with these tables of a camera's (`zones`, `privacy_zones`) in the place of its own. Those of a camera that the
    /// text names hold until the text says something else of that camera.
    #[must_use]
    pub fn drawn(mut self, camera: &str, zones: Map<String, Value>) -> Self {
        match self.added.get_mut(camera).and_then(Value::as_object_mut) {
            Some(table) => table.extend(zones),
            None => drop(self.drawn.insert(camera.to_owned(), zones)),
        }
        self
    }

    /// What the text alone says of a camera.
    fn text_of(&self, camera: &str) -> Option<Value> {
        Self { added: BTreeMap::new(), drawn: BTreeMap::new(), ..self.clone() }.table(camera)
    }

    /// Whether the text or the environment names this camera: then it cannot be changed from elsewhere.
    pub fn names(&self, camera: &str) -> bool {
        let document = Document::parse(&self.text).map(|mut document| {
            document.overlay(&self.variables);
            document.value
        });
        document.is_ok_and(|root| root.get(CAMERAS).and_then(|cameras| cameras.get(camera)).is_some())
    }

    /// Whether this camera was added.
    pub fn has_added(&self, camera: &str) -> bool {
        self.added.contains_key(camera)
    }

    /// The same with this camera, in the place of what it was before.
    #[must_use]
    pub fn with(mut self, camera: &str, table: Value) -> Self {
        self.added.insert(camera.to_owned(), table);
        self
    }

    /// The same without a camera that was added.
    #[must_use]
    pub fn without(mut self, camera: &str) -> Self {
        self.added.remove(camera);
        self
    }

    /// The same with the cameras that were added to `before`, but for those that are named here; and with the zones that were
    /// drawn there, where the camera is still the same.
    #[must_use]
    pub fn carrying(mut self, before: &Self) -> Self {
        let carried = before.added.iter().filter(|(id, _)| !self.names(id));
        self.added = carried.map(|(id, table)| (id.clone(), table.clone())).collect();
        let drawn = before.drawn.iter().filter(|(id, _)| {
            let now = self.text_of(id);
            now.is_some() && now == before.text_of(id)
        });
        self.drawn = drawn.map(|(id, zones)| (id.clone(), zones.clone())).collect();
        self
    }

    /// The same without the added cameras that `problems` are about; and which these are.
    #[must_use]
    pub fn without_wrong(mut self, problems: &[Problem]) -> (Self, Vec<String>) {
        let is_about = |problem: &Problem, id: &str| {
            let rest = problem.key.strip_prefix(CAMERAS).and_then(|key| key.strip_prefix('.')?.strip_prefix(id));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let wrong = |id: &String| problems.iter().any(|problem| is_about(problem, id));
        let (gone, kept) = std::mem::take(&mut self.added).into_iter().partition(|(id, _)| wrong(id));
        self.added = kept;
        let gone: BTreeMap<_, _> = gone;
        (self, gone.into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "models.embedder = \"none\"\n[cameras.front]\nuri = \"test:\"\n";

    fn cameras(written: &Written) -> Vec<String> {
        written.resolve().unwrap().cameras.into_keys().collect()
    }

    #[test]
    fn a_camera_is_added_changed_and_taken_out() {
        let written = Written::of(FILE.to_owned()).with("yard", json!({ "uri": "test:", "analysis_fps": 5 }));
        assert_eq!(cameras(&written), ["front", "yard"]);
        assert!(written.names("front") && !written.names("yard") && written.has_added("yard"));
        let changed = written.clone().with("yard", json!({ "uri": "test:", "enabled": false }));
        assert!(!changed.resolve().unwrap().cameras["yard"].enabled);
        assert_eq!(cameras(&changed.without("yard")), ["front"]);
    }

    #[test]
    fn what_the_file_names_wins() {
        let written = Written::of(FILE.to_owned()).with("yard", json!({ "uri": "test:", "enabled": false }));
        let other = Written::of(FILE.replace("front", "side")).carrying(&written);
        assert_eq!(cameras(&other), ["side", "yard"]);
        let named = Written::of(FILE.replace("front", "yard")).carrying(&other);
        assert!(named.resolve().unwrap().cameras["yard"].enabled && !named.has_added("yard"));
        let variable = ("VISOR__CAMERAS__YARD__URI".to_owned(), "test:".to_owned());
        assert!(Written::of(FILE.to_owned()).under(&[variable]).names("yard"));
    }

    #[test]
    fn zones_are_drawn_until_the_file_says_something_else_of_the_camera() {
        let zone = |name: &str| json!([{ "name": name, "polygon": [[0, 0], [1, 0], [1, 1]] }]);
        let zones = |name: &str| json!({ "privacy_zones": zone(name), "zones": [] }).as_object().unwrap().clone();
        let drawn = Written::of(FILE.to_owned()).with("yard", json!({ "uri": "test:" }));
        let drawn = drawn.drawn("front", zones("street")).drawn("yard", zones("pond"));
        for (camera, name) in [("front", "street"), ("yard", "pond")] {
            assert_eq!(drawn.table(camera).unwrap()["privacy_zones"][0]["name"], name);
            let masking = drawn.resolve().unwrap().cameras[camera].masking.clone();
            assert_eq!(masking.unwrap().mask.zones.len(), 1, "{camera}");
        }
        let another = format!("{FILE}[cameras.side]\nuri = \"test:\"\n");
        assert_eq!(Written::of(another).carrying(&drawn).table("front"), drawn.table("front"));
        let changed = Written::of(format!("{FILE}enabled = false\n")).carrying(&drawn);
        assert_eq!(changed.table("front").unwrap().get("privacy_zones"), None);
        assert_eq!(Written::of("[cameras.side]\nuri = \"test:\"\n".to_owned()).carrying(&drawn).table("front"), None);
    }

    #[test]
    fn problems_of_an_added_camera_are_its_own() {
        let written = Written::of(FILE.to_owned())
            .with("yard", json!({ "url": "test:", "analysis_fps": 0 }))
            .with("yard-2", json!({ "uri": "test:" }));
        let problems = written.resolve().unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["cameras.yard.analysis_fps", "cameras.yard.url", "cameras.yard.uri"]);
        let (rest, gone) = written.without_wrong(&problems);
        assert_eq!((cameras(&rest), gone), (vec!["front".to_owned(), "yard-2".to_owned()], vec!["yard".to_owned()]));
    }
}
