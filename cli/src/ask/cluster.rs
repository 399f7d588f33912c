//! Asks for everything that `preflight` looks at.
//!
//! In: a namespace. Out: what was read, and the reason for each part that was not. Only GET is used: nothing is made, not
//! even for a moment, and no webhook is asked. I/O: the network.

use serde::de::DeserializeOwned;
use tokio::join;

use super::{Ask, Error};
use crate::seen::Lease;
use crate::seen::cluster::{Cluster, Groups, Kinds, Known, Machine, Version};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
/// The kinds of prometheus-operator: some clusters have only those that another collector reads.
const MONITORS: &str = "/apis/monitoring.coreos.com/v1";
/// The name by which operators of one cluster exclude each other.
const OPERATED: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/probelet-cluster";

impl Ask {
    /// The cluster as it is before probelet is installed into this namespace.
    pub async fn cluster(&self, namespace: &str) -> Result<Cluster, Error> {
        // A server that does not answer this answers nothing else.
        let version: Version = self.get("/version").await?;
        let space = format!("/api/v1/namespaces/{namespace}");
        let (quotas, ranges) = (format!("{space}/resourcequotas"), format!("{space}/limitranges"));
        let [validating, mutating, policies] = [
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
        ]
        .map(|kind| format!("{ADMISSION}/{kind}"));
        let (
            machines,
            groups,
            monitors,
            found,
            lease,
            quotas,
            ranges,
            validating,
            mutating,
            policies,
            daemons,
        ) = join!(
            self.pages("/api/v1/nodes", None, "nodes", slim),
            self.get::<Groups>("/apis"),
            // Boxed, for so many questions at once are a large future.
            Box::pin(self.find::<Kinds>(MONITORS)),
            self.find(&space),
            self.find::<Lease>(OPERATED),
            self.all(&quotas),
            self.all(&ranges),
            self.all(&validating),
            self.all(&mutating),
            self.all(&policies),
            self.all("/apis/apps/v1/daemonsets"),
        );
        Ok(Cluster {
            server: self.server().to_owned(),
            namespace: namespace.to_owned(),
            version,
            machines: known(machines).map(|pages| pages.items),
            groups: known(groups).map(|all| all.groups),
            monitors: known(monitors).map(named),
            space: known(found),
            quotas,
            ranges,
            validating,
            mutating,
            policies,
            daemons,
            operated: known(lease)
                .map(|lease| lease.is_some_and(|it| it.spec.holder_identity.is_some())),
        })
    }

    /// A whole list; of a kind that this API server does not know there is none.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Known<Vec<T>> {
        match self.pages(path, None, "policies", |one: T| one).await {
            Ok(pages) => Ok(pages.items),
            Err(Error::Missing { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn known<T>(read: Result<T, Error>) -> Known<T> {
    read.map_err(|error| error.to_string())
}

fn named(kinds: Option<Kinds>) -> Vec<String> {
    kinds.unwrap_or_default().resources.into_iter().map(|one| one.kind).collect()
}

/// What is not looked at is not kept: there may be 5,000 of them.
fn slim(mut machine: Machine) -> Machine {
    machine.metadata.annotations.clear();
    machine.metadata.owner_references.clear();
    machine
}
