//! The pods of this node: by uid, by container, by address.
//!
//! In: pods as they are added, changed and deleted, late, twice or out of order. Out: the pod of a
//! container or of an address. A deleted pod is kept for a minute, because its sockets may be seen
//! after it, and for as long one that has ended has its address; either loses it to any other pod at
//! once. It must not name a pod by an address that two have.
//!
//! Pure: no I/O, no clock; time is an argument.

use super::few::MultiMap;
use super::objects::{Phase, Pod};
use super::ranges::Ranges;
use super::{Dirt, number};
use std::collections::BTreeMap;

/// Pods of one node: kubelet's default limit is 110, the largest nodes run 500. Deleted ones count.
pub(super) const PODS: usize = 4096;
/// Bytes of one pod's labels. Kubernetes has no bound; charts set a dozen.
const LABELS: usize = 16_384;
/// Bytes of the labels of all pods together: two kilobytes for each that there may be.
const LABELS_ALL: usize = 8 << 20;
/// Containers remembered of one pod, ended ones included: a crash loop makes one a restart.
const CONTAINERS: usize = 64;
/// How long a deleted pod still names its containers, and one that has ended what was connected to its address,
/// milliseconds; as long as TIME_WAIT.
const GRACE_MS: u64 = 60_000;

/// Place of a pod; reused.
pub(super) type PodSlot = u32;

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    NoOne,
    One(PodSlot),
    /// Several pods, none with a better claim than the others.
    Several,
}

/// A pod and where its life stands.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) pod: Pod,
    /// When it was deleted.
    pub(super) gone_ms: Option<u64>,
    /// When it was seen to end, if it was and that is not long ago.
    pub(super) ended_ms: Option<u64>,
    /// Its deletion was seen, not only that a list did not name it: such a uid never comes back.
    buried: bool,
    /// The list that last named it.
    seen: u32,
    /// Every container that it ever had, the oldest first.
    containers: Vec<Box<str>>,
}

impl Own {
    /// How good its claim to its addresses is; 0 is none. One that was deleted or has ended has a claim to
    /// connections that were there before alone.
    fn claim(&self, since_ms: u64) -> u8 {
        let before = |end: u64| u8::from(since_ms <= end);
        match (self.pod.phase, self.gone_ms, self.pod.terminating) {
            _ if self.pod.host_network => 0,
            (Phase::Ended, ..) => self.ended_ms.map_or(0, before),
            (_, Some(gone), _) => before(gone),
            (_, None, true) => 2,
            (_, None, false) => 3,
        }
    }
}

/// The pods.
#[derive(Debug, Default)]
pub(super) struct Pods {
    slots: Vec<Option<Own>>,
    free: Vec<PodSlot>,
    by_uid: BTreeMap<Box<str>, PodSlot>,
    by_container: BTreeMap<Box<str>, PodSlot>,
    /// Static pods by the uid that their cgroups have.
    by_mirrored: BTreeMap<Box<str>, PodSlot>,
    by_address: MultiMap<u128, PodSlot>,
    /// This node's addresses: those that its pods say they are hosted at, with how many say so.
    hosts: BTreeMap<u128, u32>,
    /// Where pods have public addresses, which ranges those are; what was shown once is not forgotten.
    pub(super) ranges: Ranges,
    /// Pods that changed since they were last shown.
    pub(super) stale: Vec<PodSlot>,
    /// Bytes of all labels.
    labels: usize,
    /// Pods whose labels were left out.
    pub(super) cut: u64,
}

fn label_bytes(pod: &Pod) -> usize {
    pod.labels.iter().map(|(key, value)| key.len() + value.len() + 32).sum()
}

