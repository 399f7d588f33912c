//! All scenarios, in the order in which they run: each leaves the cluster as it found it.
//!
//! In: nothing. Out: checks with what finds out whether they hold. I/O: none until they run.

mod access;
mod cli;
mod configs;
mod costs;
mod edges;
mod edits;
mod failures;
mod feed;
mod future;
mod hands;
mod helm;
mod install;
mod nodes;
mod outage;
mod refusals;
mod refusing;
mod rights;
mod runtimes;

use super::Scenario;

/// All of them.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [
        helm::first_round(),
        helm::second_round(),
        install::scenarios(),
        edits::scenarios(),
        refusals::scenarios(),
        rights::scenarios(),
        access::scenarios(),
        cli::scenarios(),
        edges::scenarios(),
        runtimes::scenarios(),
        configs::scenarios(),
        hands::scenarios(),
        future::scenarios(),
        nodes::scenarios(),
        refusing::scenarios(),
        failures::scenarios(),
        feed::scenarios(),
        outage::scenarios(),
        costs::scenarios(),
        helm::last_round(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_scenarios_say_the_same() {
        let mut checks: Vec<String> = all().into_iter().map(|scenario| scenario.says).collect();
        let count = checks.len();
        checks.sort();
        checks.dedup();

        assert_eq!(checks.len(), count);
    }
}
