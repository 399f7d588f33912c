//! How much may be used of what can run full, where no source says it: open files, tracked connections.
//!
//! In: the processes of a pass, `/proc`. Out: the limit of open files of each process that has many, and how
//! full the node's connection tracking is. Limits change seldom, so each is kept for minutes, and sooner read
//! again where it is nearly reached. It must not read a file for a process that has few files open.
//!
//! I/O: reads `/proc/PID/limits`, `/proc/1/net/stat/nf_conntrack` and one sysctl.

use super::Error;
use super::procfs::root::Root;
use super::procfs::stat::decimal;
use probelet_core::facts::{Process, Tracked};
use probelet_core::hash::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Open files from which on the limit is of interest: the usual one is 1,024 and more.
const MANY: u32 = 128;
/// A limit is believed for so long; where seven tenths are used up, for the shorter time.
const KEPT_NS: u64 = 300_000_000_000;
const NEAR_NS: u64 = 20_000_000_000;
/// Limits read in one pass, at 12 µs each: who has many processes waits a pass or two.
const READS: usize = 64;
/// The node's first process is in the namespace where connections of all pods are tracked.
const FIRST: u32 = 1;
const ENTRIES: &str = "net/stat/nf_conntrack";
const MOST: &str = "sys/net/netfilter/nf_conntrack_max";

#[derive(Clone, Copy, Debug)]
struct Known {
    start_ns: u64,
    limit: u32,
    read_ns: u64,
    /// Of the pass that saw the process last.
    pass: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Ceilings {
    root: Root,
    most: PathBuf,
    known: HashMap<u32, Known>,
    pass: u32,
    /// Whose limit was read last: the next pass begins behind it, so that everyone's turn comes.
    last: u32,
    text: Vec<u8>,
}

impl Ceilings {
    /// Reads below this directory, which is `/proc` but in tests.
    pub fn new(proc: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: Root::open(proc)?,
            most: proc.join(MOST),
            known: HashMap::default(),
            pass: 0,
            last: 0,
            text: Vec::new(),
        })
    }

    /// Fills in the limits of those who have many files open.
    pub fn files(&mut self, processes: &mut [Process], now_ns: u64) {
        self.pass = self.pass.wrapping_add(1);
        let mut reads = READS;
        let begin = processes.iter().position(|p| p.pid == self.last).map_or(0, |at| at + 1);
        let (first, then) = processes.split_at_mut(begin);
        let in_turn = then.iter_mut().chain(first);
        for process in in_turn.filter(|p| p.open_fds.is_some_and(|n| n >= MANY)) {
            let known = self.known.get(&process.pid).copied();
            let known = known.filter(|known| known.start_ns == process.start_ns);
            let due = known.is_none_or(|known| {
                let near =
                    u64::from(process.open_fds.unwrap_or(0)) * 10 >= u64::from(known.limit) * 7;
                now_ns.saturating_sub(known.read_ns) >= if near { NEAR_NS } else { KEPT_NS }
            });
            // What is due and not read stays due.
            let known = if due && reads > 0 {
                reads -= 1;
                self.last = process.pid;
                let read = self.root.read(process.pid, "limits", &mut self.text);
                let limit = read.ok().and_then(|()| open_files(&self.text));
                let limit = limit.or(known.map(|known| known.limit)).filter(|&limit| limit > 0);
                let start_ns = process.start_ns;
                limit.map(|limit| Known { start_ns, limit, read_ns: now_ns, pass: 0 })
            } else {
                known
            };
            process.files_limit = known.map_or(0, |known| known.limit);
            if let Some(known) = known {
                self.known.insert(process.pid, Known { pass: self.pass, ..known });
            }
        }
        let pass = self.pass;
        self.known.retain(|_, known| known.pass == pass);
    }

    /// How full the node's connection tracking is; `None` where nothing is tracked, or it cannot be determined.
    pub fn tracked(&mut self) -> Option<Tracked> {
        self.root.read(FIRST, ENTRIES, &mut self.text).ok()?;
        let now = entries(&self.text)?;
        let most = fs::read(&self.most).ok()?;
        Some(Tracked { now, most: decimal(most.trim_ascii())? })
    }
}

/// `Max open files            1024                 524288               files`: the first number counts.
fn open_files(limits: &[u8]) -> Option<u32> {
    let line = limits.split(|&b| b == b'\n').find_map(|l| l.strip_prefix(b"Max open files"))?;
    let soft = line.split(|&b| b == b' ').find(|word| !word.is_empty())?;
    match soft {
        b"unlimited" => Some(u32::MAX),
        number => Some(u32::try_from(decimal(number)?).unwrap_or(u32::MAX)),
    }
}

