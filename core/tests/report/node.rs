//! A node whose passes a test makes up.

#![allow(unreachable_pub, reason = "shared by the modules of one test binary")]

use probelet_core::facts::{Closed, Comm, Endpoint, Facts, Netns, Process, Socket, State, Want};
use probelet_core::join::PortRange;
use probelet_core::records::ConnectionRecord;
use probelet_core::report::{Limits, Now, Picture, Report};
use std::net::Ipv4Addr;

pub const HOST: u32 = 4_026_531_840;

pub fn at(ip: [u8; 4], port: u16) -> Endpoint {
    Endpoint::v4(Ipv4Addr::from(ip), port)
}

pub fn local(port: u16) -> Endpoint {
    at([127, 0, 0, 1], port)
}

pub fn process(pid: u32, comm: &str) -> Process {
    let start_ns = u64::from(pid) * 1_000_000;
    Process { pid, start_ns, netns: HOST, comm: Comm::new(comm.as_bytes()), ..Process::default() }
}

pub fn socket(pid: u32, inode: u32, from: Endpoint, to: Endpoint) -> Socket {
    Socket { netns: HOST, inode, pid, local: from, remote: to, ..Socket::default() }
}

pub fn listener(pid: u32, inode: u32, port: u16) -> Socket {
    let state = State::Listen;
    Socket { state, ..socket(pid, inode, at([0, 0, 0, 0], port), at([0, 0, 0, 0], 0)) }
}

pub fn closed(from: Endpoint, to: Endpoint, remaining_ms: u32) -> Closed {
    Closed { netns: HOST, local: from, remote: to, remaining_ms, ..Closed::default() }
}

pub fn facts(processes: &[Process], sockets: &[Socket]) -> Facts {
    Facts {
        fresh: Some(Want::Everything),
        processes: processes.to_vec(),
        sockets: sockets.to_vec(),
        netns: vec![Netns { inode: HOST, ..Netns::default() }],
        ..Facts::default()
    }
}

pub struct Node {
    pub report: Report,
    pub second: u64,
}

impl Node {
    pub fn new() -> Self {
        Self { report: Report::new(Limits::default(), PortRange::default()), second: 0 }
    }

    pub fn pass(&mut self, facts: &Facts) -> bool {
        self.second += 1;
        self.report.update(facts, self.now())
    }

    pub fn now(&self) -> Now {
        Now {
            unix_ms: 1_700_000_000_000 + self.second * 1000,
            mono_ms: 100_000 + self.second * 1000,
        }
    }

    pub fn picture(&self) -> Picture {
        self.report.picture(self.now())
    }

    pub fn connection(&self, from: Endpoint) -> Option<ConnectionRecord> {
        self.picture().connections.iter().find(|c| c.local == from).copied()
    }
}

/// A server on port 8080 and one client of it, both on this host.
pub fn pair() -> (Vec<Process>, Vec<Socket>) {
    let processes = vec![process(10, "server"), process(20, "client")];
    let sockets = vec![
        listener(10, 1, 8080),
        socket(20, 2, local(50_000), local(8080)),
        socket(10, 3, local(8080), local(50_000)),
    ];
    (processes, sockets)
}
