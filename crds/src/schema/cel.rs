//! Pieces of CEL, the language of the rules in a definition.
//!
//! In: fields and bounds. Out: rules with the message that a person gets who breaks one: the same that the Rust rules
//! say. Pure: text.

use serde_json::{Value, json};

use crate::Interval;

/// What a length of time looks like.
const TIME: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// What an amount of CPU looks like: only the suffixes that make sense for one.
const CPU: &str = "^[0-9]*[.]?[0-9]*(m|u|n|[eE][-+]?[0-9]+)?$";

/// A rule with its message, an expression too.
pub(super) fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "messageExpression": message})
}

/// The same with a fixed message.
pub(super) fn plain(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}

/// The rule is on the object, the mistake in one of its fields.
pub(super) fn in_field(mut rule: Value, field: &str, reason: &str) -> Value {
    rule["fieldPath"] = format!(".{field}").into();
    rule["reason"] = reason.into();
    rule
}

/// A text as CEL writes one.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The value of a text field in quotes, then `rest`.
fn quoted(field: &str, rest: &str) -> String {
    format!(r#"'"' + {field} + {}"#, text(&format!("\" {rest}")))
}

/// A string meets `condition`, else it "is what it should not be".
pub(super) fn string(condition: &str, rest: &str) -> Value {
    rule(condition, &quoted("self", rest))
}

pub(super) fn is_time(field: &str) -> String {
    format!("{field}.matches({})", text(TIME))
}

/// A length of time within its bounds.
pub(super) fn time(low: Interval, high: Interval) -> Value {
    let (is_time, form) =
        (is_time("self"), "is not a length of time; write it like 500ms, 1s or 1m30s");
    let small = quoted("self", &format!("is too small; give at least {low}"));
    let large = quoted("self", &format!("is too large; give at most {high}"));
    json!([
        string(&is_time, form),
        rule(&format!("!{is_time} || duration(self) >= duration('{low}')"), &small,),
        rule(&format!("!{is_time} || duration(self) <= duration('{high}')"), &large,),
    ])
}

/// `longer` is not shorter than `shorter`, both paths below the object of the rule; `name` is how the message calls
/// the shorter one.
pub(super) fn at_least_as_long(longer: &str, shorter: &str, name: &str) -> Value {
    let (a, b) = (format!("self.{longer}"), format!("self.{shorter}"));
    let condition =
        format!("!{} || !{} || duration({a}) >= duration({b})", is_time(&a), is_time(&b));
    let message = format!(
        "{} + {b} + {}",
        quoted(&a, "is too short; give at least "),
        text(&format!(", as {name}"))
    );
    in_field(rule(&condition, &message), longer, "FieldValueInvalid")
}

/// An amount of CPU between two numbers of millicores: a whole number or text.
pub(super) fn cpu(low: u64, high: u64) -> Value {
    // Text is shown as text, a number as a number.
    let shown = r#"(self == string(self) ? '"' + string(self) + '"' : string(self))"#;
    let refusal = |rest: String| format!("{shown} + {}", text(&rest));
    let is_cpu = format!("(string(self).matches({}) && isQuantity(string(self)))", text(CPU));
    let amount = |millicores: u64| crate::CpuQuantity::from_millicores(millicores);
    let compare = |with| format!("quantity(string(self)).compareTo(quantity('{}'))", amount(with));
    json!([
        rule(
            &is_cpu,
            &refusal(" is not an amount of CPU; write it like 5m, 0.005 or 1".to_owned())
        ),
        rule(
            &format!("!{is_cpu} || {} >= 0", compare(low)),
            &refusal(format!(" is too small; give at least {}", amount(low))),
        ),
        rule(
            &format!("!{is_cpu} || {} <= 0", compare(high)),
            &refusal(format!(" is too large; give at most {}", amount(high))),
        ),
    ])
}
