//! What flows are called in labels, each name made once.
//!
//! In: keys of flows as the picture has them, and what containers are called. Out: a number for each set of labels, the same as long
//! as something is called so. Thousands of flows that are scraped again and again would otherwise have their names written out and
//! compared, letter by letter, each time.
//!
//! Pure: no I/O, no clock.

use super::flow_key::{FlowKey, key};
use probelet_core::cluster::Grain;
use probelet_core::display::DisplayNames;
use probelet_core::hash::HashMap;
use probelet_core::records::{FlowKey as Of, FlowRecord};
use probelet_core::report::Picture;
use std::sync::Arc;

/// DisplayNames by number, of the flows of one reporter.
#[derive(Default)]
pub(super) struct Keys {
    numbers: HashMap<Arc<FlowKey>, u32>,
    by_number: Vec<Option<Arc<FlowKey>>>,
    free: Vec<u32>,
}

impl Keys {
    /// The number of these labels.
    fn number(&mut self, key: FlowKey) -> u32 {
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let key = Arc::new(key);
        let number = self.free.pop().unwrap_or_else(|| {
            self.by_number.push(None);
            u32::try_from(self.by_number.len() - 1).expect("fewer flows than numbers")
        });
        self.by_number[number as usize] = Some(Arc::clone(&key));
        self.numbers.insert(key, number);
        number
    }

    /// The labels of a number that [`Seen::number`] gave and [`Keys::keep`] did not free since.
    pub(super) fn get(&self, number: u32) -> &FlowKey {
        self.by_number[number as usize].as_ref().expect("a number in use has labels")
    }

    /// Frees the numbers that nothing uses.
    pub(super) fn keep(&mut self, used: impl Fn(u32) -> bool) {
        let Self { numbers, by_number, free } = self;
        numbers.retain(|_, number| {
            let kept = used(*number);
            if !kept {
                by_number[*number as usize] = None;
                free.push(*number);
            }
            kept
        });
    }
}

/// A flow at the last scrape.
#[derive(Clone, Copy, Debug)]
struct Flow {
    /// Opened, closed, bytes sent, bytes received.
    counters: [u64; 4],
    key: Of,
    number: u32,
    /// The scrape that met it last, and the naming that its number is of.
    scrape: u64,
    naming: u64,
}

/// The flows that the last scrape met, by their ids.
#[derive(Default)]
pub(super) struct Seen {
    flows: HashMap<u64, Flow>,
    scrape: u64,
    /// Grows when what the same flow is called may be another name than before.
    naming: u64,
    labels: Option<Arc<DisplayNames>>,
    grain: Option<Grain>,
}

impl Seen {
    /// A scrape begins: what containers are called now.
    pub(super) fn begin(&mut self, labels: &Arc<DisplayNames>, picture: &Picture) {
        let grain = picture.cluster.as_ref().map(|cluster| cluster.grain);
        let same = self.labels.as_ref().is_some_and(|before| Arc::ptr_eq(before, labels));
        if !same || self.grain != grain {
            self.naming += 1;
            self.labels = Some(Arc::clone(labels));
            self.grain = grain;
        }
        self.scrape += 1;
    }

    /// The number of what a flow is called, and what its counters grew by. `keys` are of its reporter.
    pub(super) fn number(
        &mut self,
        flow: &FlowRecord,
        keys: &mut Keys,
        labels: &DisplayNames,
        picture: &Picture,
    ) -> (u32, [u64; 4]) {
        let [opened, closed] = flow.counted_once();
        let mut counters = [opened, closed, flow.bytes_sent, flow.bytes_received];
        let before = self.flows.get(&flow.id);
        let number = match before {
            Some(before) if before.naming == self.naming && before.key == flow.key => before.number,
            _ => keys.number(key(flow, labels, picture)),
        };
        let before = before.map_or([0; 4], |before| before.counters);
        let mut grown = [0; 4];
        for (grown, (now, before)) in grown.iter_mut().zip(counters.iter_mut().zip(before)) {
            *grown = now.saturating_sub(before);
            // What turned out to be counted twice is not counted when it comes back.
            *now = before.max(*now);
        }
        let (scrape, naming) = (self.scrape, self.naming);
        self.flows.insert(flow.id, Flow { counters, key: flow.key, number, scrape, naming });
        (number, grown)
    }