impl Pods {
    /// Takes in a pod; `false` when there is no room for it.
    pub(super) fn upsert(
        &mut self,
        mut pod: Pod,
        round: u32,
        now_ms: u64,
        dirt: &mut Dirt,
    ) -> bool {
        let known = self.by_uid.get(&*pod.uid).copied();
        let before = known.and_then(|slot| self.get(slot)).map_or(0, |own| label_bytes(&own.pod));
        let bytes = label_bytes(&pod);
        if bytes > LABELS || self.labels - before + bytes > LABELS_ALL {
            // Who it is does not depend on them; half of them would match what they must not.
            pod.labels = Vec::new();
            self.cut += 1;
        }
        if let Some(slot) = known {
            self.change(slot, pod, round, now_ms, dirt);
            return true;
        }
        if self.by_uid.len() >= PODS {
            return false;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            number(self.slots.len() - 1)
        });
        self.by_uid.insert(pod.uid.clone(), slot);
        self.labels += label_bytes(&pod);
        let (gone_ms, ended_ms, buried, containers) = (None, None, false, Vec::new());
        let own = Own { pod, gone_ms, ended_ms, buried, seen: round, containers };
        self.slots[slot as usize] = Some(own);
        self.link(slot, dirt);
        true
    }

    fn change(&mut self, slot: PodSlot, pod: Pod, round: u32, now_ms: u64, dirt: &mut Dirt) {
        let Some(own) = self.slots[slot as usize].as_mut() else { return };
        // A change of a pod that was seen deleted is an old one that comes late.
        if own.buried {
            return;
        }
        own.seen = round;
        if own.gone_ms.is_none() && own.pod == pod {
            return;
        }
        self.unlink(slot, dirt);
        if let Some(own) = self.slots[slot as usize].as_mut() {
            self.labels = self.labels - label_bytes(&own.pod) + label_bytes(&pod);
            own.ended_ms = match (own.pod.phase, pod.phase) {
                (Phase::Ended, Phase::Ended) => own.ended_ms,
                (_, Phase::Ended) => Some(now_ms),
                _ => None,
            };
            own.pod = pod;
            own.gone_ms = None;
        }
        self.link(slot, dirt);
    }

    /// A pod was deleted. One that was made under the same name since has another uid.
    pub(super) fn remove(&mut self, uid: &str, now_ms: u64, dirt: &mut Dirt) {
        let Some(&slot) = self.by_uid.get(uid) else { return };
        let Some(own) = self.slots[slot as usize].as_mut() else { return };
        own.buried = true;
        self.bury(slot, now_ms, dirt);
    }

    /// The list of this round is complete: who was not in it is gone.
    pub(super) fn sweep(&mut self, round: u32, now_ms: u64, dirt: &mut Dirt) {
        let gone: Vec<PodSlot> =
            self.iter().filter(|(_, own)| own.seen != round).map(|(slot, _)| slot).collect();
        for slot in gone {
            self.bury(slot, now_ms, dirt);
        }
    }

    fn bury(&mut self, slot: PodSlot, now_ms: u64, dirt: &mut Dirt) {
        if let Some(own) = self.slots[slot as usize].as_mut()
            && own.gone_ms.is_none()
        {
            own.gone_ms = Some(now_ms);
            self.touch(slot, dirt);
        }
    }

    /// Forgets pods whose minute is over, and what was theirs of those that ended.
    pub(super) fn expire(&mut self, now_ms: u64, dirt: &mut Dirt) {
        let over = |since: Option<u64>| since.is_some_and(|since| now_ms >= since + GRACE_MS);
        let (mut gone, mut ended) = (Vec::new(), Vec::new());
        for (slot, own) in self.iter() {
            match (over(own.gone_ms), over(own.ended_ms)) {
                (true, _) => gone.push(slot),
                (false, true) => ended.push(slot),
                _ => {}
            }
        }
        for slot in gone {
            self.forget(slot, dirt);
        }
        for slot in ended {
            self.let_go(slot, dirt);
        }
    }

    /// The addresses of a pod that has ended are its own no more.
    fn let_go(&mut self, slot: PodSlot, dirt: &mut Dirt) {
        let Self { slots, by_address, .. } = self;
        let Some(own) = slots[slot as usize].as_mut() else { return };
        own.ended_ms = None;
        for ip in &own.pod.ips {
            by_address.remove(&super::address(*ip), slot);
        }
        self.touch(slot, dirt);
    }

    /// Forgets all, as if they had never been.
    pub(super) fn clear(&mut self, dirt: &mut Dirt) {
        let all: Vec<PodSlot> = self.iter().map(|(slot, _)| slot).collect();
        for slot in all {
            self.forget(slot, dirt);
        }
    }

    fn forget(&mut self, slot: PodSlot, dirt: &mut Dirt) {
        self.unlink(slot, dirt);
        self.stale.push(slot);
        let Some(own) = self.slots[slot as usize].take() else { return };
        self.labels -= label_bytes(&own.pod);
        self.by_uid.remove(&own.pod.uid);
        for id in &own.containers {
            self.by_container.remove(id);
        }
        if let Some(uid) = own.pod.mirrors.as_ref()
            && self.by_mirrored.get(uid) == Some(&slot)
        {
            let also = |(_, other): &(PodSlot, &Own)| {
                other.pod.is_static() && other.pod.mirrors.as_ref() == Some(uid)
            };
            let next = self.iter().find(also).map(|(other, _)| other);
            match next {
                Some(other) => self.by_mirrored.insert(uid.clone(), other),
                None => self.by_mirrored.remove(uid),
            };
        }
        self.free.push(slot);
    }

    /// Enters its addresses and containers.
    fn link(&mut self, slot: PodSlot, dirt: &mut Dirt) {
        let Self { slots, by_container, by_mirrored, by_address, hosts, ranges, .. } = self;
        let held = |slot: PodSlot| {
            let held = slots.get(slot as usize).and_then(Option::as_ref);
            held.is_some_and(|own| own.gone_ms.is_none())
        };
        let mirrored = slots[slot as usize].as_ref().filter(|own| own.pod.is_static());
        if let Some(uid) = mirrored.and_then(|own| own.pod.mirrors.clone()) {
            // The mirror is made again under another uid; one that is there loses nothing to another.
            let place = by_mirrored.entry(uid).or_insert(slot);
            if !held(*place) {
                *place = slot;
            }
        }
        let Some(own) = slots[slot as usize].as_mut() else { return };
        if own.claim(0) > 0 {
            for ip in &own.pod.ips {
                by_address.insert(super::address(*ip), slot);
                // Who was outside may be a pod of another node.
                dirt.all |= ranges.learn(*ip);
            }
        }
        for ip in &own.pod.host_ips {
            let hosted = hosts.entry(super::address(*ip)).or_default();
            dirt.all |= *hosted == 0;
            *hosted += 1;
        }
        for (id, _) in &own.pod.containers {
            if !own.containers.contains(id) {
                own.containers.push(id.clone());
            }
            by_container.insert(id.clone(), slot);
        }
        while own.containers.len() > CONTAINERS.max(own.pod.containers.len()) {
            let oldest = own.containers.remove(0);
            by_container.remove(&oldest);
        }
        self.touch(slot, dirt);
    }

    fn unlink(&mut self, slot: PodSlot, dirt: &mut Dirt) {
        let Self { slots, by_address, hosts, .. } = self;
        let Some(own) = slots[slot as usize].as_ref() else { return };
        for ip in own.pod.ips.iter().map(|ip| super::address(*ip)) {
            by_address.remove(&ip, slot);
            dirt.address(ip);
        }
        for ip in own.pod.host_ips.iter().map(|ip| super::address(*ip)) {
            if let Some(hosted) = hosts.get_mut(&ip) {
                *hosted -= 1;
                if *hosted == 0 {
                    hosts.remove(&ip);
                    dirt.all = true;
                }
            }
        }
    }

    fn touch(&mut self, slot: PodSlot, dirt: &mut Dirt) {
        if let Some(own) = &self.slots[slot as usize] {
            own.pod.ips.iter().for_each(|ip| dirt.address(super::address(*ip)));
        }
        self.stale.push(slot);
    }

    pub(super) fn get(&self, slot: PodSlot) -> Option<&Own> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PodSlot, &Own)> + '_ {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, own)| Some((number(slot), own.as_ref()?)))
    }

    /// Pods that exist, deleted ones not counted.
    pub(super) fn len(&self) -> usize {
        self.iter().filter(|(_, own)| own.gone_ms.is_none()).count()
    }

    /// The pod of a container: by the uid that its cgroup names, which only the kubelet writes, else
    /// by the container's full id, if the two fit each other. The cgroup of a static pod has a uid
    /// that the API server knows as the one that is mirrored: a sandbox is in no status, nor is what the
    /// API server itself runs in before it answers.
    pub(super) fn of_container(&self, id: &str, uid: Option<&str>) -> Option<PodSlot> {
        if let Some(&slot) = uid.and_then(|uid| self.by_uid.get(uid)) {
            return Some(slot);
        }
        let fits = |slot: &&PodSlot| {
            uid.is_none() || self.get(**slot).is_some_and(|own| own.pod.is_static())
        };
        let listed = self.by_container.get(id).filter(fits);
        listed.or_else(|| self.by_mirrored.get(uid?)).copied()
    }

    /// The pod that has an address: one that runs before one that ends, one that is there before
    /// one that was deleted; asked for a connection that is known since then.
    pub(super) fn at(&self, address: u128, since_ms: u64) -> Claim {
        let mut best = (0, Claim::NoOne);
        for &slot in self.by_address.get(&address) {
            let claim = self.get(slot).map_or(0, |own| own.claim(since_ms));
            if claim > best.0 {
                best = (claim, Claim::One(slot));
            } else if claim == best.0 && claim > 0 {
                best.1 = Claim::Several;
            }
        }
        best.1
    }

    /// Whether an address is this node's.
    pub(super) fn is_host(&self, address: u128) -> bool {
        self.hosts.contains_key(&address)
    }

    /// This node's addresses.
    pub(super) fn hosts(&self) -> impl Iterator<Item = u128> + '_ {
        self.hosts.keys().copied()
    }
}
