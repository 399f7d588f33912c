//! Tables as kubectl has them: capitals above, columns three spaces apart, no lines.
//!
//! In: cells with a tone. Out: text. Tones are colours on a terminal and nothing elsewhere. Pure: values only.

use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const GAP: &str = "   ";

/// How a text is to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Someone must act.
    Bad,
    /// Beside the point.
    Dim,
    /// The head of something.
    Bold,
}

/// A text and its tone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// To which side a column leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column(pub &'static str, pub Align);

/// Rows under a head.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Cell {
    /// A text with a tone. Control characters, which a process may have in its name, would change the terminal.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text: String = text.into();
        let text = if text.contains(char::is_control) {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        } else {
            text
        };
        Self { text, tone }
    }

    /// As it should be.
    pub fn good(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Good)
    }

    /// Worth a look.
    pub fn warn(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Warn)
    }

    /// Someone must act.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Bad)
    }

    /// Beside the point.
    pub(crate) fn dim(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Dim)
    }

    /// The head of something.
    pub(crate) fn bold(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Bold)
    }

    /// In columns of a terminal: letters of some languages take two, marks above them none.
    fn width(&self) -> usize {
        self.text.width()
    }

    /// Appends it.
    pub(super) fn write(&self, out: &mut String, colours: bool) {
        let code = match self.tone {
            _ if !colours || self.text.is_empty() => "",
            Tone::Plain => "",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Bold => "1",
        };
        if code.is_empty() {
            out.push_str(&self.text);
        } else {
            super::put(out, format_args!("\x1b[{code}m{}\x1b[0m", self.text));
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One whose columns hold words only.
    #[must_use]
    pub(crate) fn of_words(names: &[&'static str]) -> Self {
        Self {
            columns: names.iter().map(|name| Column(name, Align::Left)).collect(),
            rows: Vec::new(),
        }
    }

    /// One more row, with a cell for each column.
    pub fn row(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Appends it. The last column is not padded.
    pub(super) fn write(&self, out: &mut String, colours: bool) {
        let head: Vec<Cell> = self.columns.iter().map(|c| Cell::bold(c.0)).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.chain([&head[at]]).map(Cell::width).max().unwrap_or(0)
            })
            .collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
            for (at, cell) in row.iter().enumerate().take(last + 1) {
                let pad = " ".repeat(widths[at] - cell.width());
                if at > 0 {
                    out.push_str(GAP);
                }
                let right = self.columns[at].1 == Align::Right;
                if right {
                    out.push_str(&pad);
                }
                cell.write(out, colours);
                if !right && at < last {
                    out.push_str(&pad);
                }
            }
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &Table, colours: bool) -> String {
        let mut out = String::new();
        table.write(&mut out, colours);
        out
    }

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let mut table = Table::new(&[
            Column("NODE", Align::Left),
            Column("CPU", Align::Right),
            Column("WHY", Align::Left),
        ]);
        table.row(vec!["node1".into(), "4m".into(), "".into()]);
        table.row(vec!["n".into(), "12m".into(), "busy".into()]);

        assert_eq!(text(&table, false), "NODE    CPU   WHY\nnode1    4m\nn       12m   busy\n");
    }

    #[test]
    fn letters_that_take_two_columns_move_nothing() {
        let mut table = Table::of_words(&["COMM", "NODE"]);
        table.row(vec!["\u{4e2d}\u{6587}\u{1f600}".into(), "n1".into()]);
        table.row(vec!["e\u{301}tcd".into(), "n2".into()]);

        assert_eq!(
            text(&table, false),
            "COMM     NODE\n\u{4e2d}\u{6587}\u{1f600}   n1\ne\u{301}tcd     n2\n"
        );
    }

    #[test]
    fn a_name_cannot_change_the_terminal() {
        let mut table = Table::of_words(&["COMM"]);
        table.row(vec![Cell::bad("a\x1b[2Jb")]);

        assert_eq!(text(&table, false), "COMM\na\u{fffd}[2Jb\n");
        assert_eq!(text(&table, true), "\x1b[1mCOMM\x1b[0m\n\x1b[31ma\u{fffd}[2Jb\x1b[0m\n");
    }
}
