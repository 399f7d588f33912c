//! Connections whose truth is known, and what passes and the kernel's messages show of them.
//!
//! In: a schedule. Out: facts, pass by pass, and what the report made of them beside the truth.

use probelet_core::cluster::objects::{Event, Kind, Service, ServicePort};
use probelet_core::cluster::{Cluster, Settings};
use probelet_core::facts::{
    Closed, Comm, Ended, Endpoint, Facts, Losses, Netns, Process, Socket, State, Want,
};
use probelet_core::hash::HashMap;
use probelet_core::join::PortRange;
use probelet_core::report::{Entry, Limits, Now, Report, Translated, Translation};
use proptest::test_runner::TestCaseError;

use std::net::Ipv4Addr;

const CLIENT: u32 = 11;
const SERVER: u32 = 12;
const BEGAN: u64 = 100_000;
pub(crate) const SERVERS: [u16; 2] = [80, 81];

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Close {
    Fin,
    Reset,
    /// Who closes first resets it without lingering and forgets its peer; or both do, at the same time.
    Forgets {
        both: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    /// The client's port, and the server's.
    pub(crate) port: u16,
    pub(crate) server: u16,
    /// When it opens: at first so long after the one before on its ports, then since the start.
    pub(crate) opens: u64,
    /// When the end goes that closes first, and the other one, likewise.
    pub(crate) goes: [u64; 2],
    pub(crate) server_first: bool,
    /// By how many passes the message of each is late, and whether there is none at all.
    pub(crate) late: [usize; 2],
    pub(crate) lost: [bool; 2],
    pub(crate) close: Close,
}

impl Connection {
    const fn side(&self, end: usize) -> usize {
        if self.server_first { 1 - end } else { end }
    }

    const fn forgets(&self, end: usize) -> bool {
        match self.close {
            Close::Forgets { both } => both || end == 0,
            _ => false,
        }
    }
}

/// What a report says beside the truth.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) opened: u64,
    pub(crate) counted: u64,
    pub(crate) closed: u64,
    /// The server's port, counted, opened.
    pub(crate) ports: [(u16, u64, u64); 2],
    /// Opened and observed.
    pub(crate) ends: (u64, u64),
    pub(crate) losses: Losses,
    /// Whether the next pass is wanted though nothing may have changed by then.
    pub(crate) awaits: bool,
}

/// Where the ends are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Where {
    Loopback,
    /// In two pods whose addresses are known, as they have other connections.
    Pods,
    /// In two pods of which nothing else was seen.
    NewPods,
    /// In two pods, of which the client's dials a Service; connection tracking knows where that goes, or says nothing.
    Service {
        tracked: bool,
    },
}

const SERVICE: [u8; 4] = [10, 96, 0, 7];

#[derive(Clone, Debug)]
pub(crate) struct World {
    place: Where,
    /// Between passes; the last one goes on.
    intervals: Vec<u64>,
    free: HashMap<(u16, u16), u64>,
    all: Vec<Connection>,
    /// What the first pass finds of connections to another port whose ends no one reported: TIME_WAIT sockets.
    before: Vec<Closed>,
    /// Likewise of those whose other end is still to close.
    half: Vec<Socket>,
    /// The first pass for which the namespaces have numbers: those that ended since the last one are reported, none before.
    pub(crate) numbered: usize,
}

impl World {
    pub(crate) fn new(place: Where, intervals: Vec<u64>) -> Self {
        Self {
            place,
            intervals,
            free: HashMap::default(),
            all: Vec::new(),
            before: Vec::new(),
            half: Vec::new(),
            numbered: 0,
        }
    }

    /// Adds one that closed so long before the first pass, from a client's port to a server that is gone; or only half of which did.
    pub(crate) fn was(&mut self, port: u16, side: usize, ago: Option<u32>) {
        let c = Connection {
            port,
            server: 9000,
            opens: 0,
            goes: [0; 2],
            server_first: side == 1,
            late: [0; 2],
            lost: [true; 2],
            close: Close::Fin,
        };
        let (netns, local, remote) = (self.netns(side), self.at(&c, side), self.peer(&c, side));
        if let Some(ago) = ago {
            let remaining_ms = 60_000 - ago;
            self.before.push(Closed { netns, local, remote, remaining_ms, ..Closed::default() });
        } else {
            let state = State::FinWait2;
            self.half.push(Socket { netns, local, remote, state, ..Socket::default() });
        }
    }

