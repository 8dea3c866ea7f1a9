//! Paths of keys as users write them: `cameras.front.zones[0].name`.

use std::fmt;

use serde_json::Value;

/// One step into a tree of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a table.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// A path from the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// One step further, into a table.
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// One step further, into a list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps from the root.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The tables around, from the outermost.
    pub(super) fn around(&self) -> impl Iterator<Item = Self> {
        (1..self.0.len()).map(|depth| Self(self.0[..depth].to_vec()))
    }

    /// From a JSON pointer into `root`.
    pub(super) fn of_pointer(pointer: &str, root: &Value) -> Self {
        let mut path = Self::default();
        let mut here = Some(root);
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let index = here.and_then(Value::as_array).and_then(|_| token.parse::<usize>().ok());
            here = here.and_then(|value| index.map_or_else(|| value.get(&token), |index| value.get(index)));
            path.0.push(index.map_or(Step::Key(token), Step::Index));
        }
        path
    }

    /// The value in `root` at this path.
    pub(super) fn find_mut<'a>(&self, root: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(root, |here, step| match step {
            Step::Key(key) => here.get_mut(key),
            Step::Index(index) => here.get_mut(index),
        })
    }

    /// The path without what lies in a list: lists are taken or left as a whole.
    pub(super) fn outside_lists(mut self) -> Self {
        if let Some(first) = self.0.iter().position(|step| matches!(step, Step::Index(_))) {
            self.0.truncate(first);
        }
        self
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            let dot = if depth == 0 { "" } else { "." };
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if is_bare(key) => write!(f, "{dot}{key}")?,
                Step::Key(key) => write!(f, "{dot}{key:?}")?,
            }
        }
        Ok(())
    }
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
