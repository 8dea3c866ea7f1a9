//! The picture that stands for one that may not be shown, and says so.

use super::{Canvas, Colour};

const BACKGROUND: [u8; 3] = [28, 30, 36];
const INK: [u8; 3] = [200, 204, 212];

/// Columns and rows of a letter, with the gap to the next.
const LETTER: (usize, usize) = (6, 9);

/// Letters of five columns by seven rows, the topmost row first, the leftmost column in the highest of five bits.
const LETTERS: [(char, [u8; 7]); 26] = [
    ('A', [14, 17, 17, 31, 17, 17, 17]),
    ('B', [30, 17, 17, 30, 17, 17, 30]),
    ('C', [14, 17, 16, 16, 16, 17, 14]),
    ('D', [30, 17, 17, 17, 17, 17, 30]),
    ('E', [31, 16, 16, 30, 16, 16, 31]),
    ('F', [31, 16, 16, 30, 16, 16, 16]),
    ('G', [14, 17, 16, 23, 17, 17, 14]),
    ('H', [17, 17, 17, 31, 17, 17, 17]),
    ('I', [14, 4, 4, 4, 4, 4, 14]),
    ('J', [7, 2, 2, 2, 2, 18, 12]),
    ('K', [17, 18, 20, 24, 20, 18, 17]),
    ('L', [16, 16, 16, 16, 16, 16, 31]),
    ('M', [17, 27, 21, 21, 17, 17, 17]),
    ('N', [17, 25, 21, 19, 17, 17, 17]),
    ('O', [14, 17, 17, 17, 17, 17, 14]),
    ('P', [30, 17, 17, 30, 16, 16, 16]),
    ('Q', [14, 17, 17, 17, 21, 18, 13]),
    ('R', [30, 17, 17, 30, 20, 18, 17]),
    ('S', [15, 16, 16, 14, 1, 1, 30]),
    ('T', [31, 4, 4, 4, 4, 4, 4]),
    ('U', [17, 17, 17, 17, 17, 17, 14]),
    ('V', [17, 17, 17, 17, 17, 10, 4]),
    ('W', [17, 17, 17, 21, 21, 27, 17]),
    ('X', [17, 17, 10, 4, 10, 17, 17]),
    ('Y', [17, 17, 10, 4, 4, 4, 4]),
    ('Z', [31, 1, 2, 4, 8, 16, 31]),
];

/// Draws the slate over the whole picture. `lines` hold letters and spaces; what else they hold is left blank.
pub(crate) fn draw(canvas: &Canvas, bytes: &mut [u8], lines: &[&str]) {
    let (background, ink) = (canvas.colour(BACKGROUND), canvas.colour(INK));
    for plane in canvas.planes() {
        let (columns, rows) = canvas.extent(plane);
        let sample = &background[plane.first..plane.first + plane.components];
        for row in 0..rows {
            let start = plane.offset + row * plane.stride;
            fill(&mut bytes[start..start + columns * plane.components], sample);
        }
    }
    let (width, height) = (canvas.size.width as usize, canvas.size.height as usize);
    let longest = lines.iter().map(|line| line.len()).max().unwrap_or(1).max(1);
    // the longest line takes up half the width
    let scale = (width / 2 / (longest * LETTER.0)).min(height / (2 * LETTER.1 * lines.len().max(1))).max(1);
    for (index, line) in lines.iter().enumerate() {
        let left = width.saturating_sub(line.len() * LETTER.0 * scale) / 2;
        let top = (height / 2 + index * LETTER.1 * scale).saturating_sub(lines.len() * LETTER.1 * scale / 2);
        for (place, letter) in line.chars().enumerate() {
            let from = (left + place * LETTER.0 * scale, top);
            draw_letter(canvas, bytes, letter, Stroke { from, scale, ink });
        }
    }
}

#[derive(Clone, Copy)]
struct Stroke {
    from: (usize, usize),
    scale: usize,
    ink: Colour,
}

/// Draws on the first plane alone: grey on grey needs no other.
fn draw_letter(canvas: &Canvas, bytes: &mut [u8], letter: char, stroke: Stroke) {
    let Some((_, rows)) = LETTERS.iter().find(|(known, _)| *known == letter.to_ascii_uppercase()) else { return };
    let Some(plane) = canvas.planes().first() else { return };
    let Stroke { from: (left, top), scale, ink } = stroke;
    let (width, height) = (canvas.size.width as usize, canvas.size.height as usize);
    for y in (top..top + 7 * scale).take_while(|y| *y < height) {
        let row = rows[(y - top) / scale];
        for x in (left..left + 5 * scale).take_while(|x| *x < width) {
            if row >> (4 - (x - left) / scale) & 1 == 1 {
                let sample = plane.offset + y * plane.stride + x * plane.components;
                bytes[sample..sample + plane.components].copy_from_slice(&ink[..plane.components]);
            }
        }
    }
}

/// Fills with one sample, again and again.
pub(crate) fn fill(bytes: &mut [u8], sample: &[u8]) {
    match sample {
        [byte] => bytes.fill(*byte),
        _ => bytes.chunks_exact_mut(sample.len()).for_each(|place| place.copy_from_slice(sample)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn nothing_of_what_was_there_is_left() {
        for size in [Size::new(1, 1), Size::new(7, 5), Size::new(320, 180)] {
            let canvas = Canvas::rgb(size);
            let mut bytes = vec![255; canvas.end()];
            draw(&canvas, &mut bytes, &["COVERED", "analysis late"]);
            let grey = |pixel: &[u8]| pixel == BACKGROUND || pixel == INK;
            assert!(bytes.chunks(3).all(grey), "{size:?}");
            let ink = bytes.chunks(3).filter(|pixel| *pixel == INK).count();
            assert_eq!(ink > 100, size.width > 100, "{size:?}: {ink}");
        }
    }
}