/// A line of names, then one of hexadecimal numbers for each CPU, of which the first is the same in all.
fn entries(text: &[u8]) -> Option<u64> {
    let mut lines = text.split(|&b| b == b'\n');
    lines.next()?.strip_prefix(b"entries ")?;
    let first = lines.next()?.split(|&b| b == b' ').next()?;
    u64::from_str_radix(std::str::from_utf8(first).ok()?, 16).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
        Max cpu time              unlimited            unlimited            seconds   \n\
        Max open files            1024                 524288               files     \n";

    fn proc() -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("1/net/stat")).unwrap();
        fs::create_dir_all(proc.path().join("sys/net/netfilter")).unwrap();
        fs::create_dir_all(proc.path().join("7")).unwrap();
        fs::write(proc.path().join("7/limits"), LIMITS).unwrap();
        proc
    }

    fn process(open: u32) -> [Process; 1] {
        [Process { pid: 7, start_ns: 5, open_fds: Some(open), ..Process::default() }]
    }

    #[test]
    fn the_soft_limit_counts_and_none_is_the_largest() {
        assert_eq!(open_files(LIMITS.as_bytes()), Some(1024));
        assert_eq!(open_files(b"Max open files            unlimited  x files\n"), Some(u32::MAX));
        assert_eq!(open_files(b"Max open files            many\n"), None);
        assert_eq!(open_files(&fs::read("/proc/self/limits").unwrap()).map(|n| n > 0), Some(true));
    }

    #[test]
    fn the_limit_of_a_process_with_few_files_is_not_read() {
        let proc = proc();
        let mut ceilings = Ceilings::new(proc.path()).unwrap();
        let (mut few, mut many) = (process(MANY - 1), process(MANY));

        ceilings.files(&mut few, 1);
        ceilings.files(&mut many, 1);

        assert_eq!((few[0].files_limit, many[0].files_limit), (0, 1024));
    }

    #[test]
    fn a_limit_is_kept_for_minutes_and_for_seconds_where_it_is_nearly_reached() {
        let proc = proc();
        let mut ceilings = Ceilings::new(proc.path()).unwrap();
        let mut limit = |open, now_ns| {
            let mut processes = process(open);
            ceilings.files(&mut processes, now_ns);
            processes[0].files_limit
        };
        assert_eq!(limit(200, 1), 1024);
        fs::write(proc.path().join("7/limits"), LIMITS.replace("1024", "4096")).unwrap();

        assert_eq!(limit(200, NEAR_NS + 1), 1024);
        assert_eq!(limit(900, NEAR_NS + 1), 4096);
    }

    #[test]
    fn a_limit_that_was_due_and_not_read_is_read_in_the_next_pass() {
        let proc = tempfile::tempdir().unwrap();
        let pids = 1..=u32::try_from(READS).unwrap() + 1;
        let write = |text: &str| {
            for pid in pids.clone() {
                let dir = proc.path().join(pid.to_string());
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join("limits"), text).unwrap();
            }
        };
        let mut ceilings = Ceilings::new(proc.path()).unwrap();
        let mut with = |limit, now_ns| {
            let of = |pid| Process { pid, ..process(200)[0] };
            let mut processes: Vec<_> = pids.clone().map(of).collect();
            ceilings.files(&mut processes, now_ns);
            processes.iter().filter(|process| process.files_limit == limit).count()
        };
        write(LIMITS);
        assert_eq!((with(1024, 1), with(1024, 2)), (READS, READS + 1));

        write(&LIMITS.replace("1024", "4096"));

        assert_eq!(with(4096, KEPT_NS + 2), READS);
        assert_eq!(with(4096, KEPT_NS + 3), READS + 1);
    }

    #[test]
    fn those_whose_limits_are_always_due_keep_no_one_from_its_turn() {
        let proc = tempfile::tempdir().unwrap();
        let many =
            2 * u32::try_from(READS).unwrap() * u32::try_from(NEAR_NS / 1_000_000_000).unwrap();
        let last = many + 1;
        for pid in 1..=last {
            let dir = proc.path().join(pid.to_string());
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("limits"), LIMITS.replace("1024", "150")).unwrap();
        }
        let mut ceilings = Ceilings::new(proc.path()).unwrap();
        let known = (1..60).find(|second| {
            let of = |pid| Process { pid, ..process(140)[0] };
            let mut processes: Vec<_> = (1..=last).map(of).collect();
            ceilings.files(&mut processes, second * 1_000_000_000);
            processes.last().unwrap().files_limit == 150
        });

        assert_eq!(known, Some(u64::from(last.div_ceil(64))));
    }

    #[test]
    fn a_process_that_is_gone_or_another_one_has_no_limit_of_before() {
        let proc = proc();
        let mut ceilings = Ceilings::new(proc.path()).unwrap();
        ceilings.files(&mut process(200), 1);
        fs::remove_file(proc.path().join("7/limits")).unwrap();
        let mut again = [Process { start_ns: 6, ..process(200)[0] }];

        ceilings.files(&mut again, 2);
        assert_eq!(again[0].files_limit, 0);

        ceilings.files(&mut [], 3);
        assert!(ceilings.known.is_empty());
    }

    #[test]
    fn tracked_connections_are_those_of_the_namespace_and_not_the_sum_of_the_cpus() {
        let proc = proc();
        let mut ceilings = Ceilings::new(proc.path()).unwrap();
        assert_eq!(ceilings.tracked(), None);
        let text = "entries  clashres found\n000000ff  00000000 00\n000000ff  00000000 00\n";
        fs::write(proc.path().join("1").join(ENTRIES), text).unwrap();
        fs::write(proc.path().join(MOST), "262144\n").unwrap();

        assert_eq!(ceilings.tracked(), Some(Tracked { now: 255, most: 262_144 }));
    }

    #[test]
    fn a_text_that_is_none_is_nothing_tracked() {
        assert_eq!(entries(b""), None);
        assert_eq!(entries(b"entries  x\nzz 0\n"), None);
        assert_eq!(entries(b"found x\n1 0\n"), None);
    }
}
