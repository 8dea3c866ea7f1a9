//! What is seen between two pictures, and in neither of them.

use super::cut::{COLUMNS, ROWS, Signature};

/// By so many levels a block is lighter or darker than anything near it, before and after.
const LEVELS: u8 = 12;
/// So many blocks away what moves is looked for.
const REACH: usize = 2;
/// Of a square of three blocks, which a face of 24 pixels in a picture of 720 rows touches, so many are unlike.
const LEAST: usize = 4;

/// What two pictures show: the darkest and the lightest near each block, in either of them.
pub struct Surroundings {
    least: Vec<u8>,
    most: Vec<u8>,
}

impl Surroundings {
    /// Of the pictures on both sides of a gap.
    pub fn of(before: &Signature, after: &Signature) -> Self {
        let both = |pick: fn(u8, u8) -> u8| -> Vec<u8> {
            let here = before.blocks().iter().zip(after.blocks()).map(|(a, b)| pick(*a, *b)).collect();
            near(here, pick)
        };
        Self { least: both(u8::min), most: both(u8::max) }
    }

    /// Whether a picture between the two shows something, as large as a small face, that is near there in neither of them:
    /// somebody who passed a gap.
    pub fn lack(&self, between: &Signature) -> bool {
        let ranges = self.least.iter().zip(&self.most);
        let is_unlike = |(block, (least, most)): (&u8, (&u8, &u8))| {
            block.saturating_add(LEVELS) < *least || block.saturating_sub(LEVELS) > *most
        };
        let unlike: Vec<bool> = between.blocks().iter().zip(ranges).map(is_unlike).collect();
        let rows: Vec<&[bool]> = unlike.chunks_exact(COLUMNS).collect();
        let square =
            |rows: &[&[bool]], left: usize| rows.iter().flat_map(|row| &row[left..left + 3]).filter(|u| **u).count();
        unlike.contains(&true) && rows.windows(3).any(|rows| (0..COLUMNS - 2).any(|left| square(rows, left) >= LEAST))
    }
}

/// What `pick` picks of all that is near each block.
fn near(blocks: Vec<u8>, pick: fn(u8, u8) -> u8) -> Vec<u8> {
    if blocks.len() < COLUMNS * ROWS {
        return blocks;
    }
    let mut across = blocks.clone();
    for (row, out) in blocks.chunks_exact(COLUMNS).zip(across.chunks_exact_mut(COLUMNS)) {
        for by in 1..=REACH {
            out[by..].iter_mut().zip(row).for_each(|(out, block)| *out = pick(*out, *block));
            out.iter_mut().zip(&row[by..]).for_each(|(out, block)| *out = pick(*out, *block));
        }
    }
    let mut all = across.clone();
    for by in (1..=REACH).map(|by| by * COLUMNS) {
        all[by..].iter_mut().zip(&across).for_each(|(out, block)| *out = pick(*out, *block));
        all.iter_mut().zip(&across[by..]).for_each(|(out, block)| *out = pick(*out, *block));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Textured ground that is lighter by `light`, with squares of so many blocks at these places.
    fn picture(light: u8, squares: &[(usize, usize, usize)]) -> Signature {
        let mut blocks: Vec<u8> = (0..COLUMNS * ROWS)
            .map(|n| 60 + light + (n % COLUMNS / 7 % 3 * 10 + n / COLUMNS / 5 % 3 * 8) as u8)
            .collect();
        for (left, top, side) in squares {
            for row in blocks.chunks_exact_mut(COLUMNS).skip(*top).take(*side) {
                row[*left..left + side].fill(180);
            }
        }
        Signature::from_blocks(blocks)
    }

    fn is_glimpse(between: &Signature, before: &Signature, after: &Signature) -> bool {
        Surroundings::of(before, after).lack(between)
    }

    #[test]
    fn what_is_seen_in_between_alone_is_a_glimpse() {
        let empty = picture(0, &[]);
        for place in [(0, 0, 2), (126, 70, 2), (60, 30, 3), (40, 10, 12)] {
            assert!(is_glimpse(&picture(0, &[place]), &empty, &empty), "{place:?}");
        }
        assert!(!is_glimpse(&picture(0, &[(60, 30, 1)]), &empty, &empty), "too small for a face");
        let far = picture(0, &[(20, 30, 3)]);
        assert!(is_glimpse(&picture(0, &[(60, 30, 3)]), &far, &empty), "it was elsewhere");
    }

    #[test]
    fn what_was_there_comes_stays_or_moves_on_is_none() {
        let (empty, there) = (picture(0, &[]), picture(0, &[(60, 30, 4)]));
        for (between, before, after) in [(&empty, &empty, &empty), (&there, &there, &empty), (&there, &empty, &there)] {
            assert!(!is_glimpse(between, before, after));
        }
        let (from, to) = (picture(0, &[(58, 30, 4)]), picture(0, &[(62, 31, 4)]));
        assert!(!is_glimpse(&there, &from, &to), "on its way");
        assert!(!is_glimpse(&picture(6, &[]), &empty, &empty), "a little lighter");
        assert!(is_glimpse(&picture(30, &[]), &empty, &empty), "a flash may hide somebody");
        let nothing = Signature::default();
        assert!(!is_glimpse(&nothing, &nothing, &nothing));
    }
}
