//! Metrics about what the agent may still do: capabilities it started with and those it holds, and what keeps it from more.
//!
//! In: the record of the snapshot. Out: families. It must not tell of a thread by anything but its part.
//!
//! Pure: no I/O, but for a counter of this process.

#![expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]

use super::family::Families;
use crate::rights::Protection;
use crate::snapshot::Vitals;
use crate::sys::seccomp;

pub(super) fn add(families: &mut Families, vitals: &Vitals) {
    let rights = &vitals.rights;
    let start: Vec<_> = rights.start.names().collect();
    families.gauge(
        "probelet_agent_capability_at_start",
        "1 for each capability that the agent was started with.",
        start.iter().map(|name| ([("capability", name.as_str())], 1.0)),
    );
    let held: Vec<_> = rights
        .held
        .iter()
        .flat_map(|(thread, set)| set.names().map(move |name| (*thread, name)))
        .collect();
    families.gauge(
        "probelet_agent_capability_held",
        "1 for each capability that a thread of the agent still holds; `all` is every thread, before any was given back.",
        held.iter().map(|(thread, name)| ([("capability", name.as_str()), ("thread", *thread)], 1.0)),
    );
    families.gauge(
        "probelet_agent_protection",
        "Whether a protection is in force, so that the agent can do no more than it needs: 1 yes, 0 no.",
        Protection::ALL.map(|one| {
            ([("protection", one.name())], if rights.is_in_force(one) { 1.0 } else { 0.0 })
        }),
    );
    families.counter(
        "probelet_agent_refused_system_calls_total",
        "System calls of the agent that the kernel refused because they are not on its list.",
        [([], seccomp::refused().0 as f64)],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capabilities::{Capability, Set};
    use crate::rights::Rights;
    use prometheus::{Encoder as _, TextEncoder};
    use std::sync::Arc;

    #[test]
    fn the_rights_of_the_start_are_apart_from_those_that_a_thread_still_holds() {
        let mut lacking = [const { None }; Protection::ALL.len()];
        lacking[Protection::Files as usize] = Some("an old kernel".to_owned());
        let net_admin = Set::of([Capability::NetAdmin]);
        let rights = Rights {
            start: Set::of([Capability::Bpf, Capability::NetAdmin]),
            held: vec![("connection-tracking", net_admin)],
            lacking,
        };
        let vitals = Vitals { rights: Arc::new(rights), ..Vitals::default() };
        let mut families = Families::default();
        add(&mut families, &vitals);

        let mut text = Vec::new();
        TextEncoder::new().encode(&families.sorted(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "probelet_agent_capability_at_start{capability=\"BPF\"} 1",
            "probelet_agent_capability_at_start{capability=\"NET_ADMIN\"} 1",
            "probelet_agent_capability_held{capability=\"NET_ADMIN\",thread=\"connection-tracking\"} 1",
            "probelet_agent_protection{protection=\"landlock-files\"} 0",
            "probelet_agent_protection{protection=\"seccomp\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(text.matches("capability_held{").count(), 1, "{text}");
    }
}
