//! Entries for the fuzzer: what an agent and an API server answer, and what the program prints of it.
//!
//! In: bytes of any kind. Out: nothing; a panic is a finding. Compiled for tests, and for `fuzz/`, which asks for it by a
//! feature. Pure: no I/O.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a finding")]

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::answer::conns::{Conns, Which};
use crate::answer::map::Map;
use crate::answer::naming::{Asked, Names};
use crate::answer::netpol::{Ends, Policy, Subject};
use crate::answer::procs::Procs;
use crate::args::Format;
use crate::ask::{Error, Reply};
use crate::seen::report::Report;
use crate::seen::{Service, config::Config, pod::Pod, probe::Probe};
use crate::show::{Answer, show};
use crate::target::Target as Whom;

/// What is fed, and what is fed to it.
pub type Target = (&'static str, fn(&[u8]));

/// Their names and functions; a folder of `fuzz/corpus` is called the same.
pub const TARGETS: &[Target] = &[("report", report), ("refusal", refusal)];

/// A report, compressed where the first byte is odd, in every answer that is made of it.
fn report(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let reply = || Reply::new(bytes.to_vec(), kind % 2 == 1, None);
    drop(reply().decode::<Probe>("np"));
    drop(reply().decode::<Config>("pcfg"));
    let pod = reply().decode::<Pod>("pod").ok();
    let service = reply().decode::<Service>("service").ok();
    let report = match reply().decode::<Report>("v1/report") {
        Ok(report) => report,
        Err(error) => return clean(&format!("{error}{}", error.next().unwrap_or_default())),
    };
    let target = Whom::Node(report.node.clone());
    let subjects: Vec<Subject> = report
        .pods
        .iter()
        .map(|pod| pod.workload.as_str())
        .chain(["shop/Deployment/api"])
        .take(3)
        .map(Subject::workload)
        .collect();
    let (reports, services) = ([report], Vec::from_iter(service));
    let pods = Vec::from_iter(pod);
    let names = Names::of(&reports, &services, Asked::Every);
    let map = Map::of(&reports, &names, None, true);
    printed(&Conns::of(&target, &reports, Which { closed: true, port: None }));
    printed(&Procs::of(&target, &reports));
    printed(&map);
    for format in [Format::Dot, Format::Mermaid, Format::Svg] {
        clean(&map.picture(format).unwrap());
    }
    for subject in subjects {
        let Ok(policy) = Policy::of(&subject, &reports, &names, &Ends::of(&pods, &services)) else {
            continue;
        };
        let text = policy.text();
        clean(&text);
        serde_saphyr::from_str::<Value>(&text).unwrap();
        printed(&policy);
    }
}

/// The text of a refusal, of the API server or of an agent.
fn refusal(data: &[u8]) {
    let Some((code, bytes)) = data.split_first() else { return };
    let code = 400 + u16::from(*code);
    let error = Error::refused(&hyper::Method::GET, "/api/v1/pods", code, bytes);
    clean(&format!("{error}{}", error.next().unwrap_or_default()));
}

fn printed(answer: &impl Answer) {
    for format in [Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name] {
        let text = show(answer, format, false).unwrap();
        clean(&text);
        match format {
            Format::Json => drop(serde_json::from_str::<IgnoredAny>(&text).unwrap()),
            Format::Yaml => drop(serde_saphyr::from_str::<Value>(&text).unwrap()),
            _ => {}
        }
    }
}

/// No character moves a cursor or turns the direction of writing.
fn clean(text: &str) {
    let bad = |c: &char| (c.is_control() && *c != '\n') || ('\u{2028}'..='\u{202e}').contains(c);
    let odd = text.chars().find(bad);
    assert!(odd.is_none(), "{odd:?} in {text}");
}
