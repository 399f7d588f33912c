//! What containers are called, wherever they are shown: report, metrics, web page, terminal and the node's status.
//!
//! In: names by full container id as a runtime gave them, and a picture with the pods of its containers. Out: for one
//! container its pod and its name ([`ends`]), or `DisplayNames`, which has them for all of a picture and is made once
//! per change and not per record; [`series`] are the names that metrics have. It must not ask a runtime anything, and
//! there must be no second rule: what shows a container asks here.
//!
//! Pure: no I/O.

pub mod ends;
pub mod series;

use crate::facts::{Container, ContainerId};
use crate::names::NameId;
use crate::report::Picture;
use crate::table::Epoch;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Digits of a container id that people type.
const SHORT_ID: usize = 12;

/// The first digits of a container id; where it is a name that a person chose, the whole: two may begin alike.
#[must_use]
pub fn short_id(id: &str) -> &str {
    let number = id.bytes().all(|b| b.is_ascii_hexdigit());
    id.get(..SHORT_ID).filter(|_| number).unwrap_or(id)
}

/// What a container runtime says of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerName {
    /// The name, without a leading slash.
    pub name: String,
    /// The image that it was started from.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ContainerName {
    /// `namespace/name` of the pod, where the runtime serves Kubernetes and says so in labels: of
    /// the pod in whose cgroup the kubelet put it, for anybody may set labels.
    #[must_use]
    pub fn pod(&self, container: &Container) -> Option<String> {
        let label = |key| self.labels.get(key).filter(|v| !v.is_empty());
        let uid = container.pod_uid.as_ref().filter(|_| !container.foreign)?;
        label("io.kubernetes.pod.uid").filter(|labelled| *labelled == uid)?;
        let namespace = label("io.kubernetes.pod.namespace")?;
        let name = label("io.kubernetes.pod.name")?;
        Some(format!("{namespace}/{name}"))
    }
}

/// Names by full container id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerNames(pub BTreeMap<String, ContainerName>);

/// How a container is shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The name that the runtime gave, or its pod, or the first 12 characters of the id.
    pub name: Box<str>,
    /// `namespace/name` of its pod.
    pub pod: Option<Box<str>>,
    /// The epoch after which clients have to be sent this label.
    pub changed: Epoch,
}

impl Label {
    /// Namespace and name of its pod.
    fn pod(&self) -> Option<(&str, &str)> {
        self.pod.as_deref()?.split_once('/')
    }
}

/// How each container is shown, by [`ContainerId`].
#[derive(Debug, Default)]
pub struct DisplayNames {
    containers: Arc<[Container]>,
    names: Arc<ContainerNames>,
    /// The pods that the cluster knows, if there is one.
    owners: Option<Arc<[Option<NameId>]>>,
    shown: Vec<Label>,
    /// The newest change of any label.
    pub changed: Epoch,
}

impl DisplayNames {
    /// The labels for the containers of a picture and these names: the old ones if neither changed.
    ///
    /// A container that is renamed after a client saw it counts as changed in the picture's epoch,
    /// or in the one after if the picture did not know, so that the next delta carries every record
    /// that shows the name.
    #[must_use]
    pub fn refresh(old: &Arc<Self>, picture: &Picture, names: &Arc<ContainerNames>) -> Arc<Self> {
        let containers = &picture.names;
        let owners = picture.cluster.as_ref().map(|cluster| &cluster.owners);
        let same = match (&old.owners, owners) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        if same && Arc::ptr_eq(&old.containers, containers) && Arc::ptr_eq(&old.names, names) {
            return Arc::clone(old);
        }
        let inside = names_inside(picture).collect::<BTreeMap<_, _>>();
        // What the cluster reports is part of the picture and of its epoch; what Docker reports is not.
        let news = picture.epoch + u64::from(!Arc::ptr_eq(&old.names, names));
        let fresh = containers.iter().zip(0..).map(|(container, n)| {
            let id = ContainerId::new(n, container.generation);
            let inside = || inside.get(&*container.id).copied();
            let Called { pod, name } = called(picture, names, id, container, inside);
            let (pod, name) = (pod.map(Into::into), name.into());
            let before = old.get(id).filter(|_| old.containers.len() > n as usize);
            let changed = match before {
                Some(before) if before.name == name && before.pod == pod => before.changed,
                Some(_) => news,
                None => 0,
            };
            Label { name, pod, changed }
        });
        let shown: Vec<_> = fresh.collect();
        let changed = shown.iter().map(|l| l.changed).max().unwrap_or(0);
        Arc::new(Self {
            containers: Arc::clone(containers),
            names: Arc::clone(names),
            owners: owners.cloned(),
            shown,
            changed,
        })
    }

