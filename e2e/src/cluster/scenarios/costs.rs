//! What the product costs here, by the kernel's account and by its own.
//!
//! In: a quiet cluster. Out: memory and CPU of agents and operators; they must say of themselves what the kernel says.
//! I/O: /proc of the processes, their metrics.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::cluster::{
    Scenario, World,
    look::{self, Pod, agent_metrics, operator_metrics, token},
    metrics::sum,
    probe::has,
    wait::until,
};

/// Over which CPU is measured.
const WINDOW: Duration = Duration::from_secs(15);
/// A window of the budget, and the least time between two writes of a status, for an agent that just began.
const FIRST_WINDOW: Duration = Duration::from_secs(100);
const MIB: f64 = 1_048_576.0;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "costs",
            "agents and operators say of their memory and CPU what the kernel says",
            costs,
        ),
        Scenario::new("costs", "every agent is within its budget, and says so", |world| {
            until("WithinBudget", FIRST_WINDOW, || {
                look::probes(&world.kube)?
                    .iter()
                    .try_for_each(|probe| has(probe, "WithinBudget", "True"))
            })
        }),
    ]
}

/// A process, by the kernel and by itself.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Resident bytes and CPU seconds, by the kernel.
    kernel: (f64, f64),
    /// The same by its metrics.
    own: (f64, f64),
    at: Instant,
}

fn costs(world: &mut World) -> anyhow::Result<()> {
    let token = token(&world.kube, "probelet-viewer")?;
    let leader = look::leader(&world.kube)?;
    let mut processes: Vec<(String, Pod, &str)> = Vec::new();
    for pod in look::pods(&world.kube, "agent")? {
        processes.push((format!("agent of {}", pod.node), pod, "probelet-agent"));
    }
    for pod in look::pods(&world.kube, "operator")? {
        let role = if leader.contains(&pod.name) { "leading" } else { "waiting" };
        processes.push((format!("{role} operator"), pod, "probelet-operator"));
    }
    let all = |world: &World| -> anyhow::Result<Vec<Cost>> {
        processes.iter().map(|(_, pod, program)| cost(world, pod, program, &token)).collect()
    };
    let before = all(world)?;
    thread::sleep(WINDOW);
    let after = all(world)?;
    for (((who, _, program), before), after) in processes.iter().zip(before).zip(after) {
        let seconds = (after.at - before.at).as_secs_f64();
        let cores = (after.kernel.1 - before.kernel.1) / seconds;
        let (memory, cpu) = if *program == "probelet-agent" { (20.0, 5.0) } else { (20.0, 1.0) };
        world.figures.add(
            format!("{who}: resident memory"),
            after.kernel.0 / MIB,
            "MiB",
            Some(memory),
        );
        world.figures.add(format!("{who}: CPU, at rest"), cores * 1000.0, "m", Some(cpu));
        let off = after.own.0 / after.kernel.0;
        ensure!((0.8..1.25).contains(&off), "{who} says {:.1} MiB", after.own.0 / MIB);
        let off = (after.own.1 - after.kernel.1).abs();
        // The kernel counts in hundredths, and the two looks are not at the same time.
        ensure!(
            off < 0.3,
            "{who} says {:.2} s of CPU, the kernel {:.2} s",
            after.own.1,
            after.kernel.1
        );
    }
    Ok(())
}

fn cost(world: &World, pod: &Pod, program: &str, token: &str) -> anyhow::Result<Cost> {
    // Operators may be two on one node: by the address of the pod, which only its processes have.
    let script = format!(
        "for pid in $(pgrep -x {}); do nsenter -t $pid -n ip -o addr | grep -qF ' {}/' && \
         cat /proc/$pid/stat && grep VmRSS /proc/$pid/status; done",
        &program[..program.len().min(15)],
        pod.ip
    );
    let said = world.kube.cluster(&["exec", &pod.node, "sh", "-c", &script])?;
    let at = Instant::now();
    let fields: Vec<&str> =
        said.rsplit_once(')').context("no process")?.1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    let rss = fields.iter().skip_while(|word| **word != "VmRSS:").nth(1).context("no VmRSS")?;
    let metrics = if program == "probelet-agent" {
        agent_metrics(pod, token)?
    } else {
        operator_metrics(pod)?
    };
    let own =
        |name: &str| sum(&metrics, name, &[]).with_context(|| format!("no {name} of {}", pod.name));
    Ok(Cost {
        kernel: (rss.parse::<f64>()? * 1024.0, ticks / 100.0),
        own: (own("process_resident_memory_bytes")?, own("process_cpu_seconds_total")?),
        at,
    })
}
