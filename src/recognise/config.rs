//! What a user sets about recognition: `[gallery]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gallery::{Tags, folder, tags};
use crate::fault::Problem;
use crate::units::Period;

/// `[gallery]`: who is known, and how sure Visor must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder with a folder for each person, whose name is the person's and which holds pictures of that one face. Read
    /// at start and on reload, never written. Default none: nobody is known but those enrolled over MQTT.
    pub folder: Option<PathBuf>,
    /// Least cosine similarity at which a face is a person's, 0 to 1. Default: the model's own, which rises with the
    /// number of people; `visor gallery check` measures it for this gallery.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: Option<f32>,
    /// Least distance to the next person's similarity, 0 to 1. Default: the model's own, as `threshold`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub margin: Option<f32>,
    /// Ids of the people with each tag, for policies such as a mask's `exempt`: `staff = ["alice", "bob"]`. Default: none.
    pub tags: Tags,
    /// How long a stranger keeps an alias after being seen last, 1m to 30d. A length of time; default `24h`.
    pub stranger_ttl: Period,
    /// How long after the last track of a person has ended the person counts as gone, 0s to 1h. A length of time; default
    /// `5s`.
    pub absent_after: Period,
    /// How long it is kept where and when people and strangers were seen, in memory only, 1m to 30d. A length of time; default
    /// `24h`.
    pub appearance_ttl: Period,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: None,
            threshold: None,
            margin: None,
            tags: Tags::default(),
            stranger_ttl: Period::secs(24 * 3600),
            absent_after: Period::secs(5),
            appearance_ttl: Period::secs(24 * 3600),
        }
    }
}

impl Config {
    /// What is wrong with it, with the keys of this table.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(folder) = self.folder.as_ref().filter(|folder| !folder.is_dir()) {
            let what = format!("there is no folder {}", folder.display());
            problems.push(Problem::new("folder", what).remedy("make it, with a folder for each person in it"));
        } else if let Some(Err(fault)) = self.folder.as_ref().map(|folder| folder::contents(folder)) {
            problems.push(Problem::new("folder", fault.what).remedy(fault.remedy));
        }
        problems.extend(tags::problems(&self.tags));
        let within = |period: Period, from: u64, to: u64| (Period::secs(from)..=Period::secs(to)).contains(&period);
        for (key, ttl) in [("stranger_ttl", self.stranger_ttl), ("appearance_ttl", self.appearance_ttl)] {
            if !within(ttl, 60, 30 * 86_400) {
                problems.push(Problem::new(key, "must lie between 1m and 30d (\"720h\")"));
            }
        }
        if !within(self.absent_after, 0, 3600) {
            problems.push(Problem::new("absent_after", "must lie between 0s and 1h"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_is_named_with_its_key() {
        assert!(Config::default().problems().is_empty());
        let wrong = Config {
            folder: Some("/nonexistent/gallery".into()),
            stranger_ttl: Period::secs(5),
            absent_after: Period::secs(7200),
            ..Config::default()
        };
        let keys: Vec<String> = wrong.problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["folder", "stranger_ttl", "absent_after"]);
    }
}
