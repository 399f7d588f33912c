//! Docker's names from a real daemon, which the test starts for itself: list, events, renames, and its absence.
//!
//! Needs root, `dockerd`, its command line and a static `busybox`; ignored unless asked for, as `make test` does.
#![cfg(feature = "docker")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use probelet_agent::names::docker::{DockerNames, State, follow};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::{sync::watch, time};

const IMAGE: &str = "probelet-test:1";
/// The longest that a change may take to be seen, on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// Why the test cannot run here.
fn missing() -> Option<String> {
    if !geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let absent = |program: &&str| find(program).is_none();
    ["dockerd", "docker", "busybox", "tar"]
        .iter()
        .find(|name| absent(name))
        .map(|name| format!("no {name} in PATH"))
}

fn find(program: &str) -> Option<PathBuf> {
    let output = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// A daemon of our own, with all that it makes below one directory.
struct Daemon {
    root: TempDir,
    child: Option<Child>,
    had_cgroups: bool,
}

impl Daemon {
    fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("probelet-docker-")
            .tempdir()
            .expect("a scratch directory");
        fs::write(root.path().join("none.json"), "{}").expect("an empty configuration");
        Self { root, child: None, had_cgroups: cgroups().next().is_some() }
    }

    fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_string_lossy().into_owned()
    }

    fn socket(&self) -> PathBuf {
        self.root.path().join("docker.sock")
    }

    fn start(&mut self) {
        let answers = self.try_start();
        let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
        assert!(answers, "dockerd does not answer: {}", log());
    }

    fn try_start(&mut self) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.path("log"));
        let socket = format!("unix://{}", self.path("docker.sock"));
        let child = Command::new("dockerd")
            .args(["--data-root", &self.path("data"), "--exec-root", &self.path("exec")])
            .args(["--pidfile", &self.path("pid"), "--config-file", &self.path("none.json")])
            .args(["--host", &socket, "--storage-driver=vfs"])
            // Leaves the network of the machine alone.
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--ip-masq=false", "--ip-forward=false"])
            // Containers outlive the daemon.
            .arg("--live-restore")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn();
        self.child = Some(child.expect("dockerd starts"));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self.try_docker(&["version"]).0 {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// Ends the daemon as an administrator would.
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_child(&child);
        for (signal, patience) in [(Signal::TERM, 20), (Signal::KILL, 5)] {
            if kill_process(pid, signal).is_err() {
                continue;
            }
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(patience) {
                if matches!(child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn try_docker(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new("docker");
        command.args(["-H", &format!("unix://{}", self.path("docker.sock"))]).args(words);
        let output = command.stdin(Stdio::null()).output().expect("docker runs");
        let text = if output.status.success() { &output.stdout } else { &output.stderr };
        (output.status.success(), String::from_utf8_lossy(text).trim().to_owned())
    }

    fn docker(&self, words: &[&str]) -> String {
        let (success, text) = self.try_docker(words);
        assert!(success, "docker {words:?}: {text}");
        text
    }

    /// An image without a registry: one static program.
    fn import(&self) {
        let bin = self.root.path().join("image/bin");
        fs::create_dir_all(&bin).expect("a directory");
        fs::copy(find("busybox").expect("checked before"), bin.join("busybox")).expect("a copy");
        symlink("busybox", bin.join("sleep")).expect("a link");
        let (image, tar) = (self.path("image"), self.path("image.tar"));
        let packed =
            Command::new("tar").args(["-C", &image, "-cf", &tar, "."]).status().expect("tar runs");
        assert!(packed.success());
        self.docker(&["import", &tar, IMAGE]);
    }

    /// Starts a container that sleeps; its full id.
    fn run(&self, name: &str, labels: &[&str]) -> String {
        let mut words =
            vec!["run", "-d", "--network", "none", "--stop-signal", "KILL", "--name", name];
        words.extend(labels.iter().flat_map(|label| ["--label", label]));
        words.extend([IMAGE, "/bin/sleep", "600"]);
        self.docker(&words)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After a failure the daemon may be away while its containers live.
        if self.child.is_some() || self.try_start() {
            let (_, ids) = self.try_docker(&["ps", "-aq"]);
            let ids: Vec<&str> = ids.lines().collect();
            self.try_docker(&[&["rm", "-f"], &ids[..]].concat());
        }
        self.stop();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = |mount: &&str| Path::new(mount).starts_with(self.root.path());
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(below) {
            drop(Command::new("umount").args(["-l", mount]).status());
        }
        if !self.had_cgroups {
            // Fails, rightly, where a container of someone else has moved in.
            cgroups().for_each(|group| drop(fs::remove_dir(group)));
        }
    }
}

/// The parent cgroups that Docker leaves behind.
fn cgroups() -> impl Iterator<Item = PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies
        .chain([root.to_owned()])
        .map(|hierarchy| hierarchy.join("docker"))
        .filter(|group| group.is_dir())
}

type Names = watch::Receiver<Arc<DockerNames>>;

/// Waits for what was published to be so.
async fn until(
    rx: &mut Names,
    what: &str,
    is_so: impl Fn(&DockerNames) -> bool,
) -> Arc<DockerNames> {
    let waited = time::timeout(SOON, rx.wait_for(|names| is_so(names)))
        .await
        .map(|names| names.map(|n| Arc::clone(&n)));
    match waited {
        Ok(Ok(names)) => names,
        Ok(Err(_)) => panic!("the follower ended before {what}"),
        Err(time::error::Elapsed { .. }) => panic!("not in time: {what}; {:?}", rx.borrow()),
    }
}

fn name_of(names: &DockerNames, id: &str) -> Option<String> {
    names.containers.get(id).map(|container| container.name.clone())
}

#[tokio::test]
#[ignore = "needs root and Docker"]
async fn the_names_of_docker_are_followed_through_its_absence() {
    assert_eq!(missing(), None);
    let mut daemon = Daemon::new();
    daemon.start();
    daemon.import();
    let web = daemon.run("web", &["app=web", "tier=front"]);

    let (tx, mut rx) = watch::channel(Arc::default());
    let task = tokio::spawn(follow(daemon.socket(), tx));

    let names = until(&mut rx, "the list", |names| names.state == State::Connected).await;
    let container = &names.containers[web.as_str()];
    assert_eq!((container.name.as_str(), container.image.as_str()), ("web", IMAGE));
    assert_eq!(
        container.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["app=web", "tier=front"]
    );

    let db = daemon.run("db", &["app=db"]);
    let names = until(&mut rx, "a start", |names| name_of(names, &db).is_some()).await;
    assert_eq!(names.containers[db.as_str()].labels["app"], "db");
    assert!(names.containers[db.as_str()].started.is_some());
    daemon.docker(&["rename", "db", "database"]);
    until(&mut rx, "a rename", |names| name_of(names, &db).as_deref() == Some("database")).await;
    daemon.docker(&["rm", "-f", "database"]);
    let names = until(&mut rx, "an end", |names| name_of(names, &db).is_none()).await;
    assert_eq!((names.containers.len(), names.reconnects), (1, 0));

    let batch = daemon.run("batch", &[]);
    until(&mut rx, "another start", |names| name_of(names, &batch).is_some()).await;
    let batch_pid = daemon.docker(&["inspect", "-f", "{{.State.Pid}}", "batch"]).parse().unwrap();
    let batch_pid = Pid::from_raw(batch_pid).unwrap();
    daemon.stop();
    let names =
        until(&mut rx, "the loss", |names| matches!(names.state, State::Disconnected { .. })).await;
    assert_eq!(name_of(&names, &web).as_deref(), Some("web"), "names stay while Docker is away");

    kill_process(batch_pid, Signal::KILL).unwrap();
    daemon.start();
    let cache = daemon.run("cache", &[]);
    let names = until(&mut rx, "the return", |names| name_of(names, &cache).is_some()).await;
    assert_eq!((names.state, names.reconnects), (State::Connected, 1));
    assert_eq!(name_of(&names, &web).as_deref(), Some("web"), "it outlived the daemon");
    assert_eq!(name_of(&names, &batch), None, "it ended while Docker was away");

    task.abort();
    tokio::task::spawn_blocking(move || drop(daemon)).await.unwrap();
}

#[tokio::test]
async fn no_socket_is_no_error() {
    let directory = TempDir::new().unwrap();
    let (tx, mut rx) = watch::channel(Arc::default());
    let task = tokio::spawn(follow(directory.path().join("docker.sock"), tx));
    assert!(time::timeout(Duration::from_millis(200), rx.changed()).await.is_err());
    assert_eq!(rx.borrow().state, State::Absent);
    drop(rx);
    time::timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
}