    /// Adds one that lasts for a millisecond, after all the others.
    pub(crate) fn follow(&mut self, c: Connection) {
        let opens = self.all.last().map_or(1, |last| last.goes[1]);
        self.all.push(Connection { opens, goes: [opens + 1; 2], ..self.known(c) });
    }

    /// Through a Service no two on a port at once, and none that forgets its peer: nothing would say which of them is whose.
    fn known(&self, c: Connection) -> Connection {
        match self.place {
            Where::Service { .. } if c.close == Close::Fin => {
                Connection { server: SERVERS[0], ..c }
            }
            Where::Service { .. } => Connection { server: SERVERS[0], close: Close::Reset, ..c },
            _ => c,
        }
    }

    /// Adds one with times since the start.
    pub(crate) fn add(&mut self, c: Connection) {
        self.all.push(c);
    }

    /// Adds one, after those that are there on the same ports.
    pub(crate) fn open(&mut self, mut c: Connection) {
        c = self.known(c);
        let free = self.free.entry((c.port, c.server)).or_default();
        c.opens += *free;
        c.goes = c.goes.map(|after| c.opens + 1 + after);
        // Nothing would say that the two are one.
        if self.place == Where::NewPods && c.close == (Close::Forgets { both: true }) {
            c.close = Close::Forgets { both: false };
        }
        if c.close == (Close::Forgets { both: true }) {
            c.goes[1] = c.goes[0];
        }
        *free = c.goes[1] + 1;
        self.all.push(c);
    }

    fn netns(&self, side: usize) -> u32 {
        if self.place == Where::Loopback { CLIENT } else { [CLIENT, SERVER][side] }
    }

    fn at(&self, c: &Connection, side: usize) -> Endpoint {
        let port = if side == 0 { 40_000 + c.port } else { c.server };
        let last = if side == 0 { 1 } else { 2 };
        Endpoint::v4(
            if self.place == Where::Loopback {
                Ipv4Addr::LOCALHOST
            } else {
                [10, 0, 0, last].into()
            },
            port,
        )
    }

    /// What an end knows the other one by.
    fn peer(&self, c: &Connection, side: usize) -> Endpoint {
        match self.place {
            Where::Service { .. } if side == 0 => Endpoint::v4(SERVICE.into(), c.server),
            _ => self.at(c, 1 - side),
        }
    }

    fn reported(&self, c: &Connection, end: usize) -> Ended {
        let side = c.side(end);
        let (local, remote) = (self.at(c, side), self.peer(c, side));
        let fin = u64::from(c.close == Close::Fin);
        let sent = if side == 0 { 100 } else { 50 };
        let ended =
            Ended { netns: self.netns(side), local, remote, established: true, ..Ended::default() };
        if c.forgets(end) {
            let (local, remote) = (Endpoint { addr: 0, ..local }, Endpoint { port: 0, ..remote });
            return Ended { local, remote, rtt_us: 100, ..ended };
        }
        Ended {
            rtt_us: 100,
            sent,
            acknowledged: sent + u64::from(side == 0) + fin,
            received: 150 - sent + fin,
            segments: 2,
            ..ended
        }
    }

