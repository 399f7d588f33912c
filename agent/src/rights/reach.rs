//! What the running agent reaches of the machine: the files it reads and reads again, the one directory it writes to, the ports
//! that it connects to.
//!
//! In: the arguments. Out: places and ports, and rules for landlock made of them. It must not read what it names.
//!
//! A file that is replaced by another of its name has to be found again, so what counts is the directory it is in; only of `/`
//! nothing but the file itself.
//!
//! I/O: opens each place for a moment; a kubeconfig; `/proc/self/mounts`.

use super::filter::Needs;
use crate::args::{Args, Tls};
use crate::kube::Access;
use crate::sys::landlock::{MAKE_FILE, READ_DIR, READ_FILE, Rules, WRITE_FILE};
use probelet_runtime::reach;
use rustix::fs::{Mode, OFlags, open};
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// What names of hosts are found by. There may be none of them.
const NAMES: [&str; 7] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
];
/// An answer that is too long for a datagram.
const DNS: u16 = 53;

/// What is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Read, with all below it.
    read: Vec<PathBuf>,
    /// Written to, with all below it.
    write: Vec<PathBuf>,
    /// TCP ports; `None` where they cannot be determined.
    ports: Option<Vec<u16>>,
    /// What the filter of system calls is to allow.
    pub(super) needs: Needs,
    /// Commands are run: what those need is not known.
    pub(super) commands: bool,
}

impl Reach {
    /// By these arguments.
    #[must_use]
    pub fn new(args: &Args) -> Self {
        let mut read: Vec<PathBuf> = vec!["/proc".into(), "/sys/fs/cgroup".into()];
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        read.extend(cgroups(&mounts).filter(|place| !place.starts_with("/sys/fs/cgroup")));
        let server = match &args.kubernetes {
            None => None,
            Some(Access::InCluster) => Some(reach::pod()),
            Some(Access::Kubeconfig(file)) => Some(reach::kubeconfig(file.as_deref())),
        };
        let needs = Needs {
            network: server.is_some(),
            docker: args.docker.is_some(),
            profiles: args.debug_pprof,
            ..Needs::default()
        };
        if args.debug_pprof {
            // Names of functions are looked up in the program itself.
            read.extend(std::env::current_exe());
        }
        let tls = match &args.tls {
            Tls::Dir(dir) => vec![dir.join("tls.crt"), dir.join("tls.key")],
            Tls::Off | Tls::SelfSigned => Vec::new(),
        };
        let ours = [&args.config, &args.token_file, &args.client_ca].into_iter().flatten();
        let files: Vec<PathBuf> = ours.cloned().chain(tls).collect();
        let mut reach = Self { read, needs, ..Self::default() };
        // A profile is collected in a file that is never seen.
        reach.write.extend(args.debug_pprof.then(std::env::temp_dir));
        if let Some(server) = server {
            reach.read.extend(NAMES.map(PathBuf::from));
            reach.commands = server.commands;
            reach.again(&server.files);
            let known = !server.ports.is_empty();
            let feed = args.feed.as_ref().map(|feed| feed.place.port);
            let ports = server.ports.into_iter().chain(feed).chain([DNS]);
            reach.ports = known.then(|| ports.collect());
            if let Some(feed) = &args.feed {
                reach.again(std::slice::from_ref(&feed.place.token));
            }
        } else {
            reach.ports = Some(Vec::new());
        }
        reach.again(&files);
        reach.write.extend(args.state_dir.clone());
        reach.read.sort_unstable();
        reach.read.dedup();
        reach
    }

    /// Files that are read again when they change.
    fn again(&mut self, files: &[PathBuf]) {
        for file in files {
            self.read.push(place(file));
            // It may be a link to another place.
            self.read.extend(fs::canonicalize(file).ok().map(|file| place(&file)));
        }
    }

    /// Whether connections are held to ports.
    #[must_use]
    pub(crate) const fn knows_ports(&self) -> bool {
        self.ports.is_some()
    }

