//! What a model says of a face.

use zeroize::Zeroize;

/// A face as numbers, as the model gave them: not normalised, since the length says how sure the model is. It is
/// personal: its memory is overwritten when it goes, and nothing prints it.
#[derive(Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

impl Embedding {
    /// Takes over a model's numbers.
    pub fn new(values: &[f32]) -> Self {
        Self(values.into())
    }

    /// The numbers.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Euclidean length.
    pub fn norm(&self) -> f32 {
        dot(&self.0, &self.0).sqrt()
    }

    /// The direction alone: of length one, or zero where there is none.
    #[must_use]
    pub fn unit(&self) -> Self {
        let scale = 1.0 / self.norm().max(f32::MIN_POSITIVE);
        Self(self.0.iter().map(|value| value * scale).collect())
    }

    /// Scalar product; of two of length one it is their cosine.
    pub fn dot(&self, other: &Self) -> f32 {
        dot(&self.0, &other.0)
    }

    /// Cosine of the angle to another embedding of the same model, -1 to 1; 0 where one of them has no length.
    pub fn cosine(&self, other: &Self) -> f32 {
        let lengths = self.norm() * other.norm();
        if lengths > 0.0 { (dot(&self.0, &other.0) / lengths).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

impl std::fmt::Debug for Embedding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedding({} numbers)", self.0.len())
    }
}

impl Drop for Embedding {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// In lanes that a processor adds at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0f32; LANES];
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_knows_directions_and_not_lengths() {
        let (a, b) = (Embedding::new(&[3.0, 4.0]), Embedding::new(&[-8.0, 6.0]));
        assert_eq!(a.norm(), 5.0);
        assert_eq!(a.cosine(&Embedding::new(&[6.0, 8.0])), 1.0);
        assert_eq!(a.cosine(&b), 0.0);
        assert_eq!(a.cosine(&Embedding::new(&[0.0, 0.0])), 0.0);
        assert_eq!(a.unit(), Embedding::new(&[0.6, 0.8]));
        let ramp: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(Embedding::new(&ramp).dot(&Embedding::new(&ramp)), 16_206.0);
    }

    #[test]
    fn printing_one_shows_no_number() {
        assert_eq!(format!("{:?}", Embedding::new(&[0.123, 0.456])), "Embedding(2 numbers)");
    }
}
