//! What is known to be missing, by reason.
//!
//! In: counts. Out: counts. It must not hide a reason: each has a name that report and metrics show.
//!
//! Pure: no I/O.

/// Why something that exists is missing from the facts, or known only in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Loss {
    /// A process or one of its fds went away while it was read.
    Vanished,
    /// The kernel refused: a capability is missing.
    Permission,
    /// No process of this node holds the socket (in flight, in the kernel, or not accepted); its
    /// container may be known all the same.
    NoOwner,
    /// The owner is not known yet: the fd walk has not come by.
    OwnerPending,
    /// A TIME_WAIT socket whose owner could not be determined from what was known before.
    ClosedNoOwner,
    /// More sockets than `limits.maxSockets`.
    SocketsFull,
    /// More processes than `limits.maxProcesses`.
    ProcessesFull,
    /// A hash chain longer than the source follows.
    ChainCut,
    /// A record that mixes two sockets or makes no sense: recycled while it was read.
    Torn,
    /// Text or a message of the kernel that could not be parsed.
    Malformed,
    /// A network namespace that went away, or could not be entered, while it was read.
    NetnsVanished,
    /// A rate limit put work off to a later pass.
    RateLimited,
    /// A container whose cgroup path could not be read.
    ContainerUnknown,
    /// More flows than the table holds, or than their owner's share of it; they are counted in the
    /// owner's flow with `other`.
    FlowsFull,
    /// Sockets that the kernel counts in a namespace and no reading met.
    Unseen,
    /// Half-open requests beyond their share of the table: a flood of SYNs, or a scan.
    HalfOpen,
    /// Ends that coverage counted as observed and that the kernel never opened: a fault of ours.
    Overcounted,
    /// More risks than are kept, or than one network namespace may have of one kind.
    RisksFull,
    /// Ends that the kernel had no room to tell; how many is the kernel's own count of what was opened.
    EndsLost,
    /// Listeners that are not remembered for a minute after they closed: more than that are, or than their owner may have.
    ListenersFull,
    /// Ends in a network namespace that no process of this node is in, or that came and went between two passes.
    EndsElsewhere,
}

impl Loss {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::Vanished,
        Self::Permission,
        Self::NoOwner,
        Self::OwnerPending,
        Self::ClosedNoOwner,
        Self::SocketsFull,
        Self::ProcessesFull,
        Self::ChainCut,
        Self::Torn,
        Self::Malformed,
        Self::NetnsVanished,
        Self::RateLimited,
        Self::ContainerUnknown,
        Self::FlowsFull,
        Self::Unseen,
        Self::HalfOpen,
        Self::Overcounted,
        Self::RisksFull,
        Self::EndsLost,
        Self::ListenersFull,
        Self::EndsElsewhere,
    ];

    /// The reason as a metric label and in `losses` of the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::Permission => "permission",
            Self::NoOwner => "no_owner",
            Self::OwnerPending => "owner_pending",
            Self::ClosedNoOwner => "closed_no_owner",
            Self::SocketsFull => "sockets_full",
            Self::ProcessesFull => "processes_full",
            Self::ChainCut => "chain_cut",
            Self::Torn => "torn",
            Self::Malformed => "malformed",
            Self::NetnsVanished => "netns_vanished",
            Self::RateLimited => "rate_limited",
            Self::ContainerUnknown => "container_unknown",
            Self::FlowsFull => "flows_full",
            Self::Unseen => "unseen",
            Self::HalfOpen => "half_open",
            Self::Overcounted => "overcounted",
            Self::RisksFull => "risks_full",
            Self::EndsLost => "ends_lost",
            Self::ListenersFull => "listeners_full",
            Self::EndsElsewhere => "ends_elsewhere",
        }
    }
}

/// How often each [`Loss`] was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses([u64; Loss::ALL.len()]);

impl Losses {
    /// Counts `n` more.
    pub fn add(&mut self, loss: Loss, n: u64) {
        self.0[loss as usize] += n;
    }

    /// The count for one reason.
    #[must_use]
    pub const fn get(&self, loss: Loss) -> u64 {
        self.0[loss as usize]
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Every reason with its count, zero ones included.
    pub fn iter(&self) -> impl Iterator<Item = (Loss, u64)> + '_ {
        Loss::ALL.iter().map(|&loss| (loss, self.get(loss)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_has_its_own_number_and_name() {
        for (number, loss) in Loss::ALL.iter().enumerate() {
            assert_eq!(*loss as usize, number);
        }
        let mut names: Vec<_> = Loss::ALL.iter().map(|l| l.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Loss::ALL.len());
    }
}
