//! The engine with a source of the test's own: what it reads, when, and what it keeps.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_agent::config::Effective;
use probelet_agent::discover::choose::Chosen;
use probelet_agent::discover::{Error, Limits, Pace, Pass, Source};
use probelet_agent::engine::{End, Engine, Governor, Setup};
use probelet_agent::snapshot::{Skip, Snapshot};
use probelet_core::budget::Level;
use probelet_core::cluster::objects::{Event, Kind, Pod, Service};
use probelet_core::facts::{Facts, Netns, Process, SourceKind, Want};
use probelet_crds::ProbeConfigSpec;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

#[path = "engine/reload.rs"]
mod reload;

/// What the test does to the node, and what it sees the engine do.
#[derive(Default)]
struct World {
    opens: AtomicU64,
    moving: AtomicBool,
    broken: AtomicBool,
    /// CPU time that a reading of sockets burns, milliseconds.
    burn_ms: AtomicU64,
    read: Mutex<Vec<Want>>,
    /// No source but the first can be loaded.
    refuses: AtomicBool,
    loads: Mutex<Vec<Option<SourceKind>>>,
    limits: Mutex<Vec<Limits>>,
}

struct Fake(Arc<World>);

impl Source for Fake {
    fn kind(&self) -> SourceKind {
        SourceKind::Bpf
    }

    fn set_limits(&mut self, limits: Limits) {
        self.0.limits.lock().unwrap().push(limits);
    }

    fn pass(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Result<Pass, Error> {
        self.0.read.lock().unwrap().push(want);
        if self.0.broken.load(Ordering::Relaxed) {
            let source = std::io::Error::from_raw_os_error(libc::EIO);
            return Err(Error::Read { operation: "read", path: "the world".to_owned(), source });
        }
        if want >= Want::Sockets {
            for _ in 0..self.0.burn_ms.load(Ordering::Relaxed) {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(1) {}
                if !pace.breathe() {
                    return Ok(Pass::Abandoned);
                }
            }
        }
        let moved = u64::from(self.0.moving.load(Ordering::Relaxed));
        let active_opens = self.0.opens.fetch_add(moved, Ordering::Relaxed);
        facts.netns = vec![Netns { inode: 1, active_opens, ..Netns::default() }];
        facts.processes = vec![Process { pid: 1, netns: 1, ..Process::default() }];
        facts.fresh = Some(want);
        Ok(Pass::Complete)
    }
}

struct Running {
    world: Arc<World>,
    governor: Arc<Governor>,
    config: watch::Sender<Arc<Effective>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    engine: JoinHandle<End>,
}

fn start(spec: ProbeConfigSpec, world: World) -> Running {
    start_with(spec, world, None)
}

fn start_with(
    spec: ProbeConfigSpec,
    world: World,
    cluster: Option<mpsc::Receiver<Vec<Event>>>,
) -> Running {
    let world = Arc::new(world);
    let budget = spec.budget.clone();
    let governor = Arc::new(Governor::new(budget.cpu.nanocores(), budget.window.duration(), 100));
    // Of the process only what follows: other tests run in it as well.
    governor.begin();
    let (config, seen) = watch::channel(Arc::new(Effective { spec, ..Effective::defaults() }));
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty("node".into())));
    let fake = Arc::clone(&world);
    let setup = Setup {
        rights: None,
        node: "node".into(),
        source: None,
        config: seen,
        governor: Arc::clone(&governor),
        snapshots: sender,
        load: Box::new(move |pin, _| {
            fake.loads.lock().unwrap().push(pin);
            if fake.refuses.load(Ordering::Relaxed) {
                let source = std::io::Error::from_raw_os_error(libc::EPERM);
                let (source_kind, step) = ("netlink", "load".to_owned());
                return Err(Error::Refused { source_kind, step, hint: String::new(), source });
            }
            let source = Box::new(Fake(Arc::clone(&fake)));
            Ok(Chosen { source, refused: Vec::new(), denied: false })
        }),
        ends: None,
        cluster,
    };
    let engine = thread::spawn(move || Engine::new(setup).unwrap().run());
    Running { world, governor, config, snapshots, engine }
}

