//! The standard workload W: many processes, open files and connections over many network namespaces, and the truth
//! about them.
//!
//! In: [`Load`], the size of it. Out: processes that hold still, and two files of truth: `truth` (client ends) and
//! `server` (accepted ends), one line an end: `pid netns local-ip port remote-ip port`. It must not change anything
//! after `ready`: a static load is what the figures are compared under.
//!
//! The parameters and the placement here are pure; [`start`] does the I/O through the program `probelet-load`.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail, ensure};

pub mod ends;
pub mod short;
pub mod topology;
pub mod worker;

/// First port of the listeners in pod namespaces; those of the host namespace start 1,000 higher.
const FIRST_PORT: u16 = 20_000;

/// Size of a load. The defaults are W.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Processes in all.
    pub procs: usize,
    /// Open files of each process.
    pub fds: usize,
    /// Established connections in all (twice as many sockets).
    pub conns: usize,
    /// Network namespaces.
    pub netns: usize,
    /// Percentage of the connections that leave their namespace.
    pub cross: usize,
    /// Processes that stay in the namespace of the box itself.
    pub host: usize,
    /// Open files of the first process instead of `fds`; 0 means no exception.
    pub big: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { procs: 200, fds: 100, conns: 2000, netns: 20, cross: 30, host: 20, big: 0 }
    }
}

/// Where a process of the load lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its namespace; `None` is that of the box.
    pub netns: Option<usize>,
    /// The port that it listens on.
    pub port: u16,
}

impl Load {
    /// Reads `procs=200 fds=100 …`; what is not named keeps the value of W.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> anyhow::Result<Self> {
        let mut load = Self::default();
        for word in words {
            let word = word.as_ref();
            let (key, value) =
                word.split_once('=').with_context(|| format!("`{word}` is not KEY=NUMBER"))?;
            let value: usize =
                value.parse().with_context(|| format!("`{value}` of `{key}` is not a number"))?;
            let field = match key {
                "procs" => &mut load.procs,
                "fds" => &mut load.fds,
                "conns" => &mut load.conns,
                "netns" => &mut load.netns,
                "cross" => &mut load.cross,
                "host" => &mut load.host,
                "big" => &mut load.big,
                _ => bail!("`{key}` is none of procs, fds, conns, netns, cross, host, big"),
            };
            *field = value;
        }
        ensure!(
            load.host <= load.procs,
            "host={} processes of procs={} cannot be",
            load.host,
            load.procs
        );
        ensure!(
            load.netns > 0 || load.procs == load.host,
            "processes outside the host namespace need netns > 0"
        );
        ensure!(
            load.netns < 250,
            "netns={} does not fit the addresses 10.88.0.1 to .250",
            load.netns
        );
        Ok(load)
    }

    /// The words that [`Load::parse`] reads.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let Self { procs, fds, conns, netns, cross, host, big } = self;
        [
            ("procs", procs),
            ("fds", fds),
            ("conns", conns),
            ("netns", netns),
            ("cross", cross),
            ("host", host),
            ("big", big),
        ]
        .map(|(key, value)| format!("{key}={value}"))
        .to_vec()
    }

    /// Where process `index` lives: the host's first, the others in turn over the namespaces.
    #[must_use]
    pub fn place(&self, index: usize) -> Place {
        match index.checked_sub(self.host) {
            None => Place { netns: None, port: port(None, index) },
            Some(nth) => {
                let netns = Some(nth % self.netns);
                Place { netns, port: port(netns, nth / self.netns) }
            }
        }
    }

    /// How many connections process `index` opens.
    #[must_use]
    pub fn opens(&self, index: usize) -> usize {
        self.conns / self.procs + usize::from(index < self.conns % self.procs)
    }

    /// Whom process `index` calls with its `nth` connection.
    #[must_use]
    pub fn callee(&self, index: usize, nth: usize) -> Place {
        let Some(own) = self.place(index).netns else {
            return Place { netns: None, port: port(None, (index + 1 + nth) % self.host) };
        };
        let slot = (index - self.host) / self.netns;
        let leaves = self.netns > 1 && nth * 100 / self.opens(index).max(1) < self.cross;
        let netns = match (own + 1 + nth) % self.netns {
            _ if !leaves => own,
            same if same == own => (own + 1) % self.netns,
            other => other,
        };
        let pods = self.procs - self.host;
        let inside = (pods / self.netns + usize::from(netns < pods % self.netns)).max(1);
        Place { netns: Some(netns), port: port(Some(netns), (slot + 1 + nth) % inside) }
    }

    /// How many files process `index` holds open.
    #[must_use]
    pub fn open_files(&self, index: usize) -> usize {
        if self.big > 0 && index == 0 { self.big } else { self.fds }
    }
}

