//! Reading a spec from a value that a person wrote, with errors that name the field.
//!
//! In: JSON of any shape. Out: a complete, valid spec, or everything that is wrong with it. Serde stops at the first
//! error and does not say where it is. So keys are compared with those of the default spec, which has all of them, and
//! each leaf is tried alone on top of the defaults: what fails then is that leaf's fault. A spec has some forty leaves
//! and is read when someone edits it. Pure: values only.

use serde_json::{Map, Value};

use super::ProbeConfigSpec;
use crate::FieldError;

/// More errors than this are of no use.
const MAX_ERRORS: usize = 20;

impl ProbeConfigSpec {
    /// The spec that `value` describes. Fields that are absent or null get their default.
    ///
    /// # Errors
    /// Unknown fields and values of the wrong kind, up to 20; if there are none, the broken rules.
    pub fn from_value(value: &Value) -> Result<Self, Vec<FieldError>> {
        let shape = shape();
        let mut reading =
            Reading { path: vec![], defaults: &shape, full: shape.clone(), errors: vec![] };
        reading.object("spec", value, &shape);
        reading.errors.truncate(MAX_ERRORS);
        if !reading.errors.is_empty() {
            return Err(reading.errors);
        }
        // Every leaf was accepted alone, so that only a mistake of this module can fail here.
        let spec: Self = serde_json::from_value(reading.full)
            .map_err(|e| vec![FieldError::new("spec", value, e.to_string())])?;
        spec.validate().map_err(|errors| {
            errors.into_iter().map(|error| as_written(error, value)).collect::<Vec<_>>()
        })?;
        Ok(spec)
    }
}

/// The default spec as a value: it has every key and the kind of every leaf.
fn shape() -> Value {
    serde_json::to_value(ProbeConfigSpec::default())
        .expect("the default spec has only strings for keys")
}

struct Reading<'a> {
    /// Keys from the spec down to where the reading is.
    path: Vec<String>,
    defaults: &'a Value,
    /// The defaults with all accepted leaves set.
    full: Value,
    errors: Vec<FieldError>,
}

impl Reading<'_> {
    fn object(&mut self, name: &str, value: &Value, shape: &Value) {
        let (given, known) = match (value, shape) {
            (Value::Null, _) => return,
            (Value::Object(given), Value::Object(known)) => (given, known),
            _ => {
                return self.errors.push(FieldError::new(
                    name,
                    value,
                    "is not a mapping of fields to values",
                ));
            }
        };
        for (key, value) in given {
            let Some(shape) = known.get(key) else {
                self.errors.push(FieldError::unknown(name, key, &keys(known)));
                continue;
            };
            let name = format!("{name}.{key}");
            self.path.push(key.clone());
            match shape {
                // An empty mapping is one whose keys people choose.
                Value::Object(fields) if !fields.is_empty() => self.object(&name, value, shape),
                _ if value.is_null() => {}
                _ => self.leaf(&name, value, shape),
            }
            self.path.pop();
        }
    }

    fn leaf(&mut self, name: &str, value: &Value, shape: &Value) {
        let mut alone = self.defaults.clone();
        set(&mut alone, &self.path, value);
        match serde_json::from_value::<ProbeConfigSpec>(alone) {
            Ok(_) => set(&mut self.full, &self.path, value),
            Err(error) => self.errors.push(FieldError::new(
                name,
                value,
                expected(&error.to_string(), value, shape),
            )),
        }
    }
}

fn keys(known: &Map<String, Value>) -> Vec<&str> {
    known.keys().map(String::as_str).collect()
}

/// Shows a scalar as the person wrote it: `0.5m` rather than the `500u` that it means.
fn as_written(error: FieldError, value: &Value) -> FieldError {
    let written = error.field.split('.').skip(1).try_fold(value, |at, key| at.get(key));
    match written {
        Some(scalar @ (Value::String(_) | Value::Number(_))) => {
            FieldError::new(&error.field, scalar, error.expected)
        }
        _ => error,
    }
}

/// Puts `value` where `path` leads; the path is one that the shape has.
fn set(root: &mut Value, path: &[String], value: &Value) {
    let place = path.iter().fold(root, |at, key| &mut at[key.as_str()]);
    *place = value.clone();
}

/// Serde's words in ours.
fn expected(error: &str, value: &Value, shape: &Value) -> String {
    let shown = value.to_string();
    match (shape, value) {
        (Value::Bool(_), _) => "is not true or false".to_owned(),
        (Value::Number(_), Value::Number(n)) if n.is_i64() || n.is_u64() => {
            "is too large".to_owned()
        }
        (Value::Number(_), _) => "is not a whole number".to_owned(),
        _ if error.starts_with(&shown) => error[shown.len()..].trim_start().to_owned(),
        (Value::String(_), Value::String(_)) => variants(error),
        (Value::String(example), _) => format!("is not text such as {example}"),
        _ => format!("does not fit: {error}"),
    }
}

/// "unknown variant `X`, expected one of `A`, `B`" without the marks.
fn variants(error: &str) -> String {
    match error.split_once("expected ") {
        Some((_, list)) => {
            let names: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
            format!("is not known here; give one of {}", names.join(", "))
        }
        None => format!("does not fit: {error}"),
    }
}
