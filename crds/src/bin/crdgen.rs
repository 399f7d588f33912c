//! Writes our CustomResourceDefinitions, and the table of fields into the manual, as `make crds` keeps them in the tree.
//!
//!     probelet-crdgen DIR... [PAGE.md]
//!
//! I/O: reads and writes the files named on the command line.

use std::path::Path;
use std::{env, fs, io};

use probelet_crds::schema;

fn main() -> io::Result<()> {
    let definitions = schema::definitions();
    for target in env::args().skip(1) {
        if Path::new(&target).extension().is_some_and(|extension| extension == "md") {
            let page = fs::read_to_string(&target)?;
            let table = schema::fields(schema::schema(&definitions[0]));
            let page = schema::with_fields(&page, &table)
                .ok_or_else(|| io::Error::other(format!("{target} has no place for the fields")))?;
            fs::write(&target, page)?;
            continue;
        }
        fs::create_dir_all(&target)?;
        for definition in &definitions {
            let (name, yaml) = schema::file(definition).map_err(io::Error::other)?;
            fs::write(Path::new(&target).join(name), yaml)?;
        }
    }
    Ok(())
}
