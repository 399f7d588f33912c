//! Makes a status small enough for the API server.
//!
//! In: what the agent would like to say, whatever its size. Out: the same if it follows the schema, else as much of it as
//! fits: first it follows each field's own bound, then generations that say nothing new go, texts get shorter, and the
//! least of the top entries, of the unresolved reasons, of the lost capabilities and of the rights go until all of it is at most
//! [`MAX_STATUS`] bytes. Pure: values only.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::bounds::{
    self, BYTES, CAPABILITY, COMM, COUNT, COVERAGE, DIGEST, EPOCH, GENERATION, HASH, KEPT,
    KEPT_TEXT, LEVEL_REASON, LOST, LOST_TEXT, MAX_STATUS, MEMORY, MESSAGE, MISSING, NAME, PORT,
    REASON, SECONDS, SLACK, START, TOP, UNPROTECTED, UNRESOLVED, UNRESOLVED_REASON, VERSION,
};
use super::{AgentStatus, Capabilities, NodeProbeStatus, Quality, RightsStatus, Summary, Top};
use crate::{CpuQuantity, condition};

/// Texts are cut to this before whole entries go: a message that still says what is wrong.
const CUTS: [usize; 2] = [120, 60];

impl NodeProbeStatus {
    /// As much of this status as the schema accepts; what it accepts is unchanged.
    #[must_use]
    pub fn fit(mut self) -> Self {
        self.keep_bounds();
        if self.is_too_long() {
            self.forget_generations();
        }
        for cut in CUTS {
            if self.is_too_long() {
                self.texts().for_each(|text| shorten(text, cut));
            }
        }
        while self.is_too_long() && self.drop_least() {}
        self
    }

    fn is_too_long(&self) -> bool {
        // Maps have strings for keys: it is always JSON.
        serde_json::to_string(self).map_or(0, |json| json.len()) > MAX_STATUS - SLACK
    }

    /// Every field within its own bounds.
    fn keep_bounds(&mut self) {
        clamp(&mut self.observed_generation, GENERATION);
        text(&mut self.applied_config_hash, HASH);
        self.agent = self.agent.take().and_then(agent);
        if let Some(summary) = &mut self.summary {
            let Summary {
                processes,
                sockets,
                connections,
                open_file_descriptors,
                containers,
                pods,
            } = summary;
            for count in [processes, sockets, connections, open_file_descriptors, containers, pods]
            {
                clamp(count, COUNT);
            }
        }
        if let Some(quality) = &mut self.quality {
            bound_quality(quality);
        }
        if let Some(top) = &mut self.top {
            bound_top(top);
        }
        if let Some(report) = &mut self.report {
            clamp(&mut report.epoch, EPOCH);
            text(&mut report.digest, DIGEST);
            clamp(&mut report.bytes, BYTES);
        }
        if let Some(Capabilities { missing, lost }) = &mut self.capabilities {
            texts(missing, MISSING, CAPABILITY);
            texts(lost, LOST, LOST_TEXT);
        }
        if let Some(RightsStatus { start, kept, unprotected }) = &mut self.rights {
            texts(start, START, CAPABILITY);
            texts(kept, KEPT, KEPT_TEXT);
            texts(unprotected, UNPROTECTED, CAPABILITY);
        }
        let mut seen = BTreeSet::new();
        self.conditions.retain_mut(|condition| {
            bound_condition(condition);
            bounds::TYPES.contains(&condition.type_.as_str())
                && bounds::STATUSES.contains(&condition.status.as_str())
                && seen.insert(condition.type_.clone())
        });
    }

    /// The generation that the whole status is about need not stand in each condition, but for the one that
    /// acknowledges it.
    fn forget_generations(&mut self) {
        for condition in &mut self.conditions {
            if condition.type_ != condition::CONFIG_APPLIED
                && condition.observed_generation == Some(self.observed_generation)
            {
                condition.observed_generation = None;
            }
        }
    }

    /// Messages, which are as true when shorter.
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let reason = self.agent.as_mut().map(|agent| &mut agent.level_reason);
        self.conditions.iter_mut().map(|condition| &mut condition.message).chain(reason)
    }

    /// Drops one entry; false if there is none left.
    fn drop_least(&mut self) -> bool {
        if let Some(Top { flows, processes }) = &mut self.top {
            let dropped = if flows.len() >= processes.len() {
                remove_least(flows, |flow| flow.connections)
            } else {
                remove_least(processes, |process| process.cpu.nanocores())
            };
            if dropped {
                return true;
            }
        }
        if let Some(quality) = &mut self.quality
            && let Some(least) = least_reason(&quality.unresolved)
        {
            quality.unresolved.remove(&least);
            return true;
        }
        if let Some(Capabilities { missing, lost }) = &mut self.capabilities
            && lost.pop().or_else(|| missing.pop()).is_some()
        {
            return true;
        }
        match &mut self.rights {
            Some(RightsStatus { start, kept, unprotected }) => {
                [start, unprotected, kept].into_iter().any(|list| list.pop().is_some())
            }
            None => false,
        }
    }
}

