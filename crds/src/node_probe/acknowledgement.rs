//! What an agent's acknowledgement of its configuration means.
//!
//! In: what the operator wrote and what the agent says, as the wire has it. Out: whether it applies it. The operator
//! counts by this and the command line shows it. Pure: values only.

/// What became of a configuration on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The agent has applied it.
    Applied,
    /// It has not been assigned, or the agent has not acknowledged it.
    Pending,
    /// The agent refused it.
    Failed,
}

/// An agent's acknowledgement, as its status has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    /// `status.observedGeneration`.
    pub generation: i64,
    /// `status.appliedConfigHash`.
    pub hash: &'a str,
    /// The condition `ConfigApplied`, if it is `True` or `False`.
    pub applied: Option<bool>,
}

impl Acknowledgement<'_> {
    /// What became of the configuration that a `NodeProbe` of this generation carries under this hash.
    #[must_use]
    pub fn to(&self, generation: i64, carried: &str) -> State {
        let judged = self.generation == generation;
        match self.applied {
            Some(true) if judged && self.hash == carried => State::Applied,
            Some(false) if judged => State::Failed,
            _ => State::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_this_generation_counts() {
        let answer =
            |generation, hash, applied| Acknowledgement { generation, hash, applied }.to(3, "ab");

        assert_eq!(answer(3, "ab", Some(true)), State::Applied);
        assert_eq!(answer(3, "cd", Some(true)), State::Pending);
        assert_eq!(answer(2, "ab", Some(true)), State::Pending);
        assert_eq!(answer(2, "ab", Some(false)), State::Pending);
        assert_eq!(answer(3, "cd", Some(false)), State::Failed);
        assert_eq!(answer(3, "ab", None), State::Pending);
    }
}