fn port(netns: Option<usize>, slot: usize) -> u16 {
    let first = if netns.is_none() { FIRST_PORT + 1000 } else { FIRST_PORT };
    first + u16::try_from(slot % 1000).unwrap_or(0)
}

/// A load that runs; it ends, namespaces and all, when this is dropped.
#[derive(Debug)]
pub struct Running {
    coordinator: Child,
    dir: PathBuf,
    /// What the coordinator said when all stood: size and counts.
    pub ready: String,
    _replies: BufReader<ChildStdout>,
}

impl Running {
    /// The folder with `truth` and `server`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.coordinator.stdin.take()); // end of input is the word to stop
        if self.coordinator.wait().is_err() {
            // Not our child any more: then there is nothing left to wait for.
        }
    }
}

/// Starts a load through the program `probelet-load` beside this one, and returns when every end stands.
pub fn start(load: &Load, dir: &Path) -> anyhow::Result<Running> {
    std::fs::create_dir_all(dir)?;
    let mut coordinator = Command::new(program()?)
        .arg("run")
        .arg("--dir")
        .arg(dir)
        .args(load.words())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting probelet-load")?;
    let mut replies = BufReader::new(coordinator.stdout.take().context("the load has no output")?);
    let mut ready = String::new();
    replies.read_line(&mut ready)?;
    let running = Running {
        coordinator,
        dir: dir.to_owned(),
        ready: ready.trim().to_owned(),
        _replies: replies,
    };
    ensure!(running.ready.starts_with("ready"), "the load did not come up: {:?}", running.ready);
    Ok(running)
}

/// The program `probelet-load`: beside the program that runs, or one folder up (tests live in `deps/`).
pub fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("probelet-load"))
        .find(|path| path.is_file())
        .with_context(|| {
            format!("no probelet-load beside {}: cargo build -p probelet-bench", own.display())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_standard_workload() {
        let load = Load::parse::<&str>(&[]).unwrap();

        assert_eq!(
            (load.procs, load.fds, load.conns, load.netns, load.cross, load.host),
            (200, 100, 2000, 20, 30, 20)
        );
    }

    #[test]
    fn words_and_parse_agree() {
        let load = Load::parse(&["procs=7", "big=60000", "host=2", "netns=3"]).unwrap();

        assert_eq!(Load::parse(&load.words()).unwrap(), load);
    }

    #[test]
    fn an_unknown_word_is_named_in_the_error() {
        let error = Load::parse(&["sockets=3"]).unwrap_err().to_string();

        assert!(error.contains("`sockets`"), "{error}");
    }

    #[test]
    fn every_callee_is_a_port_that_some_process_listens_on() {
        let load = Load { procs: 37, conns: 500, netns: 5, host: 4, ..Load::default() };
        let listeners: Vec<_> = (0..load.procs).map(|i| load.place(i)).collect();

        for index in 0..load.procs {
            for nth in 0..load.opens(index) {
                let callee = load.callee(index, nth);
                assert!(
                    listeners.contains(&callee),
                    "process {index} connection {nth}: {callee:?}"
                );
            }
        }
    }

    #[test]
    fn no_two_processes_share_a_place() {
        let load = Load::default();
        let mut places: Vec<_> =
            (0..load.procs).map(|i| (load.place(i).netns, load.place(i).port)).collect();

        places.sort_unstable();
        places.dedup();

        assert_eq!(places.len(), load.procs);
    }

    #[test]
    fn the_standard_workload_opens_2000_and_crosses_30_percent_of_those_in_pods() {
        let load = Load::default();
        let all: Vec<_> =
            (0..load.procs).flat_map(|i| (0..load.opens(i)).map(move |n| (i, n))).collect();

        let pods: Vec<_> = all.iter().filter(|(i, _)| *i >= load.host).collect();
        let crossing =
            pods.iter().filter(|(i, n)| load.callee(*i, *n).netns != load.place(*i).netns).count();

        assert_eq!((all.len(), pods.len(), crossing), (2000, 1800, 540));
    }
}