    /// Rules made of it.
    ///
    /// # Errors
    /// What landlock says. A place that is not there is left out.
    pub fn rules(&self, version: u32) -> io::Result<Rules> {
        let rules = Rules::new(version, self.ports.is_some())?;
        for place in &self.read {
            allow(&rules, place, READ_FILE | READ_DIR)?;
        }
        for place in &self.write {
            allow(&rules, place, READ_FILE | READ_DIR | WRITE_FILE | MAKE_FILE)?;
        }
        for &port in self.ports.iter().flatten() {
            rules.connect(port)?;
        }
        Ok(rules)
    }
}

fn allow(rules: &Rules, place: &Path, rights: u64) -> io::Result<()> {
    let Ok(open) = open(place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
        return Ok(());
    };
    let kind = rustix::fs::fstat(&open)?.st_mode;
    let directory = rustix::fs::FileType::from_raw_mode(kind).is_dir();
    rules.allow(open.as_fd(), rights, directory)
}

/// Where control groups are mounted: `cgroup2 /sys/fs/cgroup cgroup2 rw 0 0`.
fn cgroups(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(place))
    })
}

/// The directory in which the file is found again.
fn place(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) if parent != Path::new("/") => parent.to_owned(),
        _ => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "current-context: c\ncontexts: [{name: c, context: {cluster: a, user: u}}]\n\
         clusters: [{name: a, cluster: {server: 'http://127.0.0.1:7001'}}]\nusers: [{name: u, user: {}}]\n";

    fn reach(words: &[&str]) -> Reach {
        let words = ["probelet-agent", "--node-name", "n"].iter().chain(words);
        Reach::new(&Args::parse(words.map(Into::into)).unwrap())
    }

    #[test]
    fn alone_it_reads_the_kernels_files_connects_to_nothing_and_writes_nothing() {
        let reach = reach(&["--docker", "off", "--kubernetes", "off"]);

        assert_eq!(reach.read, [PathBuf::from("/proc"), PathBuf::from("/sys/fs/cgroup")]);
        assert_eq!((reach.write, reach.ports), (vec![], Some(vec![])));
        assert_eq!(reach.needs, Needs::default());
    }

    #[test]
    fn control_groups_are_read_where_they_are_mounted() {
        let text = "proc /proc proc rw 0 0\ncgroup2 /host/cgroup cgroup2 ro 0 0\ncgroup /c/memory cgroup rw 0 0\n";

        assert_eq!(
            cgroups(text).collect::<Vec<_>>(),
            ["/host/cgroup", "/c/memory"].map(PathBuf::from)
        );
    }

    #[test]
    fn files_that_are_read_again_are_found_by_their_directories() {
        let reach = reach(&[
            "--kubernetes",
            "off",
            "--config",
            "/conf/c.yaml",
            "--token-file",
            "/tokens/t",
            "--tls",
            "/tls",
            "--client-ca",
            "/ca.crt",
            "--state-dir",
            "/state",
        ]);

        for place in ["/conf", "/tokens", "/tls", "/ca.crt"] {
            assert!(reach.read.contains(&PathBuf::from(place)), "{place}: {:?}", reach.read);
        }
        assert_eq!(reach.write, [PathBuf::from("/state")]);
        assert!(!reach.read.contains(&PathBuf::from("/")));
    }

    #[test]
    fn the_ports_are_the_api_servers() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        std::fs::write(&file, KUBECONFIG).unwrap();

        let reach = reach(&["--kubeconfig", file.to_str().unwrap()]);

        assert_eq!(reach.ports, Some(vec![7001, DNS]));
        assert!(reach.needs.network && reach.read.contains(&home.path().to_owned()));
    }

    #[test]
    fn the_operators_feed_is_one_port_more_and_the_token_for_it() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        std::fs::write(&file, KUBECONFIG).unwrap();

        let reach = reach(&[
            "--kubeconfig",
            file.to_str().unwrap(),
            "--feed",
            "https://probelet-operator.probelet.svc:9470",
            "--feed-token",
            "/feed/token",
        ]);

        assert_eq!(reach.ports, Some(vec![7001, 9470, DNS]));
        assert!(reach.read.contains(&PathBuf::from("/feed")), "{:?}", reach.read);
    }
}
