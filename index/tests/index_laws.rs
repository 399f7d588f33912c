//! The index against brute force: after any sequence of events, both directions give what a plain
//! walk over all pods and all owners gives, with hashes of 64 bits and of three.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_index::selector::Selector;
use probelet_index::{Index, Limits, OwnerId};
use std::collections::BTreeMap;

const SEEDS: u64 = 40;
const STEPS: usize = 1500;
const NAMESPACES: [&str; 3] = ["shop", "blog", "ci"];

type Labels = BTreeMap<&'static str, &'static str>;
/// (UID of the pod, scope, owner)
type Pair = (String, String, String);

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next()).unwrap() % n
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn labels(&mut self) -> Labels {
        let keys = ["a", "b", "c", "d", "x.io/e"].into_iter().filter(|_| self.below(9) < 5);
        let keys: Vec<_> = keys.collect();
        keys.into_iter().map(|key| (key, self.pick(&["", "0", "1", "2", "10", "v"]))).collect()
    }

    fn selector(&mut self) -> Selector {
        let requirements: Vec<_> = (0..self.below(4)).map(|_| self.requirement()).collect();
        Selector::parse(&requirements.join(",")).unwrap()
    }

    fn requirement(&mut self) -> String {
        let key = self.pick(&["a", "b", "c", "d", "x.io/e", "zz"]);
        let mut values =
            || (0..=self.below(3)).map(|_| self.pick(&["", "0", "1", "10", "v"])).collect();
        let values: Vec<&str> = values();
        let number = self.pick(&["00", "0", "1", "9"]);
        match self.below(8) {
            0..3 => format!("{key} in ({})", values.join(",")),
            3 => format!("{key} notin ({})", values.join(",")),
            4 => key.to_owned(),
            5 => format!("!{key}"),
            6 => format!("{key}>{number}"),
            _ => format!("{key}<{number}"),
        }
    }
}

struct Owned {
    selector: Option<Selector>,
    spaces: Option<Selector>,
}

