//! A page of figures: the part above is written by a measurement, the notes below by people.
//!
//! In: a path and the new text above. Out: the page. I/O: reads and writes it.

use std::{fs, path::Path};

use anyhow::Context as _;

/// The first line of what people write.
const NOTES: &str = "## Notes";

/// Writes the page; what people wrote below the figures outlives it.
pub fn write(page: &Path, text: &str) -> anyhow::Result<()> {
    let before = fs::read_to_string(page).unwrap_or_default();
    let notes = before.find(NOTES).map_or("", |at| &before[at..]);
    fs::write(page, format!("{text}\n{notes}")).with_context(|| page.display().to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn notes_outlive_the_figures_above_them() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("page.md");
        fs::write(&page, "# Old\n\n## Notes\nkept\n").unwrap();

        write(&page, "# New\n").unwrap();

        assert_eq!(fs::read_to_string(&page).unwrap(), "# New\n\n## Notes\nkept\n");
    }
}
