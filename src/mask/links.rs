//! Which face is found again as what another track follows, or as what nobody followed yet: a tracker gives a face that went
//! fast, or behind another one, a new number, and of two that cross it takes one for the other.

use std::time::Duration;

use super::motion::{distance, seconds, size};
use super::sighting::Sighting;
use super::strand::{SURE, Strand};
use crate::geometry::Rect;

/// A face that is lost is found again no later than after so many seconds …
const LOST: f32 = 0.6;
/// … and for each second by no more than so many sizes further from where it was going.
const ASTRAY: f32 = 1.5;
/// Boxes of one face are no larger or smaller than each other by this factor.
const ALIKE: f32 = 1.6;

/// A strand, and the sighting that continues it, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub strand: usize,
    pub sighting: usize,
}

/// Whether two boxes may be of one face by their sizes.
pub(super) fn are_alike(a: Rect, b: Rect) -> bool {
    (1.0 / ALIKE..ALIKE).contains(&(size(a) / size(b).max(1e-3)))
}

/// The faces that an analysis at that time, in that shot, found where they were going, though their trackers say otherwise:
/// each goes on as one sighting at most, the nearest first. `newest` is the time of the analysis before.
pub(super) fn links(
    strands: &[Strand],
    (at, shot): (Duration, u64),
    newest: Duration,
    sightings: &[Sighting],
) -> Vec<Link> {
    let own = |sighting: &Sighting| strands.iter().position(|strand| strand.is_followed_by(sighting));
    let owners: Vec<Option<usize>> = sightings.iter().map(own).collect();
    let goes_on = |owner: usize, sighting: &Sighting| {
        sighting.seen && strands[owner].is_open(at) && strands[owner].goes_on_as(sighting, at)
    };
    let settled: Vec<Option<usize>> =
        owners.iter().zip(sightings).map(|(owner, sighting)| owner.filter(|owner| goes_on(*owner, sighting))).collect();
    let mut found = Vec::new();
    let searching = strands.iter().enumerate().filter(|(n, strand)| strand.firm && !settled.contains(&Some(*n)));
    for (strand, (last, expected)) in searching.filter_map(|(n, strand)| Some((n, strand.heading_for(at)?))) {
        if last.shot != shot || seconds(at.saturating_sub(last.at)) > LOST {
            continue;
        }
        let lost = seconds(newest.saturating_sub(last.at));
        for (n, sighting) in sightings.iter().enumerate().filter(|(_, sighting)| sighting.seen && sighting.firm) {
            // who has been lost for longer is only taken for somebody new
            let is_free = settled[n].is_none() && owners[n] != Some(strand) && (lost == 0.0 || owners[n].is_none());
            let far = distance(expected, sighting.rect);
            if is_free && far <= SURE + ASTRAY * lost && are_alike(last.sighting.rect, sighting.rect) {
                found.push((far, Link { strand, sighting: n }));
            }
        }
    }
    nearest(found)
}

/// Of all links those that are left when each takes its strand and its sighting from the ones that are further.
fn nearest(mut found: Vec<(f32, Link)>) -> Vec<Link> {
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut links: Vec<Link> = Vec::new();
    for (_, link) in found {
        if links.iter().all(|taken| taken.strand != link.strand && taken.sighting != link.sighting) {
            links.push(link);
        }
    }
    links
}