    /// What a pass sees of the sockets.
    fn sockets(&self, before: u64, now: u64, facts: &mut Facts) {
        let after = |c: &Connection| c.goes[1] >= before;
        let mut used: HashMap<(u16, u16), u64> = HashMap::default();
        for c in self.all.iter().filter(|c| c.opens < now && after(c)) {
            used.insert((c.port, c.server), c.opens);
        }
        for (n, c) in (1_u32..).zip(&self.all).filter(|(_, c)| c.opens < now && after(c)) {
            for end in [0, 1] {
                let side = c.side(end);
                let own = u32::try_from(side).unwrap();
                if c.opens < now && now <= c.goes[end] {
                    facts.sockets.push(Socket {
                        netns: self.netns(side),
                        inode: 100 + 10 * n + own,
                        pid: own + 1,
                        local: self.at(c, side),
                        remote: self.peer(c, side),
                        bytes_sent: Some(10),
                        bytes_received: Some(10),
                        ..Socket::default()
                    });
                }
            }
            // What is used again leaves no TIME_WAIT.
            let waits = c.goes[1];
            let again = used[&(c.port, c.server)] > waits;
            if c.close == Close::Fin && before <= waits && waits < now && !again {
                facts.closed.push(Closed {
                    netns: self.netns(c.side(0)),
                    local: self.at(c, c.side(0)),
                    remote: self.peer(c, c.side(0)),
                    remaining_ms: u32::try_from(60_000 - (now - waits)).unwrap(),
                    ..Closed::default()
                });
            }
        }
    }

    fn facts(&self, before: u64, now: u64, ended: Vec<Ended>) -> Facts {
        let process = |pid, netns, comm: &[u8]| Process {
            pid,
            start_ns: 1,
            netns,
            comm: Comm::new(comm),
            ..Process::default()
        };
        let opened = self.opened(now, None);
        let listener = |(n, port): (u32, u16)| Socket {
            netns: self.netns(1),
            inode: 1 + n,
            pid: 2,
            state: State::Listen,
            local: Endpoint::v4(Ipv4Addr::UNSPECIFIED, port),
            remote: Endpoint::v4(Ipv4Addr::UNSPECIFIED, 0),
            ..Socket::default()
        };
        let space = |inode, active_opens, passive_opens| Netns {
            inode,
            active_opens,
            passive_opens,
            ..Netns::default()
        };
        let netns = if self.place == Where::Loopback {
            vec![space(CLIENT, opened, opened)]
        } else {
            vec![space(CLIENT, opened, 0), space(SERVER, 0, opened)]
        };
        let mut facts = Facts {
            fresh: Some(Want::Everything),
            processes: vec![
                process(1, self.netns(0), b"client"),
                process(2, self.netns(1), b"server"),
            ],
            reported: netns.iter().map(|netns| (netns.inode, BEGAN)).collect(),
            heard_ms: BEGAN,
            netns,
            sockets: (0..).zip(SERVERS).map(listener).collect(),
            ended,
            ..Facts::default()
        };
        for side in [0, 1].into_iter().filter(|_| self.has_others()) {
            facts.sockets.push(Socket {
                netns: self.netns(side),
                inode: 5 + self.netns(side),
                pid: 1 + u32::try_from(side).unwrap(),
                local: Endpoint { port: 5000, ..self.at(&self.all[0], side) },
                remote: Endpoint::v4([192, 0, 2, 1].into(), 443),
                ..Socket::default()
            });
        }
        if now == 0 {
            facts.closed.clone_from(&self.before);
            facts.sockets.extend(&self.half);
        }
        self.sockets(before, now, &mut facts);
        facts
    }

    /// Whether the pods have other connections, so that their addresses are known.
    fn has_others(&self) -> bool {
        matches!(self.place, Where::Pods | Where::Service { .. })
    }

    fn opened(&self, now: u64, server: Option<u16>) -> u64 {
        let all = self.all.iter().filter(|c| c.opens < now && server.is_none_or(|s| s == c.server));
        all.count() as u64
    }

    /// When passes take place: until some time after the last end.
    fn passes(&self) -> Vec<u64> {
        let last = self.all.iter().map(|c| c.goes[1]).max().unwrap_or(0);
        let mut passes = vec![0];
        let mut intervals = self.intervals.iter().copied().cycle();
        let mut after = 0;
        while after < 8 {
            let now = passes[passes.len() - 1] + intervals.next().unwrap();
            passes.push(now);
            after += u32::from(now > last);
        }
        passes
    }

