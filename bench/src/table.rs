//! The table: what was measured, what it had to reach, what it is, and whether that holds.
//!
//! In: rows with their goals, figures by key. Out: text for a terminal, Markdown for docs/benchmarks.md. A row without
//! a figure says why it has none; it never counts as a pass. Pure: no I/O.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::goals::{Goal, Row};

/// What came of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A figure, and in words what else belongs to it.
    Figure(f64, String),
    /// A figure with its uncertainty: the verdict is open when the goal lies inside the interval.
    Range(f64, f64, f64, String),
    /// Why there is none.
    Not(String),
}

/// Whether a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The goal is reached.
    Yes,
    /// It is not.
    No,
    /// The figure's uncertainty is larger than its distance from the goal.
    Open,
    /// There is no goal.
    NoGoal,
    /// There is no figure.
    NotMeasured,
}

/// Rows and what came of them.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    cells: BTreeMap<String, Cell>,
    failures: BTreeMap<&'static str, String>,
}

impl Table {
    /// Of rows that no one has measured.
    #[must_use]
    pub fn new(rows: Vec<Row>) -> Self {
        Self { rows, cells: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// Enters a figure.
    pub fn put(&mut self, key: &str, cell: Cell) {
        debug_assert!(self.rows.iter().any(|row| row.key == key), "no row {key}");
        self.cells.insert(key.to_owned(), cell);
    }

    /// Enters a plain figure.
    pub fn figure(&mut self, key: &str, value: f64, detail: impl Into<String>) {
        self.put(key, Cell::Figure(value, detail.into()));
    }

    /// Says why the rows of a measurement that are still empty stay so.
    pub fn fail(&mut self, by: &'static str, why: String) {
        self.failures.insert(by, why);
    }

    fn cell(&self, row: &Row) -> Cell {
        self.cells.get(&row.key).cloned().unwrap_or_else(|| {
            Cell::Not(
                self.failures.get(row.by).cloned().unwrap_or_else(|| "not asked for".to_owned()),
            )
        })
    }

    /// One line per row of a measurement, for a terminal.
    #[must_use]
    pub fn text(&self, by: Option<&str>) -> String {
        let mut text = String::new();
        for row in self.rows.iter().filter(|row| by.is_none_or(|by| by == row.by)) {
            let (figure, detail) = self.cell(row).words(row.unit);
            let goal = row.goal.words(row.unit);
            let verdict = self.cell(row).verdict(row.goal).word();
            let what = &row.what;
            let shown = if detail.is_empty() { figure } else { format!("{figure}  ({detail})") };
            let _infallible = writeln!(text, "{what:<58} {goal:>12}  {verdict:<5} {shown}");
        }
        text
    }

    /// The page, with the facts that belong beside every figure.
    #[must_use]
    pub fn markdown(&self, machine: &str, how: &str) -> String {
        format!(
            "# Benchmarks\n\nWritten by `make bench`; not edited by hand. What each load and each measurement is: \
             [bench/workload/README.md](../bench/workload/README.md).\n\n{machine}. {how}\n\n{}",
            self.rows_as_markdown()
        )
    }

    /// The table alone.
    #[must_use]
    pub fn rows_as_markdown(&self) -> String {
        let mut page =
            "| measure | goal | measured | holds? | beside it |\n|---|---|---|---|---|\n"
                .to_owned();
        for row in &self.rows {
            let cell = self.cell(row);
            let (figure, detail) = cell.words(row.unit);
            let (goal, verdict) = (row.goal.words(row.unit), cell.verdict(row.goal).word());
            let clean = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            let _infallible = writeln!(
                page,
                "| {} | {goal} | {} | {verdict} | {} |",
                row.what,
                clean(&figure),
                clean(&detail)
            );
        }
        page
    }

    /// How many rows came to each verdict: (yes, no, open, not measured).
    #[must_use]
    pub fn tally(&self) -> (usize, usize, usize, usize) {
        let count = |wanted: Verdict| {
            self.rows.iter().filter(|row| self.cell(row).verdict(row.goal) == wanted).count()
        };
        (count(Verdict::Yes), count(Verdict::No), count(Verdict::Open), count(Verdict::NotMeasured))
    }
}

impl Cell {
    /// What this says about a goal.
    #[must_use]
    pub fn verdict(&self, goal: Goal) -> Verdict {
        let of = |holds: Option<bool>| match holds {
            None => Verdict::NoGoal,
            Some(true) => Verdict::Yes,
            Some(false) => Verdict::No,
        };
        match self {
            Self::Figure(value, _) => of(goal.holds(*value)),
            Self::Range(_, low, high, _) if goal.holds(*low) == goal.holds(*high) => {
                of(goal.holds(*low))
            }
            Self::Range(..) => Verdict::Open,
            Self::Not(_) => Verdict::NotMeasured,
        }
    }

    fn words(&self, unit: &str) -> (String, String) {
        match self {
            Self::Figure(value, detail) => (number(*value, unit), detail.clone()),
            Self::Range(value, low, high, detail) => {
                let range = format!(
                    "{} ({} to {})",
                    number(*value, unit),
                    number(*low, unit),
                    number(*high, unit)
                );
                (range, detail.clone())
            }
            Self::Not(why) => (format!("not measured: {why}"), String::new()),
        }
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "NO",
            Self::Open => "open",
            Self::NoGoal | Self::NotMeasured => "–",
        }
    }
}

impl Goal {
    fn words(self, unit: &str) -> String {
        match self {
            Self::None => "–".to_owned(),
            Self::AtMost(limit) => format!("≤ {}", number(limit, unit)),
            Self::AtLeast(limit) => format!("≥ {}", number(limit, unit)),
        }
    }
}

/// Three significant digits where they matter, none for counts.
fn number(value: f64, unit: &str) -> String {
    let digits = match unit {
        "%" if value.abs() < 1.0 && value != 0.0 => 3,
        "s" | "%" | "/s" => 2,
        "MiB" => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if unit.is_empty() { text.to_owned() } else { format!("{text} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, goal: Goal) -> Row {
        Row { key: key.into(), by: "m", what: format!("what {key} is"), unit: "%", goal }
    }

    #[test]
    fn a_row_that_was_not_measured_says_why_and_does_not_pass() {
        let mut table = Table::new(vec![row("a", Goal::AtMost(0.1))]);

        table.fail("m", "the agent runs on netlink instead of bpf".into());

        assert!(
            table.text(None).contains("not measured: the agent runs on netlink instead of bpf")
        );
        assert_eq!(table.tally(), (0, 0, 0, 1));
    }

    #[test]
    fn a_figure_over_its_goal_is_a_no() {
        let mut table = Table::new(vec![row("a", Goal::AtMost(0.1))]);

        table.figure("a", 0.1004, "");

        assert_eq!(table.tally(), (0, 1, 0, 0));
    }

    #[test]
    fn a_goal_inside_the_noise_is_open() {
        assert_eq!(
            Cell::Range(0.0, -0.5, 0.6, String::new()).verdict(Goal::AtMost(0.1)),
            Verdict::Open
        );
        assert_eq!(
            Cell::Range(0.0, -0.5, 0.05, String::new()).verdict(Goal::AtMost(0.1)),
            Verdict::Yes
        );
    }

    #[test]
    fn markdown_keeps_a_bar_in_a_detail_from_making_a_column() {
        let mut table = Table::new(vec![row("a", Goal::None)]);

        table.figure("a", 0.0712, "x | y");

        assert!(
            table.markdown("machine", "how").contains("| what a is | – | 0.071 % | – | x \\| y |")
        );
    }

    #[test]
    fn numbers_lose_no_digit_that_decides() {
        assert_eq!(
            [number(0.102, "%"), number(20.0, "%"), number(100.0, "%"), number(60.0, "")],
            ["0.102 %", "20 %", "100 %", "60"]
        );
    }
}
