//! Chance that can be had again: from a seed, which is printed, and which `GLRL_SEED` sets.

use std::{
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

/// Numbers that look like chance, the same for the same seed (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// Begins with the seed of the environment, or one that no run before had, and prints it past the harness, which keeps to itself what a
    /// test prints.
    pub(crate) fn from_environment() -> Self {
        let given = std::env::var("GLRL_SEED").ok().map(|text| text.parse().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = given.unwrap_or(now.as_secs());
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let _ = writeln!(io::stderr(), "GLRL_SEED={seed} {test}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    pub(crate) fn number(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }

    pub(crate) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.number(of.len())]
    }
}
