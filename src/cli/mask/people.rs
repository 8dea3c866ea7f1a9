//! Whom `visor mask` has to know, where not everybody is masked.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::MaskArgs;
use crate::cli::people;
use crate::config::Resolved;
use crate::fault::Fault;
use crate::infer::Model;
use crate::mask::Who;
use crate::pipeline::Recognition;

/// The people of the gallery; `None` where it does not matter who somebody is.
pub(super) fn known(
    args: &MaskArgs,
    mut resolved: Resolved,
    detector: &Arc<Model>,
) -> Result<Option<Recognition>, Fault> {
    if !matches!(args.who, Who::Strangers | Who::Known) && args.exempt.is_empty() {
        return Ok(None);
    }
    let folder = args.gallery.clone().or(resolved.gallery.folder.clone()).ok_or_else(|| {
        Fault::usage("there is no gallery to know people by")
            .remedy("name its folder with --gallery, or set gallery.folder in the configuration")
    })?;
    tag_by_name(&mut resolved, &args.exempt);
    let recognition = people::recognition(&folder, &resolved, detector)?;
    has_everybody(&recognition, &args.exempt, &folder)?;
    Ok(Some(recognition))
}

/// People can be named by their ids as well as by a tag.
fn tag_by_name(resolved: &mut Resolved, exempt: &[String]) {
    let mut tags = resolved.gallery.tags.as_ref().clone();
    for name in exempt {
        tags.entry(name.clone()).or_insert_with(|| BTreeSet::from([name.clone()]));
    }
    resolved.gallery.tags = Arc::new(tags);
}

/// A name that is nobody's is a mistake: whoever was meant would be masked.
fn has_everybody(recognition: &Recognition, exempt: &[String], folder: &Path) -> Result<(), Fault> {
    let gallery = &recognition.people.gallery;
    let tags: BTreeSet<String> = gallery.people().iter().flat_map(|person| gallery.tags_of(person)).collect();
    match exempt.iter().find(|name| !tags.contains(*name)) {
        Some(name) => Err(Fault::usage(format!("\"{name}\" is neither a person of {} nor a tag", folder.display()))
            .remedy("visor gallery list shows the people's ids; gallery.tags in the configuration gives them tags")),
        None => Ok(()),
    }
}
