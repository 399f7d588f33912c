//! What an edit costs: only another source is a reason to load one.

use super::*;
use probelet_crds::Source as Configured;

#[test]
fn an_edit_of_limits_budget_or_intervals_loads_nothing() {
    let running = start(rich(), World::default());
    running.until("the first picture", |s| s.picture.epoch > 0);

    for edit in 1..=20 {
        running.configure(|spec| {
            spec.limits.max_sockets = 1024 * edit;
            spec.limits.max_processes = 512 * edit;
            spec.limits.procfs_reads_per_second = 1000 + edit;
            spec.budget.cpu = probelet_crds::CpuQuantity::from_millicores(2000);
            spec.intervals.bytes =
                probelet_crds::Interval::from_secs(10 + u64::from(edit.unsigned_abs()));
        });
        let generation = u64::from(edit.unsigned_abs()) + 1;
        running.until("the edit", |s| s.vitals.config_generation == generation);
    }

    assert_eq!(running.world.loads.lock().unwrap().as_slice(), [None], "at the start alone");
    let limits = running.world.limits.lock().unwrap().clone();
    let last = limits.last().copied().unwrap();
    assert_eq!((last.max_sockets, last.max_processes), (20_480, 10_240));
    running.stop();
}

#[test]
fn smaller_limits_are_looked_at_in_a_reading_of_everything() {
    let running = start(rich(), World::default());
    running.until("the first picture", |s| s.picture.epoch > 0);
    let before = running.count(Want::Everything);

    running.configure(|spec| spec.limits.max_sockets = 2048);

    running.until("the edit", |s| s.vitals.config_generation == 2);
    let began = Instant::now();
    while running.count(Want::Everything) == before {
        assert!(began.elapsed() < Duration::from_secs(5), "what is left out now is not known");
        thread::sleep(Duration::from_millis(20));
    }
    running.stop();
}

#[test]
fn another_source_is_loaded_once() {
    let running = start(rich(), World::default());
    running.until("the first picture", |s| s.picture.epoch > 0);

    running.configure(|spec| spec.source = Configured::Netlink);
    running.until("the edit", |s| s.vitals.config_generation == 2);
    running.configure(|spec| spec.limits.max_sockets = 2048);
    running.until("the next one", |s| s.vitals.config_generation == 3);

    let loads = running.world.loads.lock().unwrap().clone();
    assert_eq!(loads, [None, Some(SourceKind::Netlink)]);
    running.stop();
}

#[test]
fn a_source_that_cannot_be_loaded_leaves_the_last_one_at_work_and_is_not_tried_in_a_loop() {
    let world = World { moving: AtomicBool::new(true), ..World::default() };
    let running = start(rich(), world);
    running.until("the first picture", |s| s.picture.epoch > 0);

    running.world.refuses.store(true, Ordering::Relaxed);
    running.configure(|spec| spec.source = Configured::Netlink);
    running.until("the edit", |s| s.vitals.config_generation == 2);
    let before = running.count(Want::Sockets);
    thread::sleep(Duration::from_millis(1500));

    assert_eq!(running.world.loads.lock().unwrap().len(), 2);
    assert!(running.count(Want::Sockets) > before, "the last one is read");
    running.stop();
}

#[test]
fn a_source_that_fails_again_and_again_is_looked_for_elsewhere_only_after_a_while() {
    let world = World { broken: AtomicBool::new(true), ..World::default() };
    let running = start(rich(), world);

    // Passes at 0, 1, 3, 6 and 10 s; the fifth failure in a row looks elsewhere.
    thread::sleep(Duration::from_millis(4500));
    let passes = running.count(Want::Counters);

    assert!((2..=4).contains(&passes), "{passes} passes");
    assert_eq!(running.world.loads.lock().unwrap().as_slice(), [None]);
    running.stop();
}