impl Running {
    fn configure(&self, change: impl FnOnce(&mut ProbeConfigSpec)) {
        let mut next = Effective::clone(&self.config.borrow());
        change(&mut next.spec);
        next.generation += 1;
        self.config.send_replace(Arc::new(next));
        self.engine.thread().unpark();
    }

    fn count(&self, at_least: Want) -> usize {
        self.world.read.lock().unwrap().iter().filter(|want| **want >= at_least).count()
    }

    fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let began = Instant::now();
        loop {
            let snapshot = Arc::clone(&self.snapshots.borrow());
            if holds(&snapshot) {
                return snapshot;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(self) -> Duration {
        let began = Instant::now();
        self.governor.stop();
        self.engine.thread().unpark();
        self.engine.join().unwrap();
        began.elapsed()
    }
}

/// Generous, so that only what a test makes expensive is stretched.
fn rich() -> ProbeConfigSpec {
    let mut spec = ProbeConfigSpec::default();
    spec.budget.cpu = probelet_crds::CpuQuantity::from_millicores(2000);
    spec.intervals.sockets = probelet_crds::Interval::from_millis(200);
    spec.intervals.processes = probelet_crds::Interval::from_millis(400);
    spec
}

#[test]
fn a_quiet_node_is_read_in_full_once_and_then_only_looked_at() {
    let running = start(rich(), World::default());
    thread::sleep(Duration::from_millis(1500));

    assert_eq!(running.count(Want::Sockets), 1);
    assert!(running.count(Want::Counters) >= 8);
    let skipped =
        running.until("skips are shown", |s| s.vitals.skipped[Skip::Unchanged as usize] > 3);
    assert_eq!(skipped.vitals.level, Level::Full);
    running.stop();
}

#[test]
fn a_busy_node_is_read_at_its_interval() {
    let world = World { moving: AtomicBool::new(true), ..World::default() };
    let running = start(rich(), world);
    thread::sleep(Duration::from_millis(2100));

    let read = running.count(Want::Sockets);
    assert!((4..=12).contains(&read), "{read}");
    running.stop();
}

#[test]
fn a_pause_stops_collection_within_a_second_and_ends_as_fast() {
    let running = start(rich(), World::default());
    running.until("the first picture", |s| s.picture.epoch > 0);

    running.configure(|spec| spec.paused = true);
    running.until("paused is shown", |s| s.vitals.level == Level::Paused);
    let before = running.count(Want::Counters);
    thread::sleep(Duration::from_millis(600));
    assert_eq!(running.count(Want::Counters), before);

    running.configure(|spec| spec.paused = false);
    running.until("collection again", |s| s.vitals.level == Level::Full);
    thread::sleep(Duration::from_millis(300));
    assert!(running.count(Want::Counters) > before);
    running.stop();
}

#[test]
fn a_source_that_fails_keeps_the_last_picture_and_is_tried_again() {
    let running = start(rich(), World::default());
    running.until("the first picture", |s| s.picture.processes.len() == 1);

    running.world.broken.store(true, Ordering::Relaxed);
    let failing =
        running.until("failures are counted", |s| s.vitals.skipped[Skip::Failed as usize] > 0);
    assert_eq!(failing.picture.processes.len(), 1);

    running.world.broken.store(false, Ordering::Relaxed);
    let before = running.count(Want::Sockets);
    let began = Instant::now();
    while running.count(Want::Sockets) == before {
        assert!(began.elapsed() < Duration::from_secs(10), "never read again");
        thread::sleep(Duration::from_millis(20));
    }
    running.stop();
}

#[test]
fn a_reading_too_expensive_for_its_budget_is_stretched_and_says_what_it_would_take() {
    let mut spec = rich();
    spec.budget.cpu = probelet_crds::CpuQuantity::from_millicores(20);
    spec.budget.window = probelet_crds::Interval::from_secs(10);
    let world =
        World { moving: AtomicBool::new(true), burn_ms: AtomicU64::new(40), ..World::default() };
    let running = start(spec, world);

    let stretched = running.until("stretched", |s| s.vitals.level >= Level::Stretched);
    assert!(
        stretched.vitals.level_reason.starts_with("needs "),
        "{}",
        stretched.vitals.level_reason
    );
    running.stop();
}

#[test]
fn a_reading_that_waits_for_its_budget_shows_how_late_it_is() {
    let mut spec = rich();
    spec.budget.cpu = probelet_crds::CpuQuantity::from_millicores(1);
    let world = World { burn_ms: AtomicU64::new(100_000), ..World::default() };
    let running = start(spec, world);

    let late = running.until("late", |s| s.vitals.level >= Level::Stretched);

    assert_eq!(late.picture.epoch, 0, "nothing was read yet, and nothing is claimed");
    assert!(late.vitals.level_reason.contains("the first scan"), "{}", late.vitals.level_reason);
    running.stop();
}

#[test]
fn the_end_comes_within_a_second_even_in_the_middle_of_a_reading() {
    let mut spec = rich();
    spec.budget.cpu = probelet_crds::CpuQuantity::from_millicores(1);
    let world = World { burn_ms: AtomicU64::new(100_000), ..World::default() };
    let running = start(spec, world);
    thread::sleep(Duration::from_millis(300));

    assert!(running.stop() < Duration::from_secs(1));
}

#[test]
fn a_new_configuration_is_in_force_at_once() {
    let running = start(rich(), World::default());
    running.until("the first picture", |s| s.picture.epoch > 0);

    running.configure(|spec| spec.budget.cpu = probelet_crds::CpuQuantity::from_millicores(7));

    let now = running.until("the new budget", |s| (s.vitals.budget_cores - 0.007).abs() < 1e-9);
    assert_eq!(now.vitals.config_generation, 2);
    running.stop();
}

#[test]
fn other_limits_show_in_a_full_pass_and_load_nothing() {
    let running = start(rich(), World::default());
    running.until("the first picture", |s| s.picture.epoch > 0);
    let before = running.count(Want::Everything);

    running.configure(|spec| (spec.limits.max_sockets, spec.limits.max_processes) = (2048, 512));

    let began = Instant::now();
    while running.count(Want::Everything) == before {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing was read again");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running.world.loads.lock().unwrap().len(), 1);
    running.stop();
}

#[test]
fn news_of_the_cluster_is_shown_without_a_reading_of_sockets() {
    let (news, cluster) = mpsc::channel(4);
    let running = start_with(rich(), World::default(), Some(cluster));
    running.until("the first picture", |s| s.picture.epoch > 0);
    let readings = running.count(Want::Sockets);
    let pod = Pod {
        namespace: "shop".into(),
        name: "web-0".into(),
        uid: "u".into(),
        ips: vec!["10.1.0.5".parse().unwrap()],
        ..Pod::default()
    };
    let batch = vec![Event::Listing(Kind::Pod), Event::Pod(pod), Event::Listed(Kind::Pod)];

    news.blocking_send(batch).unwrap();

    let shown = running.until("the pod", |s| {
        s.picture.cluster.as_ref().is_some_and(|cluster| cluster.pods.len() == 1)
    });
    assert!(shown.picture.cluster.as_ref().unwrap().known.synced[Kind::Pod as usize]);
    assert_eq!(running.count(Want::Sockets), readings);
    running.stop();
}

#[test]
fn a_storm_of_news_is_taken_in_and_does_not_stop_the_looks() {
    let (news, cluster) = mpsc::channel(4);
    let running = start_with(rich(), World::default(), Some(cluster));
    let services = |batch: u32| {
        let service = |n: u32| Service {
            namespace: "shop".into(),
            name: format!("s-{batch}-{n}").into(),
            cluster_ips: vec![[10, 96, (batch % 250) as u8, (n % 250) as u8].into()],
            ..Service::default()
        };
        (0..100).map(|n| Event::Service(service(n))).collect::<Vec<_>>()
    };

    for batch in 0..200 {
        news.blocking_send(services(batch)).unwrap();
    }

    let all = |s: &Snapshot| s.picture.cluster.as_ref().is_some_and(|c| c.known.events == 20_000);
    let snapshot = running.until("all of it", all);
    assert_eq!(snapshot.picture.cluster.as_ref().unwrap().known.objects[1], 20_000);
    let looks = running.count(Want::Counters);
    thread::sleep(Duration::from_millis(600));
    assert!(running.count(Want::Counters) > looks);
    running.stop();
}
