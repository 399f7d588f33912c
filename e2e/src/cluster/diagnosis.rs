//! What is known when a scenario does not hold: objects, events and logs, as files and a few last lines.
//!
//! In: the cluster in the state in which it failed. Out: a folder, and the lines that a person reads first. It must not
//! fail itself: what cannot be had is left out. I/O: kubectl, files.

use std::{fs, path::Path};

use super::{Kube, NAMESPACE};

/// How many last lines of each log are shown at once; the files have all.
const SHOWN: usize = 8;

/// Writes down what there is; the lines to show.
#[must_use]
pub fn write(kube: &Kube, folder: &Path) -> Vec<String> {
    let mut shown = vec![format!("  what is known is in {}", folder.display())];
    if fs::create_dir_all(folder).is_err() {
        return shown;
    }
    let log = |component: &'static str| {
        ["-n", NAMESPACE, "logs", "--prefix", "--tail=400", "-l", component]
    };
    let looks: [(&str, &[&str], bool); 8] = [
        ("nodeprobes.yaml", &["get", "nodeprobes", "-o", "yaml"], false),
        ("probeconfigs.yaml", &["get", "probeconfigs", "-o", "yaml"], false),
        ("pods.txt", &["get", "pods", "-A", "-o", "wide"], false),
        ("describe.txt", &["-n", NAMESPACE, "describe", "pods"], false),
        ("events.txt", &["get", "events", "-A", "--sort-by=.lastTimestamp"], false),
        ("nodeprobes.txt", &["get", "nodeprobes", "-o", "wide"], true),
        ("operator.log", &log("app.kubernetes.io/component=operator"), true),
        ("agent.log", &log("app.kubernetes.io/component=agent"), true),
    ];
    for (name, words, show) in looks {
        let Ok(said) = kube.try_kubectl(words, "") else { continue };
        let text = said.out + &said.err;
        if show {
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(SHOWN));
            shown.extend(
                last.map(|line| {
                    format!("  {name}: {}", line.chars().take(300).collect::<String>())
                }),
            );
        }
        // Without the file there are still the lines.
        fs::write(folder.join(name), text).ok();
    }
    shown
}
