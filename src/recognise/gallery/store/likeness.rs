//! Who looks like somebody who is in the gallery.

use super::Gallery;
use crate::recognise::Embedding;
use crate::recognise::gallery::search::Hit;

impl Gallery {
    /// The `most` people nearest to a reference, best first; its own person is one of them. `None` where there is no such
    /// reference.
    pub fn like(&self, reference: u64, most: usize) -> Option<Vec<Hit>> {
        let probe = {
            let snapshot = self.0.current.load();
            let mut blocks = snapshot.references.blocks();
            blocks.find_map(|block| {
                let row = block.labels().iter().position(|label| label.reference == reference)?;
                Some(Embedding::new(block.exact(row)))
            })?
        };
        Some(self.top(&probe, most))
    }
}
