//! Seed: what `default` is made from where there is none.
//!
//! In: a YAML file with the spec of a `ProbeConfig`. Out: the spec as written, once it is known to be valid. It is read
//! when it is needed: what people edit later is the object.
//!
//! I/O: reads one file.

use std::path::Path;
use std::{fs, io};

use probelet_crds::ProbeConfigSpec;
use serde_json::{Value, json};

/// Why there is no seed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is no YAML.
    #[error("{path} is not YAML: {why}")]
    Yaml {
        /// The file.
        path: String,
        /// What the parser says.
        why: String,
    },
    /// It is no valid spec.
    #[error("{path}: {why}")]
    Invalid {
        /// The file.
        path: String,
        /// What is wrong, by field.
        why: String,
    },
}

/// Reads the seed; without a file it is a spec with every default.
///
/// # Errors
/// See [`Error`].
pub fn read(file: Option<&Path>) -> Result<Value, Error> {
    let Some(file) = file else { return Ok(json!({})) };
    let path = file.display().to_string();
    let text =
        fs::read_to_string(file).map_err(|source| Error::Read { path: path.clone(), source })?;
    let value: Value = match text.trim() {
        "" => Value::Null,
        text => serde_saphyr::from_str(text).map_err(|error| Error::Yaml {
            path: path.clone(),
            why: error.to_string().lines().next().unwrap_or_default().to_owned(),
        })?,
    };
    match ProbeConfigSpec::from_value(&value) {
        Ok(_) if value.is_null() => Ok(json!({})),
        Ok(_) => Ok(value),
        Err(errors) => {
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(Error::Invalid { path, why: messages.join("; ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Value, Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spec.yaml");
        fs::write(&file, text).unwrap();
        read(Some(&file))
    }

    #[test]
    fn a_seed_is_kept_as_written() {
        assert_eq!(written("budget: {cpu: 7m}\n").unwrap(), json!({"budget": {"cpu": "7m"}}));
        assert_eq!(written("# nothing\n").unwrap(), json!({}));
        assert_eq!(read(None).unwrap(), json!({}));
    }

    #[test]
    fn a_wrong_seed_is_reported_by_its_field() {
        let error = written("budget: {cpu: 0.1m}\n").unwrap_err().to_string();

        assert!(error.contains("spec.yaml") && error.contains("spec.budget.cpu"), "{error}");
        assert!(matches!(written("a: [").unwrap_err(), Error::Yaml { .. }));
    }
}