/// The plain truth, and the index that has to agree with it.
struct Trial {
    random: Random,
    index: Index,
    /// Namespace and labels of each UID.
    pods: BTreeMap<String, (&'static str, Labels)>,
    owners: BTreeMap<(Option<&'static str>, String), Owned>,
    spaces: BTreeMap<&'static str, Labels>,
}

impl Trial {
    fn new(seed: u64, weak: bool) -> Self {
        let mut random = Random(seed * 7919 + 1);
        let (key, limits) = (random.next(), Limits::default());
        let index = if weak {
            Index::with_weak_hashes_for_tests(key, limits)
        } else {
            Index::with_limits(key, limits)
        };
        let (pods, owners, spaces) = <_>::default();
        Self { random, index, pods, owners, spaces }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..16 => self.upsert_pod(),
            16..21 => self.remove_pod(),
            21..31 => self.upsert_owner(),
            31..36 => self.remove_owner(),
            36..39 => self.set_namespace(),
            _ => self.remove_namespace(),
        }
    }

    /// Some UIDs are UUIDs and some are not.
    fn uid(&mut self) -> String {
        match self.random.below(120) {
            n if n.is_multiple_of(3) => format!("uid-{n}"),
            n => format!("{n:08x}-0000-4000-8000-00000000000a"),
        }
    }

    fn upsert_pod(&mut self) {
        let (uid, labels) = (self.uid(), self.random.labels());
        // Now and then one comes back in another namespace.
        let kept = self.pods.get(&uid).map(|(namespace, _)| *namespace);
        let namespace = kept.filter(|_| self.random.below(8) > 0);
        let namespace = namespace.unwrap_or_else(|| self.random.pick(&NAMESPACES));
        let mut pairs: Vec<_> = labels.clone().into_iter().collect();
        if self.random.below(4) == 0 {
            pairs.reverse();
        }
        self.index.upsert_pod(&uid, namespace, &pairs).unwrap();
        self.pods.insert(uid, (namespace, labels));
    }

    fn remove_pod(&mut self) {
        let uid = self.uid();
        let removed = self.index.remove_pod(&uid).is_some();
        assert_eq!(removed, self.pods.remove(&uid).is_some());
    }

    fn owner_name(&mut self) -> (Option<&'static str>, String) {
        let scope =
            if self.random.below(4) == 0 { None } else { Some(self.random.pick(&NAMESPACES)) };
        (scope, format!("s{}", self.random.below(25)))
    }

    fn upsert_owner(&mut self) {
        let at = self.owner_name();
        let selector = (self.random.below(10) > 0).then(|| self.random.selector());
        let choosy = at.0.is_none() && self.random.below(2) == 0;
        let spaces = choosy.then(|| self.random.selector());
        self.index.upsert_owner(at.0, &at.1, selector.as_ref(), spaces.as_ref()).unwrap();
        self.owners.insert(at, Owned { selector, spaces });
    }

    fn remove_owner(&mut self) {
        let at = self.owner_name();
        let removed = self.index.remove_owner(at.0, &at.1).is_some();
        assert_eq!(removed, self.owners.remove(&at).is_some());
    }

    fn set_namespace(&mut self) {
        let (name, labels) = (self.random.pick(&NAMESPACES), self.random.labels());
        let pairs: Vec<_> = labels.clone().into_iter().collect();
        self.index.set_namespace(name, &pairs).unwrap();
        self.spaces.insert(name, labels);
    }

    fn remove_namespace(&mut self) {
        let name = self.random.pick(&NAMESPACES);
        assert_eq!(self.index.remove_namespace(name), self.spaces.remove(name).is_some());
    }

    fn selects(
        &self,
        namespace: &str,
        labels: &Labels,
        scope: Option<&str>,
        owned: &Owned,
    ) -> bool {
        let nothing = Labels::new();
        let own = self.spaces.get(namespace).unwrap_or(&nothing);
        scope.is_none_or(|scope| scope == namespace)
            && owned.spaces.as_ref().is_none_or(|spaces| spaces.matches(own))
            && owned.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    fn brute_force(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (uid, (namespace, labels)) in &self.pods {
            for ((scope, owner), owned) in &self.owners {
                if self.selects(namespace, labels, *scope, owned) {
                    let scope = scope.unwrap_or("*").to_owned();
                    pairs.push((uid.clone(), scope, owner.clone()));
                }
            }
        }
        pairs.sort();
        pairs
    }

    fn pair(&self, uid: &str, owner: OwnerId) -> Pair {
        let (scope, owner) = self.index.owner(owner).unwrap();
        (uid.into(), scope.unwrap_or("*").into(), owner.into())
    }

    fn check(&mut self) {
        let truth = self.brute_force();
        let index = &self.index;
        let ids: BTreeMap<_, _> =
            self.pods.keys().map(|uid| (index.find_pod(uid).unwrap(), &**uid)).collect();
        assert_eq!((ids.len(), index.stats().pods), (self.pods.len(), self.pods.len()));

        let forward = ids.iter().flat_map(|(id, uid)| {
            index.owners_of(*id).map(|owner| self.pair(uid, owner)).collect::<Vec<_>>()
        });
        let mut forward: Vec<_> = forward.collect();
        forward.sort();
        assert_eq!(forward, truth, "owners_of");

        // An owner that is given its own selector again says which it is.
        let mut back = Vec::new();
        let Self { index, owners, .. } = self;
        for ((scope, name), Owned { selector, spaces }) in &*owners {
            let (owner, _) =
                index.upsert_owner(*scope, name, selector.as_ref(), spaces.as_ref()).unwrap();
            back.extend(index.pods_of(owner).map(|pod| (pod, owner)));
        }
        let mut back: Vec<_> =
            back.into_iter().map(|(pod, owner)| self.pair(ids[&pod], owner)).collect();
        back.sort();
        assert_eq!(back, truth, "pods_of");
    }

    /// Labels that no pod has to carry, in a namespace that need not exist.
    fn check_ad_hoc(&mut self) {
        let (namespace, labels) =
            (self.random.pick(&["shop", "blog", "void"]), self.random.labels());
        let matching = |((scope, name), owned): (&(Option<&'static str>, String), &Owned)| {
            let selects = self.selects(namespace, &labels, *scope, owned);
            selects.then(|| (*scope, name.clone()))
        };
        let truth: Vec<_> = self.owners.iter().filter_map(matching).collect();

        let pairs: Vec<_> = labels.iter().rev().map(|(key, value)| (*key, *value)).collect();
        let mut out = Vec::new();
        self.index.match_labels(namespace, &pairs, &mut out);

        let named = out.iter().map(|owner| self.index.owner(*owner).unwrap());
        let mut found: Vec<_> = named.map(|(scope, name)| (scope, name.to_owned())).collect();
        found.sort();
        assert_eq!(found, truth);
    }

    /// Everything goes, and with it everything that was kept for it.
    fn empty(mut self) {
        for uid in self.pods.keys() {
            self.index.remove_pod(uid).unwrap();
        }
        for (scope, name) in self.owners.keys() {
            self.index.remove_owner(*scope, name).unwrap();
        }
        for name in self.spaces.keys() {
            assert!(self.index.remove_namespace(name));
        }
        let left = self.index.stats();
        assert_eq!((left.pods, left.owners, left.classes, left.selectors), (0, 0, 0, 0));
        assert_eq!((left.edges, left.namespaces, left.unanchored), (0, 0, 0));
        assert!(left.bytes <= 64, "{} bytes", left.bytes);
    }
}

fn run(weak: bool) {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(seed, weak);
        for step in 0..STEPS {
            trial.step();
            if step < 30 || step % 75 == 0 {
                trial.check();
                trial.check_ad_hoc();
            }
        }
        trial.empty();
    }
}

#[test]
fn any_sequence_of_events_gives_what_brute_force_gives() {
    run(false);
}

#[test]
fn any_sequence_of_events_gives_the_same_when_nearly_all_hashes_collide() {
    run(true);
}
