//! The file as people and Kubernetes change it.

use std::{fs, os::unix::fs::symlink, time::Instant};

use tempfile::TempDir;
use tokio::sync::watch;

use super::*;

struct Room {
    directory: TempDir,
    path: PathBuf,
    rx: watch::Receiver<Arc<Effective>>,
    task: tokio::task::JoinHandle<()>,
}

impl Room {
    /// A watched file with this content.
    async fn with(content: &str) -> Self {
        let directory = TempDir::new().expect("a scratch directory");
        let path = directory.path().join("config.yaml");
        fs::write(&path, content).expect("the file is written");
        Self::at(directory, path).await
    }

    async fn at(directory: TempDir, path: PathBuf) -> Self {
        let effective = Effective::from_file(&path).expect("the first content is valid");
        let (tx, rx) = watch::channel(Arc::new(effective));
        let task = tokio::spawn(super::watch(path.clone(), tx));
        // Lets the task reach its first wait.
        time::sleep(Duration::from_millis(20)).await;
        Self { directory, path, rx, task }
    }

    /// What is in force after the next change, which must come within a second.
    async fn next(&mut self) -> Arc<Effective> {
        let changed = time::timeout(Duration::from_secs(1), self.rx.changed()).await;
        changed.expect("a change within a second").expect("the watcher lives");
        Arc::clone(&self.rx.borrow_and_update())
    }

    async fn stays(&mut self) {
        assert!(time::timeout(Duration::from_millis(500), self.rx.changed()).await.is_err());
    }
}

#[tokio::test]
async fn a_rewritten_file_is_in_force_within_a_second() {
    let mut room = Room::with("paused: false\n").await;
    fs::write(&room.path, "paused: true\n").unwrap();
    let now = room.next().await;
    assert!(now.spec.paused);
    assert_eq!((now.generation, &now.last_error), (2, &None));
    assert_eq!(now.origin, Origin::File(room.path.clone()));
    assert_eq!(now.hash, now.spec.hash());
}

#[tokio::test]
async fn a_file_renamed_over_it_is_seen_each_time() {
    let mut room = Room::with("{}").await;
    for (generation, paused) in [(2, true), (3, false), (4, true)] {
        let new = room.directory.path().join(".config.yaml.swp");
        fs::write(&new, format!("paused: {paused}\n")).unwrap();
        fs::rename(&new, &room.path).unwrap();
        let now = room.next().await;
        assert_eq!((now.generation, now.spec.paused), (generation, paused));
    }
}

#[tokio::test]
async fn a_swapped_config_map_is_seen() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().to_owned();
    for (version, paused) in [("..1", false), ("..2", true)] {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("config.yaml"), format!("paused: {paused}\n")).unwrap();
    }
    symlink("..1", root.join("..data")).unwrap();
    symlink("..data/config.yaml", root.join("config.yaml")).unwrap();
    let mut mounted = Room::at(directory, root.join("config.yaml")).await;
    symlink("..2", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    assert!(mounted.next().await.spec.paused);
}

#[tokio::test]
async fn a_bad_edit_keeps_the_last_good_and_says_why() {
    let mut room = Room::with("paused: true\n").await;
    fs::write(&room.path, "paused: true\nbudget: {cpu: 0.5m}\n").unwrap();
    let now = room.next().await;
    assert!(now.spec.paused);
    assert_eq!(now.generation, 1);
    let error = now.last_error.clone().unwrap();
    assert!(
        error.ends_with(r#"spec.budget.cpu: "0.5m" is too small; give at least 1m (line 2)"#),
        "{error}"
    );
    fs::write(&room.path, "paused: false\n").unwrap();
    let now = room.next().await;
    assert_eq!((now.generation, now.spec.paused, &now.last_error), (2, false, &None));
}

#[tokio::test]
async fn a_deleted_file_keeps_the_last_good_until_it_is_back() {
    let mut room = Room::with("paused: true\n").await;
    fs::remove_file(&room.path).unwrap();
    let now = room.next().await;
    assert!(
        now.spec.paused
            && now.last_error.as_ref().is_some_and(|error| error.starts_with("cannot read "))
    );
    fs::write(&room.path, "paused: true\n").unwrap();
    let now = room.next().await;
    assert_eq!((now.generation, &now.last_error), (1, &None));
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_no_new_generation() {
    let mut room = Room::with("paused: true\n").await;
    fs::write(&room.path, "# the same\npaused: true\n").unwrap();
    room.stays().await;
    assert_eq!(room.rx.borrow().generation, 1);
}

#[tokio::test]
async fn a_file_that_is_cut_off_does_not_become_the_defaults() {
    let mut room = Room::with("paused: true\n").await;
    fs::write(&room.path, "").unwrap();
    let now = room.next().await;
    assert!(
        now.spec.paused && now.last_error.as_ref().is_some_and(|error| error.contains("is empty"))
    );
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_found_by_looking() {
    let outer = TempDir::new().unwrap();
    let conf = outer.path().join("conf");
    fs::create_dir(&conf).unwrap();
    fs::write(conf.join("config.yaml"), "paused: false\n").unwrap();
    let mut room = Room::at(outer, conf.join("config.yaml")).await;
    fs::rename(&conf, conf.with_extension("old")).unwrap();
    fs::create_dir(&conf).unwrap();
    fs::write(conf.join("config.yaml"), "paused: true\n").unwrap();
    let since = Instant::now();
    while !room.rx.borrow().spec.paused {
        assert!(since.elapsed() < Duration::from_secs(8));
        time::sleep(Duration::from_millis(50)).await;
    }
    room.rx.mark_unchanged();
    fs::write(&room.path, "paused: false\n").unwrap();
    assert!(!room.next().await.spec.paused);
}

#[tokio::test]
async fn the_watcher_ends_when_no_one_reads() {
    let room = Room::with("{}").await;
    drop(room.rx);
    time::timeout(Duration::from_secs(1), room.task).await.unwrap().unwrap();
}

#[test]
fn a_huge_file_is_refused_without_being_read() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("huge.yaml");
    fs::write(&path, vec![b'#'; 1 + (1 << 20)]).unwrap();
    assert!(matches!(load(&path), Err(Error::TooLarge { .. })));
}
