//! What was measured on the way: figures with their goals. They are shown and written down; they decide nothing, as the
//! machine may be busy.
//!
//! In: a name, a value, a goal. Out: lines, and JSON for the documentation. I/O: one file.

use std::{fmt, fs, path::Path};

use serde_json::{Value, json};

/// All figures of a run.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

#[derive(Debug)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    goal: Option<f64>,
}

impl Figures {
    /// Keeps a figure; `goal` is the most that it should be.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: Option<f64>,
    ) {
        self.0.push(Figure { name: name.into(), value, unit, goal });
    }

    /// A line for each figure beyond the first `shown`, which becomes their number.
    pub fn lines(&self, shown: &mut usize) -> Vec<String> {
        let lines = self.0.iter().skip(*shown).map(ToString::to_string).collect();
        *shown = self.0.len();
        lines
    }

    /// All of them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let figure =
            |f: &Figure| json!({"name": f.name, "value": f.value, "unit": f.unit, "goal": f.goal});
        self.0.iter().map(figure).collect()
    }

    /// Writes them down.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write(path, serde_json::to_string_pretty(&self.to_json())? + "\n")?)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, unit, goal } = self;
        write!(f, "figure: {name}: {value:.2} {unit}")?;
        match goal {
            Some(goal) if value <= goal => write!(f, " (goal: at most {goal} {unit})"),
            Some(goal) => write!(f, " (MISSES the goal of at most {goal} {unit})"),
            None => Ok(()),
        }
    }
}

/// The middle of the values, the upper one of two; 0 if there are none.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_is_said_loudly() {
        let mut figures = Figures::default();

        figures.add("an edit", 2.5, "s", Some(2.0));
        figures.add("an edit", 1.5, "s", Some(2.0));

        let missed: Vec<bool> =
            figures.lines(&mut 0).iter().map(|line| line.contains("MISSES")).collect();
        assert_eq!(missed, [true, false]);
    }

    #[test]
    fn the_median_does_not_care_for_one_outlier() {
        assert!((median(&mut [9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
