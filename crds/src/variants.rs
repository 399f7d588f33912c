//! What the words of an enumeration mean, kept until they are in its field's description.
//!
//! In: the schema that schemars derives of an enumeration. Out: the same, with the meanings of its words in a keyword of their
//! own. It must not know which enumeration that is. Pure: values only.

use schemars::Schema;
use serde_json::Value;

/// Where an enumeration keeps its words with their meaning until they are in the field's description: a keyword that
/// kube's types let through and that are not needed.
pub(crate) const WORDS: &str = "title";

/// Notes what the words of an enumeration mean, before kube's own transformations forget it.
pub(crate) fn name_variants(schema: &mut Schema) {
    let Some(variants) = schema.get("oneOf").and_then(Value::as_array) else { return };
    let words: Vec<String> = variants
        .iter()
        .filter_map(|variant| {
            let word = variant.get("const").or_else(|| variant.get("enum")?.get(0))?.as_str()?;
            let meaning = variant.get("description")?.as_str()?;
            Some(format!("{word}: {meaning}"))
        })
        .collect();
    schema.insert(WORDS.to_owned(), words.join(" ").into());
}
