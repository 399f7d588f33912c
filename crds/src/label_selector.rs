//! Which nodes a configuration is for: the label selector of Kubernetes' own API, as people write it.
//!
//! In and out: the wire form only. It must not match anything: that is the work of the core crate's selectors.
//! Pure: data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A label query: all of `matchLabels` and all of `matchExpressions` must hold. An empty selector matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that a node must carry, each with exactly this value. At most 64 together with `matchExpressions`, default
    /// none.
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels that a plain value cannot say; all of them must hold. Default none.
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelectorRequirement {
    /// Name of the label, such as `kubernetes.io/arch`. At most 317 letters.
    pub key: String,
    /// How the label's value relates to `values`.
    pub operator: LabelSelectorOperator,
    /// The values to compare with: at least one for `In` and `NotIn`, none for `Exists` and
    /// `DoesNotExist`. At most 64 of at most 63 letters, default none.
    #[serde(default)]
    pub values: Vec<String>,
}

/// How a label relates to the values of its condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum LabelSelectorOperator {
    /// The label is there with one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there, whatever its value.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelectorOperator {
    /// The word in the object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }
}
