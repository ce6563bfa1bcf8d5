//! Embeddings, a byte per dimension.

use std::sync::Arc;

/// The direction of an embedding. Cheap to clone.
///
/// Each number is kept as a share of the greatest, in steps of 1/127. The cosine of two such vectors is off by less than
/// 0.01 for embeddings of some hundred dimensions, and takes a quarter of the memory of floats.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vector(Arc<[i8]>);

impl Vector {
    /// Keeps the direction of these numbers. None when they have none: there are none, all are 0, or one is not finite.
    pub fn of(numbers: &[f32]) -> Option<Self> {
        let greatest = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        if !(greatest > 0.0 && numbers.iter().all(|number| number.is_finite())) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "from -127 to 127")]
        let step = |number: &f32| (number / greatest * 127.0).round() as i8;
        Some(Self(numbers.iter().map(step).collect()))
    }

    /// Reads what [`Vector::to_bytes`] wrote. None when it is empty or all 0.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let numbers: Arc<[i8]> = bytes.iter().map(|byte| byte.cast_signed()).collect();
        numbers.iter().any(|number| *number != 0).then_some(Self(numbers))
    }

    /// The form in which a store keeps it: a byte per dimension, in two's complement.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().map(|number| number.cast_unsigned()).collect()
    }

    /// The numbers.
    pub fn numbers(&self) -> &[i8] {
        &self.0
    }

    /// The cosine of the angle between two vectors, -1 to 1; 0 when they have different dimensions.
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        cosine((&self.0, length(&self.0)), (&other.0, length(&other.0)))
    }
}

/// The length of a vector. Not 0 for numbers of a [`Vector`].
#[expect(clippy::cast_precision_loss, reason = "a cosine needs no 32 bits")]
pub(crate) fn length(numbers: &[i8]) -> f32 {
    (dot(numbers, numbers) as f32).sqrt()
}

/// The cosine of two vectors of one dimension, each with its [`length`]; 0 when one has none.
#[expect(clippy::cast_precision_loss, reason = "a cosine needs no 32 bits")]
pub(crate) fn cosine((a, a_length): (&[i8], f32), (b, b_length): (&[i8], f32)) -> f32 {
    let lengths = a_length * b_length;
    if lengths > 0.0 { dot(a, b) as f32 / lengths } else { 0.0 }
}

/// The dot product of two vectors of one dimension: 130,000 dimensions at most, more than any model has. Written so that
/// the compiler makes vector instructions of it.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for numbers in [vec![], vec![0.0], vec![1.0, f32::NAN], vec![f32::INFINITY, 1.0]] {
            assert_eq!(Vector::of(&numbers), None, "{numbers:?}");
        }
        assert_eq!(Vector::from_bytes(&[]), None);
        assert_eq!(Vector::from_bytes(&[0, 0]), None);
    }

    #[test]
    fn vectors_of_other_dimensions_have_nothing_in_common() {
        let [two, three] = [&[1.0, 0.0][..], &[1.0, 0.0, 0.0]].map(|numbers| Vector::of(numbers).unwrap());
        assert_eq!(two.cosine(&three).to_bits(), 0);
    }

    fn numbers() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-1.0_f32..1.0, 384)
    }

    proptest! {
        #[test]
        fn the_cosine_is_nearly_that_of_the_numbers(a in numbers(), b in numbers(), scale in 0.001_f32..1000.0) {
            let sum = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let exact = sum(&a, &b) / (sum(&a, &a) * sum(&b, &b)).sqrt();
            let b: Vec<f32> = b.iter().map(|number| number * scale).collect();
            let [a, b] = [&a, &b].map(|numbers| Vector::of(numbers).unwrap());
            prop_assert!((f64::from(a.cosine(&b)) - exact).abs() < 0.01);
            prop_assert_eq!(Vector::from_bytes(&a.to_bytes()), Some(a));
        }
    }
}
