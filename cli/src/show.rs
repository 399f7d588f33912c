//! Show: an answer as text, JSON, YAML or names.
//!
//! In: an [`Answer`]. Out: text. It must not ask anything, and colours never carry what words do not say.
//! Pure: values only; the caller prints.

mod figures;
mod table;

pub use crate::seen::age::age;
pub(crate) use figures::put;
pub use figures::{bytes, count, cpu, percent, took};
pub use table::{Align, Cell, Column, Table, Tone};

use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::ask::Error;

/// What a subcommand found out.
pub trait Answer: Serialize {
    /// For people; more of it if `wide`.
    fn page(&self, wide: bool) -> Page;

    /// For `-o name`: what it is about, `kind/name` each.
    fn names(&self) -> Vec<String>;

    /// Nodes that could not be asked, and why: said beside an answer whose format has no room for it.
    fn unasked(&self) -> &[(String, String)] {
        &[]
    }
}

/// What people read: paragraphs and tables, one below the other.
#[derive(Debug, Default)]
pub struct Page(Vec<Block>);

#[derive(Debug)]
enum Block {
    Line(Vec<Cell>),
    Table(Table),
}

impl Page {
    /// A line of text.
    pub fn line(&mut self, text: impl Into<Cell>) {
        self.0.push(Block::Line(vec![text.into()]));
    }

    /// A line of several tones.
    pub fn cells(&mut self, cells: Vec<Cell>) {
        self.0.push(Block::Line(cells));
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.0.push(Block::Line(Vec::new()));
    }

    /// A table; without rows it is left out.
    pub fn table(&mut self, table: Table) {
        if !table.is_empty() {
            self.0.push(Block::Table(table));
        }
    }

    /// As text.
    #[must_use]
    pub fn text(&self, colours: bool) -> String {
        let mut out = String::with_capacity(4096);
        for block in &self.0 {
            match block {
                Block::Line(cells) => {
                    for cell in cells {
                        cell.write(&mut out, colours);
                    }
                    out.push('\n');
                }
                Block::Table(table) => table.write(&mut out, colours),
            }
        }
        out
    }
}

/// The answer in the format that was asked for.
pub fn show(answer: &impl Answer, format: Format, colours: bool) -> Result<String, Error> {
    match format {
        Format::Table => Ok(answer.page(false).text(colours)),
        Format::Wide => Ok(answer.page(true).text(colours)),
        Format::Json => Ok(json(answer)),
        Format::Yaml => Ok(yaml(&value(answer))),
        Format::Name => Ok(lines(&answer.names())),
        Format::Dot | Format::Mermaid | Format::Svg => Err(Error::Usage {
            what: "this output cannot be drawn".to_owned(),
            next: "give one of -o table, wide, json, yaml, name; pictures are for map".to_owned(),
        }),
    }
}

fn lines(names: &[String]) -> String {
    let ends = if names.is_empty() { "" } else { "\n" };
    names.join("\n") + ends
}

/// As JSON.
pub fn json(answer: &impl Serialize) -> String {
    format!("{:#}\n", value(answer))
}

/// As YAML.
#[must_use]
pub fn yaml(value: &Value) -> String {
    // What is JSON is YAML at the worst.
    let text = serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value:#}"));
    if text.ends_with('\n') { text } else { format!("{text}\n") }
}

fn value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}
