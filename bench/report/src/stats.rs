//! Percentiles of one round, and medians over the rounds.

use std::time::Duration;

/// Durations of one round, sorted.
#[derive(Clone, Debug)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    /// From nanoseconds in any order.
    #[must_use]
    pub fn new(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// The duration that `percent` of all do not exceed, in microseconds; 0 if
    /// nothing was measured.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let nanos = self.0.get(last * percent / 100).copied().unwrap_or(0);
        Duration::from_nanos(nanos).as_secs_f64() * 1e6
    }
}

/// The median; 0 of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(0.0);
    match sorted.get(middle.wrapping_sub(1)) {
        Some(lower) if sorted.len().is_multiple_of(2) => f64::midpoint(*lower, upper),
        _ => upper,
    }
}

/// The median of `ours` over `theirs`, round by round: what both rounds suffered
/// from the machine cancels out.
#[must_use]
pub fn ratios(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    median(&ratios)
}

/// The median of what `ours` is above `theirs`, round by round.
#[must_use]
pub fn differences(ours: &[f64], theirs: &[f64]) -> f64 {
    let differences: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
    median(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn percentiles_are_microseconds() {
        let all = Latencies::new((1..=101).rev().map(|n| n * 1_000).collect());
        assert_eq!(all.percentile(50), 51.0);
        assert_eq!(all.percentile(99), 100.0);
        assert_eq!(Latencies::new(Vec::new()).percentile(50), 0.0);
    }

    #[test]
    fn one_slow_round_does_not_move_a_ratio() {
        assert_eq!(ratios(&[1.0, 10.0, 1.0], &[2.0, 20.0, 2.0]), 0.5);
        assert_eq!(differences(&[3.0, 13.0, 4.0], &[2.0, 2.0, 3.0]), 1.0);
    }
}
