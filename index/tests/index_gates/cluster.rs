//! Clusters as large as wished and always the same, to count and measure with.
//!
//! In: how many pods, Services and namespaces, and a seed. Out: workloads with the labels that
//! Helm, plain manifests and old charts give, Services that select them, and namespaces of very
//! different sizes (Zipf). No real cluster's data; the proportions are those of public charts.
//!
//! Pure: no I/O.

use std::collections::BTreeMap;

/// Pairs ascending by key.
pub(crate) type Labels = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: Labels,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// An ExternalName has no members, whatever its selector says.
    pub(crate) external: bool,
    pub(crate) selector: Option<Labels>,
}

impl Service {
    /// The labels that a member carries; `None` where the Service selects nothing.
    pub(crate) fn wanted(&self) -> Option<&Labels> {
        self.selector.as_ref().filter(|labels| !self.external && !labels.is_empty())
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) pods: Vec<Pod>,
    pub(crate) services: Vec<Service>,
}

/// Steele's splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("less than n")
    }

    pub(crate) fn percent(&mut self) -> usize {
        self.below(100)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// As Kubernetes' `rand.SafeEncodeString` spells.
    fn word(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(self.pick(b"bcdfghjklmnpqrstvwxz2456789"))).collect()
    }

    fn uuid(&mut self) -> String {
        let [high, low] = [self.next(), self.next()];
        let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
        let (fourth, last) = (low >> 48, low & 0xffff_ffff_ffff);
        format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{last:012x}")
    }
}

const APPS: [&str; 24] = [
    "checkout",
    "cart",
    "payments",
    "frontend",
    "catalog",
    "search",
    "ads",
    "email",
    "shipping",
    "currency",
    "recommendation",
    "redis",
    "postgresql",
    "kafka",
    "nginx",
    "grafana",
    "prometheus",
    "auth",
    "orders",
    "inventory",
    "billing",
    "gateway",
    "ml-serving",
    "feature-store",
];
const COMPONENTS: [&str; 8] =
    ["server", "api", "worker", "controller", "cache", "database", "queue", "proxy"];
const TEAMS: [&str; 8] =
    ["payments", "growth", "platform", "data", "sre", "mobile", "web", "identity"];
const STAGES: [&str; 4] = ["prod", "stg", "dev", "ci"];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

/// What one manifest makes: pods with these labels, under this name.
struct Workload {
    namespace: String,
    name: String,
    kind: Kind,
    replicas: usize,
    labels: BTreeMap<&'static str, String>,
    /// Keys that its Services select by.
    selected_by: &'static [&'static str],
    revisions: Vec<String>,
}

impl Cluster {
    /// A cluster of exactly these numbers.
    pub(crate) fn of(pods: usize, services: usize, namespaces: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let weights = cumulative_zipf(namespaces);
        let names: Vec<_> = (0..namespaces)
            .map(|i| format!("{}-{}-{i}", random.pick(&TEAMS), STAGES[i % STAGES.len()]))
            .collect();
        let mut cluster = Self::default();
        let mut number = 0;
        while cluster.pods.len() < pods {
            number += 1;
            let at =
                f64::from(u32::try_from(random.next() >> 32).expect("32 bits")) / 2_f64.powi(32);
            let namespace = weights.partition_point(|weight| *weight < at).min(namespaces - 1);
            let workload = Workload::new(&mut random, &names[namespace], number);
            workload.add_pods(&mut random, &mut cluster.pods);
            let due = services * cluster.pods.len() / pods;
            if workload.kind != Kind::Job && cluster.services.len() < due {
                workload.add_services(&mut random, &mut cluster.services);
            }
        }
        cluster.pods.truncate(pods);
        cluster.services.truncate(services);
        cluster.add_leftovers(&mut random, services);
        cluster
    }

    /// A node's view: a few of the pods, all of the Services.
    pub(crate) fn node(mut self, pods: usize) -> Self {
        Random(7).shuffle(&mut self.pods);
        self.pods.truncate(pods);
        self
    }

