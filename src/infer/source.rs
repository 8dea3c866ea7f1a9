//! Where a model's file can be had, as its manifest says it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place that a model's file can be had from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// The file at a path below the folder that `VISOR_ASSETS` names.
    Assets(String),
    /// Upstream's own file.
    Url(String),
    /// Files that the model's file is made from.
    Parts(Parts),
    /// Members of a zip archive.
    Zip(Archive),
    /// Members of a Python wheel.
    Pip(Package),
    /// Members of an npm package.
    Npm(Package),
}

impl Source {
    /// Who gives it, in a word or two.
    pub fn origin(&self) -> String {
        match self {
            Self::Assets(_) => Place::Assets(String::new()).origin(),
            Self::Url(url) | Self::Zip(Archive { url, .. }) => Place::Url(url.clone()).origin(),
            Self::Parts(parts) => parts.files.first().map(|file| file.place.origin()).unwrap_or_default(),
            Self::Pip(package) => format!("pip {}", package.package),
            Self::Npm(package) => format!("npm {}", package.package),
        }
    }

    /// Whether it lies in the folder that `VISOR_ASSETS` names.
    pub(super) fn needs_assets(&self) -> bool {
        match self {
            Self::Assets(_) => true,
            Self::Parts(parts) => parts.files.iter().any(|file| matches!(file.place, Place::Assets(_))),
            Self::Url(_) | Self::Zip(_) | Self::Pip(_) | Self::Npm(_) => false,
        }
    }

    /// What is wrong with it: a file is made from as many parts as it takes, and what is no model is not taken for one.
    pub(super) fn problem(&self) -> Option<String> {
        let (found, transform) = match self {
            Self::Assets(_) | Self::Url(_) => return None,
            Self::Parts(parts) => (parts.files.len(), Some(parts.transform)),
            Self::Zip(archive) => (archive.members.len(), archive.transform),
            Self::Pip(package) | Self::Npm(package) => (package.members.len(), package.transform),
        };
        let expected = transform.map_or(1, Transform::parts);
        (found != expected).then(|| format!("source {self}: expected {expected} files, found {found}"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assets(path) => write!(f, "$VISOR_ASSETS/{path}"),
            Self::Url(url) | Self::Zip(Archive { url, .. }) => f.write_str(url),
            Self::Parts(parts) => match parts.files.first() {
                Some(first) => write!(f, "{} and {} more", first.place, parts.files.len() - 1),
                None => f.write_str("no files"),
            },
            Self::Pip(Package { package, version, .. }) => write!(f, "pip {package}=={version}"),
            Self::Npm(Package { package, version, .. }) => write!(f, "npm {package}@{version}"),
        }
    }
}

/// Files that are fetched one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// How the model's file is made from them.
    pub transform: Transform,
    /// In the order in which the transform takes them.
    pub files: Vec<PartFile>,
}

/// One of several files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// Where one file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A path below the folder that `VISOR_ASSETS` names.
    Assets(String),
    /// An address.
    Url(String),
}

impl Place {
    /// What the file is called.
    pub(super) fn file_name(&self) -> String {
        let (Self::Assets(path) | Self::Url(path)) = self;
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }

    fn origin(&self) -> String {
        match self {
            Self::Assets(_) => "assets folder".into(),
            Self::Url(url) => {
                url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assets(path) => write!(f, "$VISOR_ASSETS/{path}"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// A zip archive at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Its address.
    pub url: String,
    /// Its length.
    pub bytes: u64,
    /// What is taken out of it.
    pub members: Vec<Member>,
    /// How the model's file is made from the members; none where the one member is that file.
    #[serde(default)]
    pub transform: Option<Transform>,
}

/// Members of a package, fetched through the registry's own client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Name in the registry.
    pub package: String,
    /// Version, exactly.
    pub version: String,
    /// What is taken out of it.
    pub members: Vec<Member>,
    /// How the model's file is made from the members; none where the one member is that file.
    #[serde(default)]
    pub transform: Option<Transform>,
}

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Path inside the archive.
    pub path: String,
    /// Its SHA-256.
    pub sha256: String,
}

/// How the file in the store is made from what a source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// The graph's picture dimensions, written down as numbers by the exporter, become symbols.
    DynamicNchw,
    /// OpenVINO's intermediate representation, its XML and its weights, becomes ONNX.
    OpenvinoIr,
    /// face-api's list of weights and the weights themselves become dlib's network as ONNX.
    FaceApi,
}

impl Transform {
    /// How many files it takes.
    pub(super) const fn parts(self) -> usize {
        match self {
            Self::DynamicNchw => 1,
            Self::OpenvinoIr | Self::FaceApi => 2,
        }
    }
}
