//! One markdown table of everything that was measured.
//!
//! In: figures by name, a set for each scale. Out: the text of `docs/benchmarks-index.md`: what
//! was found, against what was aimed for, and how it was taken.
//!
//! Pure: no I/O.

use std::collections::BTreeMap;

/// Figures of one scale.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// Title and figure; without a figure, a heading.
const ROWS: &[(&str, &str)] = &[
    ("**One pod against the Services, ns for each pod**", ""),
    ("Go, `SelectorFromSet` for each match, all Services (the seed's pattern)", "go compile all"),
    ("Rust, kube-rs `Selector` made for each match, all Services", "rust compile all"),
    ("Go, `Selector` made once, all Services", "go selector all"),
    ("kube-rs `Selector` made once, all Services", "kube-rs all"),
    ("Go, `ValidatedSetSelector`, Services of the namespace", "go validated namespace"),
    ("endpointslice controller's `GetServicesToUpdate`", "go endpointslice"),
    ("Go, `Selector` made once, Services of the namespace", "go selector namespace"),
    ("kube-rs `Selector` made once, Services of the namespace", "kube-rs namespace"),
    ("our `Selector` made once, Services of the namespace", "scan namespace"),
    ("**index, `match_labels`, nothing kept**", "match_labels"),
    ("**index, `owners_of` a pod**", "owners_of"),
    ("**One event, ns**", ""),
    ("pod, labels unchanged, by id", "unchanged by id"),
    ("pod, labels unchanged, by UID", "unchanged by uid"),
    ("the same in the order of a list", "unchanged in order"),
    ("endpointslice controller's `GetPodUpdateProjectionKey`, unchanged", "go projection"),
    ("pod added, labels known", "add known"),
    ("pod added, labels new", "add new"),
    ("pod removed, labels stay", "remove"),
    ("pod removed, the last with its labels", "remove last"),
    ("pod's labels changed", "relabel"),
    ("Service added, its selector compiled", "service add"),
    ("Service removed", "service remove"),
    ("`pods_of` a Service, for each pod", "pods_of"),
    ("**All of it**", ""),
    ("built, ms", "build"),
    ("distinct label sets", "classes"),
    ("selectors tried on a new label set", "candidates"),
    ("bytes for each pod, everything included", "bytes per pod"),
    ("bytes for each Service, everything included", "bytes per service"),
];