    /// Services whose pods are gone, of which real clusters have many.
    fn add_leftovers(&mut self, random: &mut Random, services: usize) {
        for i in self.services.len()..services {
            let namespace = self.pods[random.below(self.pods.len())].namespace.clone();
            let selector = Some(vec![("app".into(), format!("gone-{i}"))]);
            let name = format!("left-{i}");
            self.services.push(Service { namespace, name, external: false, selector });
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few hundred namespaces")]
fn cumulative_zipf(n: usize) -> Vec<f64> {
    let weight = |i: usize| 1.0 / ((i + 1) as f64).powf(0.9);
    let total: f64 = (0..n).map(weight).sum();
    let mut sum = 0.0;
    (0..n)
        .map(|i| {
            sum += weight(i) / total;
            sum
        })
        .collect()
}

impl Workload {
    fn new(random: &mut Random, namespace: &str, number: usize) -> Self {
        let app = random.pick(&APPS);
        let name = format!("{app}-{number}");
        let some = match random.percent() {
            0..40 => 1 + random.below(2),
            40..70 => 3 + random.below(3),
            70..90 => 6 + random.below(15),
            90..98 => 20 + random.below(41),
            _ => 60 + random.below(241),
        };
        let (kind, replicas) = match random.percent() {
            0..75 => (Kind::Deployment, some),
            75..83 => (Kind::StatefulSet, 1 + some.min(9)),
            83..88 => (Kind::DaemonSet, some),
            _ => (Kind::Job, 1 + random.below(4)),
        };
        let (labels, selected_by) = match random.percent() {
            0..55 => helm(random, app, &name),
            55..85 => plain(random, &name, namespace),
            _ => old_chart(random, &name, number),
        };
        let rolling = kind == Kind::Deployment && random.percent() < 10;
        let revisions = (0..=usize::from(rolling)).map(|_| random.word(9)).collect();
        let namespace = namespace.to_owned();
        Self { namespace, name, kind, replicas, labels, selected_by, revisions }
    }

    fn add_pods(&self, random: &mut Random, out: &mut Vec<Pod>) {
        let job = random.uuid();
        for i in 0..self.replicas {
            // A third of a rolling Deployment's pods still have the old revision.
            let old = usize::from(self.revisions.len() > 1 && i * 3 < self.replicas);
            let revision = &self.revisions[old];
            let mut labels: BTreeMap<&str, String> = self.labels.clone();
            let name = match self.kind {
                Kind::Deployment => {
                    labels.insert("pod-template-hash", revision.clone());
                    format!("{}-{revision}-{}", self.name, random.word(5))
                }
                Kind::StatefulSet => {
                    let name = format!("{}-{i}", self.name);
                    let hash = format!("{}-{revision}", self.name);
                    labels.insert("controller-revision-hash", hash);
                    labels.insert("statefulset.kubernetes.io/pod-name", name.clone());
                    labels.insert("apps.kubernetes.io/pod-index", i.to_string());
                    name
                }
                Kind::DaemonSet => {
                    labels.insert("controller-revision-hash", revision.clone());
                    labels.insert("pod-template-generation", "3".into());
                    format!("{}-{}", self.name, random.word(5))
                }
                Kind::Job => {
                    labels.insert("controller-uid", job.clone());
                    labels.insert("batch.kubernetes.io/controller-uid", job.clone());
                    labels.insert("job-name", self.name.clone());
                    labels.insert("batch.kubernetes.io/job-name", self.name.clone());
                    format!("{}-{}", self.name, random.word(5))
                }
            };
            let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let namespace = self.namespace.clone();
            out.push(Pod { uid: random.uuid(), namespace, name, labels });
        }
    }

    fn add_services(&self, random: &mut Random, out: &mut Vec<Service>) {
        let mut wanted: Labels =
            self.selected_by.iter().map(|key| ((*key).into(), self.labels[key].clone())).collect();
        wanted.sort();
        let mut add = |suffix: &str, external: bool, selector: Option<Labels>| {
            let (namespace, name) = (self.namespace.clone(), format!("{}{suffix}", self.name));
            out.push(Service { namespace, name, external, selector });
        };
        add("", false, Some(wanted.clone()));
        if self.kind == Kind::StatefulSet || random.percent() < 12 {
            add("-headless", false, Some(wanted.clone()));
        }
        if self.kind == Kind::Deployment && random.percent() < 6 {
            let revision = ("pod-template-hash".into(), self.revisions[0].clone());
            add("-canary", false, Some([&wanted[..], &[revision]].concat()));
        }
        if self.kind == Kind::StatefulSet && random.percent() < 10 {
            for i in 0..self.replicas {
                let pod = format!("{}-{i}", self.name);
                let key = "statefulset.kubernetes.io/pod-name".into();
                add(&format!("-{i}-pod"), false, Some(vec![(key, pod)]));
            }
        }
        match random.percent() {
            0..3 => add("-manual", false, None),
            3 => add("-external", true, Some(wanted)),
            4..6 => {
                wanted[0].1.push_str("-stale");
                add("-stale", false, Some(wanted));
            }
            6 => add("-tier", false, Some(vec![("tier".into(), "backend".into())])),
            _ => {}
        }
    }
}

type Style = (BTreeMap<&'static str, String>, &'static [&'static str]);

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
const COMPONENT: &str = "app.kubernetes.io/component";

fn helm(random: &mut Random, app: &str, name: &str) -> Style {
    let (major, minor) = (1 + random.below(3), random.below(30));
    let labels = [
        (NAME, app.to_owned()),
        (INSTANCE, name.to_owned()),
        (COMPONENT, random.pick(&COMPONENTS).into()),
        ("app.kubernetes.io/version", format!("{major}.{minor}.{}", random.below(20))),
        ("app.kubernetes.io/part-of", format!("{}-suite", random.pick(&TEAMS))),
        ("app.kubernetes.io/managed-by", "Helm".into()),
        ("helm.sh/chart", format!("{app}-{}.{minor}.0", 1 + random.below(8))),
    ];
    let by: &[&str] = match random.percent() {
        0..60 => &[NAME, INSTANCE],
        60..90 => &[NAME, INSTANCE, COMPONENT],
        _ => &[INSTANCE],
    };
    (labels.into(), by)
}

fn plain(random: &mut Random, name: &str, namespace: &str) -> Style {
    let mut labels = BTreeMap::from([
        ("app", name.to_owned()),
        ("tier", random.pick(&["frontend", "backend", "data"]).into()),
        ("version", format!("v{}", 1 + random.below(4))),
        ("team", random.pick(&TEAMS).into()),
        ("env", namespace.split('-').nth(1).unwrap_or_default().into()),
    ]);
    if random.percent() < 50 {
        labels.insert("security.istio.io/tlsMode", "istio".into());
        labels.insert("service.istio.io/canonical-name", name.to_owned());
        labels.insert("service.istio.io/canonical-revision", "latest".into());
    }
    (labels, if random.percent() < 70 { &["app"] } else { &["app", "tier"] })
}

fn old_chart(random: &mut Random, name: &str, number: usize) -> Style {
    let labels = [
        ("run", name.to_owned()),
        ("release", format!("{}-{}", random.pick(&TEAMS), number % 97)),
        ("heritage", "Tiller".into()),
        ("component", random.pick(&COMPONENTS).into()),
    ];
    (labels.into(), if random.percent() < 50 { &["run"] } else { &["run", "component"] })
}
