//! What readers get of a report: tables that share their records with it, and stay as they were.
//!
//! In: nothing. Out: plain data, cheap to clone. It must not be changed by anybody.
//!
//! Pure: no I/O.

use super::{Now, Removals};
use crate::cluster::{Grain, Known, PodRecord};
use crate::coverage::{Count, Trouble};
use crate::facts::{Container, ContainerId, Losses};
use crate::names::{FrozenNames, Name, NameId};
use crate::records::{
    ConnectionRecord, ContainerRecord, FlowRecord, Gaps, ListenerRecord, ProcessRecord, RiskRecord,
};
use crate::table::{Epoch, Frozen};
use std::sync::Arc;

/// What readers get: shares its records with the report, and stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Grows by one whenever anything in the tables changed.
    pub epoch: Epoch,
    /// When the last pass was taken in.
    pub now: Now,
    /// Every process.
    pub processes: Frozen<ProcessRecord>,
    /// Every connection.
    pub connections: Frozen<ConnectionRecord>,
    /// Every listener.
    pub listeners: Frozen<ListenerRecord>,
    /// Every container with a process.
    pub containers: Frozen<ContainerRecord>,
    /// Every flow.
    pub flows: Frozen<FlowRecord>,
    /// Everything that is about to run full.
    pub risks: Frozen<RiskRecord>,
    /// Containers by the place of their [`ContainerId`], ended ones included for a while.
    pub names: Arc<[Container]>,
    /// What went away, for deltas.
    pub removed: Removals,
    /// Coverage of the last minute and since the start.
    pub coverage: [Count; 2],
    /// What went wrong with connections since the start.
    pub trouble: Trouble,
    /// What could not be read or attributed, since the start.
    pub losses: Losses,
    /// Sockets that the kernel counted and the last reading of everything did not meet; `None` if it could
    /// not be compared.
    pub unseen: Option<u64>,
    /// What the cluster calls it all, on a node of one.
    pub cluster: Option<InCluster>,
}

/// What a reader gets to know of the cluster.
#[derive(Clone, Debug)]
pub struct InCluster {
    /// This node's pods.
    pub pods: Frozen<PodRecord>,
    /// The pod of each container, by [`ContainerId`].
    pub owners: Arc<[Option<NameId>]>,
    /// The names that records hold.
    pub names: FrozenNames,
    /// Ends of connections without a name, now.
    pub gaps: Gaps,
    /// What is known, in numbers.
    pub known: Known,
    /// What flows are counted by.
    pub grain: Grain,
}

impl Picture {
    /// The container with that id.
    #[must_use]
    pub fn container(&self, id: ContainerId) -> Option<&Container> {
        id.of(&self.names)
    }

    /// What the cluster calls it.
    #[must_use]
    pub fn name(&self, id: NameId) -> Option<&Name> {
        self.cluster.as_ref()?.names.get(id)
    }

    /// The pod of a container, if it is one's and known.
    #[must_use]
    pub fn pod(&self, id: ContainerId) -> Option<&Name> {
        let cluster = self.cluster.as_ref()?;
        id.of(&self.names)?;
        cluster.names.get((*cluster.owners.get(id.place())?)?)
    }
}
