//! Of the ends that the load made, which are in the report, with the right pid and the right direction?
//!
//! In: the truth and a report. Out: [`Cover`]. Pure: no I/O.

use probelet_core::hash::HashMap;
use probelet_report::{Connection, Report};

use crate::{load::ends::End, watch::Direction};

/// Counts over one side (clients or servers).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cover {
    /// Ends that there are.
    pub ends: usize,
    /// Of them in the report.
    pub present: usize,
    /// Of them with the right pid.
    pub right_pid: usize,
    /// Of them with the right direction.
    pub right_direction: usize,
    /// Of them with the opposite direction.
    pub wrong_direction: usize,
}

/// Looks every end up. `inode` gives the number of a namespace by its name.
#[must_use]
pub fn cover(
    report: &Report,
    ends: &[End],
    expected: Direction,
    inode: impl Fn(&str) -> Option<u64>,
) -> Cover {
    let mut by_end: HashMap<(&str, &str), Vec<&Connection>> = HashMap::default();
    for connection in &report.connections {
        by_end.entry((&connection.local, &connection.remote)).or_default().push(connection);
    }
    let mut cover = Cover { ends: ends.len(), ..Cover::default() };
    for end in ends {
        let (local, remote) = (end.local.to_string(), end.remote.to_string());
        let netns = inode(&end.netns);
        let candidates =
            by_end.get(&(local.as_str(), remote.as_str())).map_or(&[][..], Vec::as_slice);
        let Some(found) = candidates.iter().find(|c| c.netns.is_some() && c.netns == netns) else {
            continue;
        };
        let direction = Direction::parse(&found.direction);
        cover.present += 1;
        cover.right_pid += usize::from(found.pid == Some(end.pid));
        cover.right_direction += usize::from(direction == Some(expected));
        cover.wrong_direction += usize::from(direction.is_some_and(|d| d != expected));
    }
    cover
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(netns: u64, pid: u32, direction: &str) -> Connection {
        Connection {
            protocol: "tcp".into(),
            state: "established".into(),
            local: "127.0.0.1:40000".into(),
            remote: "127.0.0.1:80".into(),
            netns: Some(netns),
            pid: Some(pid),
            direction: direction.into(),
            ..Connection::default()
        }
    }

    fn end() -> End {
        End::parse("12 wl3 127.0.0.1 40000 127.0.0.1 80").unwrap()
    }

    #[test]
    fn the_same_addresses_in_another_namespace_are_another_connection() {
        let report =
            Report { connections: vec![connection(9, 12, "outbound")], ..Report::default() };

        let found = cover(&report, &[end()], Direction::Outbound, |_| Some(7));

        assert_eq!(found, Cover { ends: 1, ..Cover::default() });
    }

    #[test]
    fn a_wrong_pid_and_a_wrong_direction_are_present_but_not_right() {
        let report =
            Report { connections: vec![connection(7, 99, "inbound")], ..Report::default() };

        let found = cover(&report, &[end()], Direction::Outbound, |_| Some(7));

        assert_eq!(found, Cover { ends: 1, present: 1, wrong_direction: 1, ..Cover::default() });
    }

    #[test]
    fn unknown_is_neither_right_nor_wrong() {
        let report =
            Report { connections: vec![connection(7, 12, "unknown")], ..Report::default() };

        let found = cover(&report, &[end()], Direction::Outbound, |_| Some(7));

        assert_eq!(found, Cover { ends: 1, present: 1, right_pid: 1, ..Cover::default() });
    }
}