    /// How a container is shown; nothing for one that is not there any more.
    #[must_use]
    pub fn get(&self, id: ContainerId) -> Option<&Label> {
        id.of(&self.containers).and_then(|_| self.shown.get(id.place()))
    }

    /// What the runtime says of a container.
    #[must_use]
    pub fn named(&self, id: &str) -> Option<&ContainerName> {
        self.names.0.get(id)
    }

    /// The containers whose name is `wanted` or whose id begins with it.
    #[must_use]
    pub fn find(&self, wanted: &str) -> Vec<ContainerId> {
        let ids = self.containers.iter().zip(&self.shown).zip(0..);
        let hits = ids.filter(|((container, label), _)| {
            !container.id.is_empty()
                && (&*label.name == wanted
                    || (wanted.len() >= 3 && container.id.starts_with(wanted)))
        });
        hits.map(|((container, _), n)| ContainerId::new(n, container.generation)).collect()
    }

    /// Every container, by its id.
    pub fn ids(&self) -> impl Iterator<Item = ContainerId> + '_ {
        let there = self.containers.iter().zip(0..).filter(|(c, _)| !c.id.is_empty());
        there.map(|(container, n)| ContainerId::new(n, container.generation))
    }
}

/// What a container is called.
struct Called<'a> {
    /// `namespace/name` of its pod.
    pod: Option<String>,
    name: &'a str,
}

/// The one rule. The pod is the one that the cluster knows; where there is no cluster, the one of the runtime's labels. The
/// name is the runtime's, else the one that its pod has for it (`inside`), else its short id.
fn called<'a>(
    picture: &Picture,
    names: &'a ContainerNames,
    id: ContainerId,
    container: &'a Container,
    inside: impl FnOnce() -> Option<&'a str>,
) -> Called<'a> {
    let known = names.0.get(&container.id);
    let pod = picture.pod(id).map(ToString::to_string);
    let labelled = || known.filter(|_| picture.cluster.is_none())?.pod(container);
    let given = known.map(|known| &*known.name).filter(|name| !name.is_empty());
    let name = given.or_else(inside).unwrap_or_else(|| short_id(&container.id));
    Called { pod: pod.or_else(labelled), name }
}