/// So many of them, each so long.
fn texts(list: &mut Vec<String>, most: usize, letters: usize) {
    list.truncate(most);
    for each in list {
        text(each, letters);
    }
}

/// An agent that names an unknown source or level says nothing.
fn agent(mut agent: AgentStatus) -> Option<AgentStatus> {
    text(&mut agent.version, VERSION);
    text(&mut agent.level_reason, LEVEL_REASON);
    text(&mut agent.memory, MEMORY);
    agent.cpu = amount(agent.cpu);
    agent.budget = amount(agent.budget);
    let known = bounds::SOURCES.contains(&agent.source.as_str())
        && bounds::LEVELS.contains(&agent.level.as_str());
    known.then_some(agent)
}

fn bound_quality(quality: &mut Quality) {
    if let Some(coverage) = &mut quality.coverage {
        text(coverage, COVERAGE);
    }
    clamp(&mut quality.unseen, COUNT);
    clamp(&mut quality.stalest_seconds, SECONDS);
    let mut reasons = BTreeMap::new();
    for (mut reason, mut count) in std::mem::take(&mut quality.unresolved) {
        text(&mut reason, UNRESOLVED_REASON);
        reason.retain(|letter| letter.is_ascii_alphanumeric() || " -_./:".contains(letter));
        clamp(&mut count, COUNT);
        let sum = reasons.entry(reason).or_insert(0_i64);
        *sum = (*sum + count).min(COUNT);
    }
    reasons.remove("");
    while reasons.len() > UNRESOLVED
        && let Some(least) = least_reason(&reasons)
    {
        reasons.remove(&least);
    }
    quality.unresolved = reasons;
}

fn bound_top(top: &mut Top) {
    top.flows.retain_mut(|flow| {
        text(&mut flow.source, NAME);
        text(&mut flow.destination, NAME);
        flow.port = flow.port.clamp(0, PORT);
        clamp(&mut flow.connections, COUNT);
        bounds::PROTOCOLS.contains(&flow.protocol.as_str())
    });
    while top.flows.len() > TOP && remove_least(&mut top.flows, |flow| flow.connections) {}
    for process in &mut top.processes {
        text(&mut process.comm, COMM);
        if let Some(pod) = &mut process.pod {
            text(pod, NAME);
        }
        process.cpu = amount(process.cpu);
    }
    while top.processes.len() > TOP
        && remove_least(&mut top.processes, |process| process.cpu.nanocores())
    {}
}

fn bound_condition(condition: &mut Condition) {
    condition.reason.retain(|letter| letter.is_ascii_alphanumeric());
    condition.reason.truncate(REASON);
    if !condition.reason.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        "Unknown".clone_into(&mut condition.reason);
    }
    text(&mut condition.message, MESSAGE);
    if let Some(generation) = &mut condition.observed_generation {
        clamp(generation, GENERATION);
    }
}

/// Takes the entry out that counts least, the last one of several.
fn remove_least<T, K: Ord>(entries: &mut Vec<T>, key: impl Fn(&T) -> K) -> bool {
    let least = (0..entries.len()).rev().min_by_key(|&position| key(&entries[position]));
    least.map(|position| entries.remove(position)).is_some()
}

fn least_reason(reasons: &BTreeMap<String, i64>) -> Option<String> {
    reasons.iter().min_by_key(|(_, count)| **count).map(|(reason, _)| reason.clone())
}

fn clamp(number: &mut i64, most: i64) {
    *number = (*number).clamp(0, most);
}

/// Whole millionths of a core and at most a thousand cores: eleven letters.
fn amount(cpu: CpuQuantity) -> CpuQuantity {
    if cpu.to_string().len() <= bounds::CPU {
        return cpu;
    }
    CpuQuantity::from_millicores(1_000_000).min(cpu.round_up_to_micro())
}

/// ASCII that JSON writes as it is, and not too long.
fn text(text: &mut String, most: usize) {
    if !text.chars().all(is_plain) {
        *text = text.chars().map(plain).collect();
    }
    shorten(text, most);
}

fn is_plain(letter: char) -> bool {
    matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\' | '<' | '>' | '&')
}

fn plain(letter: char) -> char {
    match letter {
        '"' | '“' | '”' | '’' => '\'',
        '\\' => '/',
        '<' => '(',
        '>' => ')',
        '&' => '+',
        '…' => '~',
        letter if is_plain(letter) => letter,
        _ => '?',
    }
}

/// Cuts plain text, and shows that it was cut.
fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(most.saturating_sub(2));
        text.push_str("..");
    }
}