enum Aim {
    /// The second figure is at least so many times the first.
    Times(&'static str, &'static str, f64),
    /// The figure is at most this.
    Most(&'static str, f64),
}

const GOALS: &[(&str, &str, Aim)] = &[
    (
        "`owners_of` against the seed's pattern",
        "XL",
        Aim::Times("owners_of", "go compile all", 1000.0),
    ),
    (
        "`owners_of` against the endpointslice controller",
        "XL",
        Aim::Times("owners_of", "go endpointslice", 40.0),
    ),
    (
        "`match_labels` against the endpointslice controller",
        "XL",
        Aim::Times("match_labels", "go endpointslice", 40.0),
    ),
    (
        "unchanged pod, by id, against the fastest scan that gives the Services (kube-rs)",
        "XL",
        Aim::Times("unchanged by id", "kube-rs namespace", 5.0),
    ),
    (
        "new label set against the endpointslice controller",
        "XL",
        Aim::Times("add new", "go endpointslice", 20.0),
    ),
    ("unchanged pod, by id, ns", "XL", Aim::Most("unchanged by id", 600.0)),
    ("new label set, ns", "XL", Aim::Most("add new", 3000.0)),
    ("Service added, ns", "XL", Aim::Most("service add", 8000.0)),
    ("`owners_of`, ns", "XL", Aim::Most("owners_of", 80.0)),
    ("built, ms", "XL", Aim::Most("build", 150.0)),
    ("selectors tried on a new label set", "XL", Aim::Most("candidates", 1.1)),
    ("bytes for each pod", "XL", Aim::Most("bytes per pod", 250.0)),
    (
        "bytes for each Service on a node that keeps them all",
        "NODE",
        Aim::Most("bytes per service", 350.0),
    ),
];

const HEAD: &str = "\
# Benchmarks of the label-selector index

Figures of `make bench-index`. CPU time (of the thread for Rust, of the process with its collector for Go), the median of several rounds, in random order over the whole cluster unless said otherwise: what costs here are cache misses. On a shared machine repeats differ by up to 40 %, so a ratio below 2 means nothing. Memory is what the index says it holds; a test holds that to the allocator's account.

Clusters, made up and always the same: S 1,000 pods and 200 Services in 20 namespaces; M 10,000 and 1,500 in 100; L 50,000 and 5,000 in 300; XL 150,000 and 10,000 in 500; NODE 200 pods of XL with all of its Services. All programs found the same pairs of pod and Service at every scale, or there would be no table.

";

const FOOT: &str = "
A match is not kept anywhere by the rivals, so they pay it again on every event of a pod, unless they find that its labels are the old ones: `GetPodUpdateProjectionKey` does that with the old pod and the new one in hand, and gives no Services.

Two other indexes were measured earlier, on clusters of the same sizes and distributions and not in this run, in Go. Calico's also counts references to addresses, which is part of its figures. At XL, for each event: Calico's `LabelRestrictionIndex` took 2,050–2,190 ns for an unchanged pod whose labels were interned before and 11,000–12,800 ns from text, 331,000 ns for a new label set (173,000 ns with its namespace label renamed to sort first), 57,000 ns for a new selector, and 27.7 s to build; Antrea's `GroupEntityIndex` 8,970 ns, 184,000 ns, 650,000 ns and 5.3 s.
";

/// `machine` says what else went on, which decides how much the figures are worth.
pub(crate) fn render(columns: &[(&str, Figures)], machine: &str) -> String {
    let mut out = [HEAD, machine, "\n\n"].concat();
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    row(&mut out, "measure", &names);
    out.push_str(&"|---".repeat(names.len() + 1));
    out.push_str("|\n");
    for (title, name) in ROWS {
        let cells: Vec<_> = columns.iter().map(|(_, figures)| cell(figures, name)).collect();
        row(&mut out, title, &cells);
    }
    row(&mut out, "**What was aimed for**", &vec![""; names.len()]);
    for (title, scale, aim) in GOALS {
        let judge = |(name, figures): &(&str, Figures)| {
            if name == scale { aim.judge(figures) } else { String::new() }
        };
        let goal = format!("{title} {}", aim.text());
        row(&mut out, &goal, &columns.iter().map(judge).collect::<Vec<_>>());
    }
    out.push_str(FOOT);
    out
}

fn row<S: AsRef<str>>(out: &mut String, title: &str, cells: &[S]) {
    for cell in std::iter::once(title).chain(cells.iter().map(AsRef::as_ref)) {
        out.push_str("| ");
        out.push_str(cell);
        out.push(' ');
    }
    out.push_str("|\n");
}

fn cell(figures: &Figures, name: &str) -> String {
    match figures.get(name) {
        _ if name.is_empty() => String::new(),
        Some(value) => spell(value),
        None => "not run".to_owned(),
    }
}

impl Aim {
    fn text(&self) -> String {
        match self {
            Self::Times(_, _, least) => format!("≥ {least} ×"),
            Self::Most(_, most) => format!("≤ {most}"),
        }
    }

    fn judge(&self, figures: &Figures) -> String {
        let verdict = |holds| if holds { "yes" } else { "NO" };
        match self {
            Self::Times(ours, theirs, least) => match (figures.get(ours), figures.get(theirs)) {
                (Some(ours), Some(theirs)) => {
                    let times = theirs / ours;
                    format!("{}: {} ×", verdict(times >= *least), spell(times))
                }
                _ => "not run".to_owned(),
            },
            Self::Most(name, most) => figures.get(name).map_or("not run".to_owned(), |value| {
                format!("{}: {}", verdict(value <= *most), spell(value))
            }),
        }
    }
}

/// Three digits, and commas in large numbers.
fn spell(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let unit = 10_f64.powf(value.log10().floor() - 2.0);
    let digits = format!("{:.0}", (value / unit).round() * unit);
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_commas() {
        let spelled = [0.871, 12.34, 567.8, 6_751_234.0].map(spell);

        assert_eq!(spelled, ["0.87", "12.3", "568", "6,750,000"]);
    }

    #[test]
    fn a_goal_that_was_not_measured_is_neither_met_nor_missed() {
        let aim = Aim::Times("ours", "theirs", 10.0);
        let mut figures = Figures::default();
        figures.set("ours", 2.0);

        assert_eq!(aim.judge(&figures), "not run");
        figures.set("theirs", 19.0);
        assert_eq!(aim.judge(&figures), "NO: 9.50 ×");
        figures.set("theirs", 20.0);
        assert_eq!(aim.judge(&figures), "yes: 10.0 ×");
    }
}
