//! Splits: which sample trains, which chooses the checkpoint, which gives the figures.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::support::random;

/// Indices of samples; every sample is in exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Splits {
    /// What the networks learn from.
    pub train: Vec<usize>,
    /// What chooses the checkpoint.
    pub validation: Vec<usize>,
    /// What the figures are measured on.
    pub test: Vec<usize>,
}

impl Splits {
    /// Cuts samples into splits by a seed.
    ///
    /// `groups` gives each sample's group, which stays whole; `fixed_test` says from which sample on a test part of its
    /// own begins.
    pub(super) fn cut(
        samples: usize,
        groups: Option<&[usize]>,
        fixed_test: Option<usize>,
        [test, validation]: [f64; 2],
        seed: u64,
    ) -> Self {
        let mut random = random::stream(seed, "split");
        let pool = fixed_test.unwrap_or(samples);
        let wanted = |share: f64| (pool as f64 * share).round() as usize;
        let (wanted_test, wanted_validation) =
            (if fixed_test.is_some() { 0 } else { wanted(test) }, wanted(validation));
        let mut splits = Self { test: (pool..samples).collect(), ..Self::default() };
        let mut taken_test = 0;
        for group in shuffled_groups(pool, groups, &mut random) {
            let split = if taken_test < wanted_test {
                taken_test += group.len();
                &mut splits.test
            } else if splits.validation.len() < wanted_validation {
                &mut splits.validation
            } else {
                &mut splits.train
            };
            split.extend(group);
        }
        splits.train.sort_unstable();
        splits.validation.sort_unstable();
        splits.test.sort_unstable();
        splits
    }

    /// Cuts samples of which those to test on are known; those to validate on are groups of the others.
    pub(super) fn hold(held: &[bool], groups: Option<&[usize]>, validation: f64, seed: u64) -> Self {
        let mut random = random::stream(seed, "split");
        let wanted = (held.iter().filter(|held| !**held).count() as f64 * validation).round() as usize;
        let mut splits = Self::default();
        for group in shuffled_groups(held.len(), groups, &mut random) {
            let (test, rest): (Vec<usize>, Vec<usize>) = group.into_iter().partition(|&sample| held[sample]);
            splits.test.extend(test);
            if splits.validation.len() < wanted { &mut splits.validation } else { &mut splits.train }.extend(rest);
        }
        splits.train.sort_unstable();
        splits.validation.sort_unstable();
        splits.test.sort_unstable();
        splits
    }
}

fn shuffled_groups(pool: usize, groups: Option<&[usize]>, random: &mut impl Rng) -> Vec<Vec<usize>> {
    let mut members: Vec<Vec<usize>> = match groups {
        None => (0..pool).map(|sample| vec![sample]).collect(),
        Some(groups) => {
            let count = groups.iter().max().map_or(0, |&greatest| greatest + 1);
            let mut members = vec![Vec::new(); count];
            groups.iter().take(pool).enumerate().for_each(|(sample, &group)| members[group].push(sample));
            members
        }
    };
    members.shuffle(random);
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_one_split_and_the_seed_decides_which() {
        let splits = Splits::cut(100, None, None, [0.2, 0.1], 7);
        let mut all = [splits.train.clone(), splits.validation.clone(), splits.test.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!((splits.test.len(), splits.validation.len()), (20, 10));
        assert_eq!(splits, Splits::cut(100, None, None, [0.2, 0.1], 7));
        assert_ne!(splits, Splits::cut(100, None, None, [0.2, 0.1], 8));
    }

    #[test]
    fn groups_stay_whole() {
        let groups: Vec<usize> = (0..100).map(|sample| sample / 5).collect();
        let splits = Splits::cut(100, Some(&groups), None, [0.2, 0.2], 1);
        for split in [&splits.train, &splits.validation, &splits.test] {
            assert!(split.chunks(5).all(|chunk| chunk.iter().all(|&sample| groups[sample] == groups[chunk[0]])));
        }
    }

    #[test]
    fn test_part_of_its_own_stays_the_test() {
        let splits = Splits::cut(50, None, Some(40), [0.5, 0.25], 3);
        assert_eq!(splits.test, (40..50).collect::<Vec<_>>());
        assert_eq!(splits.validation.len(), 10);
    }
}