    /// The scrape has met all that there are.
    pub(super) fn end(&mut self) {
        self.flows.retain(|_, flow| flow.scrape == self.scrape);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_core::display::{ContainerName, ContainerNames};
    use probelet_core::facts::{Comm, Container, ContainerId};
    use probelet_core::records::Health;
    use probelet_core::records::{Origin, Workload};

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn picture() -> Picture {
        let names = [Container { id: ID.into(), ..Container::default() }].into();
        Picture { names, ..Picture::default() }
    }

    fn flow(id: u64, source: Workload) -> FlowRecord {
        let key = Of { source, port: 80, origin: Origin::Here, ..Of::default() };
        FlowRecord {
            id,
            key,
            current: 1,
            opened: 1,
            closed: 0,
            moved: [0; 2],
            bytes_sent: 0,
            bytes_received: 0,
            health: Health::default(),
            active_ms: 0,
            changed: 1,
        }
    }

    fn process(n: u64) -> FlowRecord {
        flow(n, Workload::Process(Comm::new(format!("p{n}").as_bytes())))
    }

    /// One scrape of these flows: their numbers, and those that were not met are free.
    fn scrape(
        seen: &mut Seen,
        keys: &mut Keys,
        labels: &Arc<DisplayNames>,
        flows: &[FlowRecord],
    ) -> Vec<u32> {
        let picture = picture();
        seen.begin(labels, &picture);
        let numbers = flows
            .iter()
            .map(|flow| seen.number(flow, keys, labels, &picture).0)
            .collect::<Vec<_>>();
        seen.end();
        keys.keep(|number| numbers.contains(&number));
        numbers
    }

    #[test]
    fn what_a_flow_is_called_is_made_once_and_not_at_every_scrape() {
        let (mut seen, mut keys, labels) = (Seen::default(), Keys::default(), Arc::default());
        let first = scrape(&mut seen, &mut keys, &labels, &[process(1), process(2)]);
        let made: *const FlowKey = keys.get(first[0]);

        let second = scrape(&mut seen, &mut keys, &labels, &[process(1), process(2)]);

        assert_eq!(first, second);
        assert!(std::ptr::eq(made, keys.get(second[0])));
    }

    #[test]
    fn a_container_that_gets_a_name_gets_another_number() {
        let (mut seen, mut keys) = (Seen::default(), Keys::default());
        let early = DisplayNames::refresh(&Arc::default(), &picture(), &Arc::default());
        let flows = [flow(1, Workload::Container(ContainerId(0)))];
        let before = scrape(&mut seen, &mut keys, &early, &flows);
        assert_eq!(&*keys.get(before[0]).source, "0123456789ab");

        let name = ContainerName { name: "web".into(), ..ContainerName::default() };
        let names = Arc::new(ContainerNames([(ID.into(), name)].into()));
        let late = DisplayNames::refresh(&early, &picture(), &names);
        let after = scrape(&mut seen, &mut keys, &late, &flows);

        assert_eq!(&*keys.get(after[0]).source, "web");
        assert_eq!(keys.numbers.len(), 1, "the old name is free");
    }

    #[test]
    fn flows_that_come_and_go_for_ever_take_no_more_numbers_than_there_are_at_once() {
        let (mut seen, mut keys, labels) = (Seen::default(), Keys::default(), Arc::default());

        for n in 0..100 {
            scrape(&mut seen, &mut keys, &labels, &[process(2 * n), process(2 * n + 1)]);
        }

        assert!(keys.by_number.len() <= 4, "{} numbers", keys.by_number.len());
        assert_eq!(seen.flows.len(), 2);
    }
}
