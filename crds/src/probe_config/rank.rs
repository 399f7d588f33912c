//! Which configuration wins on a node that several match.
//!
//! In: what the wire says of a configuration. Out: its rank; the least wins. The operator decides by it and the command
//! line foretells what it will decide. Pure: values only.

use std::cmp::Reverse;

/// What decides between configurations that match the same node: the highest priority, then the oldest, then the first
/// by name. The least rank wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank<'a> {
    priority: Reverse<i32>,
    created: i64,
    name: &'a str,
}

impl<'a> Rank<'a> {
    /// The rank of a configuration; `created` is in Unix seconds by the API server's clock.
    #[must_use]
    pub const fn new(priority: i32, created: i64, name: &'a str) -> Self {
        Self { priority: Reverse(priority), created, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_comes_before_age_and_age_before_the_name() {
        let mut ranks = [
            Rank::new(0, 100, "b"),
            Rank::new(5, 300, "late-but-high"),
            Rank::new(0, 100, "a"),
            Rank::new(0, 50, "z"),
        ];

        ranks.sort();

        assert_eq!(ranks.map(|rank| rank.name), ["late-but-high", "z", "a", "b"]);
    }
}