/// What pods call their containers, by full id.
fn names_inside(picture: &Picture) -> impl Iterator<Item = (&str, &str)> {
    let pods = picture.cluster.iter().flat_map(|cluster| cluster.pods.iter());
    let containers = pods.flat_map(|pod| &pod.shown.containers);
    containers.map(|(id, name)| (&**id, &**name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn picture(epoch: Epoch) -> Picture {
        let names = [Container { id: ID.into(), ..Container::default() }].into();
        Picture { epoch, names, ..Picture::default() }
    }

    fn web() -> Arc<ContainerNames> {
        let name = ContainerName { name: "web".into(), ..ContainerName::default() };
        Arc::new(ContainerNames([(ID.into(), name)].into()))
    }

    #[test]
    fn a_name_that_is_an_id_is_not_cut() {
        for name in ["customer-portal-blue", "customer-portal-green", "web", "deb-0123456789ab"] {
            assert_eq!(short_id(name), name);
        }
        assert_eq!(short_id(&"0123456789abcdef".repeat(4)), "0123456789ab");
    }

    #[test]
    fn a_container_without_a_name_is_shown_by_its_short_id() {
        let labels = DisplayNames::refresh(&Arc::default(), &picture(1), &Arc::default());

        assert_eq!(&*labels.get(ContainerId(0)).unwrap().name, "0123456789ab");
    }

    #[test]
    fn a_runtime_that_gives_an_empty_name_gives_none() {
        let nameless = ContainerNames([(ID.into(), ContainerName::default())].into());

        let labels = DisplayNames::refresh(&Arc::default(), &picture(1), &Arc::new(nameless));

        assert_eq!(&*labels.get(ContainerId(0)).unwrap().name, "0123456789ab");
    }

    #[test]
    fn a_name_that_comes_late_is_news_in_the_next_epoch() {
        let before = DisplayNames::refresh(&Arc::default(), &picture(5), &Arc::default());

        let after = DisplayNames::refresh(&before, &picture(7), &web());

        assert_eq!((before.changed, after.changed), (0, 8));
        assert_eq!(&*after.get(ContainerId(0)).unwrap().name, "web");
    }

    #[test]
    fn a_container_is_found_by_name_and_by_three_characters_of_its_id() {
        let labels = DisplayNames::refresh(&Arc::default(), &picture(1), &web());

        assert_eq!(labels.find("web"), [ContainerId(0)]);
        assert_eq!(labels.find("012"), [ContainerId(0)]);
        assert_eq!(labels.find("01"), []);
    }

    fn labelled(uid: &str) -> ContainerName {
        let label = |key: &str, value: &str| (format!("io.kubernetes.pod.{key}"), value.to_owned());
        let labels = [label("name", "web-0"), label("namespace", "shop"), label("uid", uid)];
        ContainerName { labels: labels.into(), ..ContainerName::default() }
    }

    #[test]
    fn a_runtime_that_serves_kubernetes_names_the_pod_of_the_cgroup() {
        let pod_uid = Some("u1".to_owned());
        let container = Container { id: ID.into(), pod_uid, ..Container::default() };

        assert_eq!(labelled("u1").pod(&container).as_deref(), Some("shop/web-0"));
        assert_eq!(labelled("u2").pod(&container), None);
        let foreign = Container { foreign: true, ..container };
        assert_eq!(labelled("u1").pod(&foreign), None);
        assert_eq!(labelled("u1").pod(&Container::default()), None, "no cgroup of a kubelet");
    }

    #[test]
    fn labels_of_a_container_name_no_pod_in_a_cluster() {
        let pod_uid = Some("u1".to_owned());
        let mut picture = picture(1);
        picture.names = [Container { id: ID.into(), pod_uid, ..Container::default() }].into();
        let names = Arc::new(ContainerNames([(ID.into(), labelled("u1"))].into()));
        let alone = DisplayNames::refresh(&Arc::default(), &picture, &names);
        let mut report = crate::report::Report::new(
            crate::report::Limits::default(),
            crate::join::PortRange::default(),
        );
        report.watch(crate::cluster::Cluster::new(crate::cluster::Settings::default(), 1));
        picture.cluster = report.picture(crate::report::Now::default()).cluster;

        let inside = DisplayNames::refresh(&Arc::default(), &picture, &names);

        assert_eq!(alone.get(ContainerId(0)).unwrap().pod.as_deref(), Some("shop/web-0"));
        assert_eq!(inside.get(ContainerId(0)).unwrap().pod, None);
    }

    #[test]
    fn a_place_that_another_container_took_has_a_new_label() {
        let before = DisplayNames::refresh(&Arc::default(), &picture(1), &web());
        let mut later = picture(2);
        let id = "f".repeat(64);
        later.names = [Container { id, generation: 1, ..Container::default() }].into();

        let after = DisplayNames::refresh(&before, &later, &web());

        assert!(after.get(ContainerId(0)).is_none());
        assert_eq!(&*after.get(ContainerId::new(0, 1)).unwrap().name, "ffffffffffff");
        assert_eq!(after.ids().collect::<Vec<_>>(), [ContainerId::new(0, 1)]);
    }
}