    fn report(&self) -> Report {
        let mut report = Report::new(Limits::default(), PortRange::default());
        if let Where::Service { .. } = self.place {
            report.watch(Cluster::new(Settings { node: "node".into(), ..Settings::default() }, 1));
            let ports = SERVERS.map(|port| ServicePort { port, ..ServicePort::default() });
            let service = Service {
                namespace: "shop".into(),
                name: "cart".into(),
                cluster_ips: vec![std::net::IpAddr::from(SERVICE)],
                ports: ports.into(),
                ..Service::default()
            };
            let lists = Kind::ALL.into_iter().flat_map(|k| [Event::Listing(k), Event::Listed(k)]);
            for event in lists.chain([Event::Service(service)]) {
                report.cluster().unwrap().apply(event, BEGAN);
            }
            report.rename(Now { unix_ms: 1_700_000_000_000, mono_ms: BEGAN });
        }
        report
    }

    /// What connection tracking says, if it is asked and knows.
    fn track(&self, report: &mut Report, at: Now) {
        if self.place != (Where::Service { tracked: true }) {
            return;
        }
        report.waiting(at.mono_ms);
        let answer = |question: Translation| {
            let dialled = question.remote.addr == Endpoint::v4(SERVICE.into(), 0).addr;
            let (client, service) = if dialled {
                (question.local, question.remote)
            } else {
                (
                    question.remote,
                    Endpoint { port: question.local.port, ..Endpoint::v4(SERVICE.into(), 0) },
                )
            };
            let backend = Endpoint::v4([10, 0, 0, 2].into(), service.port);
            (question, Translated::Entry(Entry { client, service, backend, seen: client }))
        };
        let answers: Vec<_> = report.unanswered(100).into_iter().map(answer).collect();
        report.answer(&answers, at);
    }

    /// Runs all passes, looks after each, and returns the last look.
    pub(crate) fn run(
        &self,
        mut look: impl FnMut(Seen) -> Result<(), TestCaseError>,
    ) -> Result<Seen, TestCaseError> {
        let passes = self.passes();
        let mut reported = vec![Vec::new(); passes.len()];
        let mut ends: Vec<_> = self.all.iter().flat_map(|c| [(c, 0), (c, 1)]).collect();
        ends.sort_by_key(|(c, end)| c.goes[*end]);
        for (c, end) in ends.into_iter().filter(|(c, end)| !c.lost[*end]) {
            let on_time = passes.iter().position(|&pass| c.goes[end] < pass).unwrap();
            reported[on_time + c.late[end]].push(self.reported(c, end));
        }
        let mut report = self.report();
        let (mut before, mut last) = (0, None);
        let mut since_ms = BEGAN;
        for (n, (now, ended)) in passes.into_iter().zip(reported).enumerate() {
            let at = Now { unix_ms: 1_700_000_000_000 + now, mono_ms: BEGAN + now };
            let mut facts = self.facts(before, now, ended);
            if n < self.numbered {
                (facts.reported, facts.ended) = (Vec::new(), Vec::new());
                since_ms = at.mono_ms + self.intervals[0];
            }
            facts.reported.iter_mut().for_each(|(_, since)| *since = since_ms);
            report.update(&facts, at);
            self.track(&mut report, at);
            let picture = report.picture(at);
            let count = |port: Option<u16>| {
                let flows =
                    picture.flows.iter().filter(|f| port.is_none_or(|port| f.key.port == port));
                flows.fold((0, 0), |sum, flow| (sum.0 + flow.opened, sum.1 + flow.closed))
            };
            let (counted, closed) = count(None);
            let total = picture.coverage[1];
            let seen = Seen {
                opened: self.opened(now, None),
                counted,
                closed,
                ports: SERVERS
                    .map(|port| (port, count(Some(port)).0, self.opened(now, Some(port)))),
                ends: (total.opened, total.observed),
                losses: picture.losses,
                awaits: report.awaits_ends(),
            };
            look(seen.clone())?;
            (before, last) = (now, Some(seen));
        }
        Ok(last.unwrap())
    }
}
