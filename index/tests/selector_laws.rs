//! Laws of selectors: canonical text reads back as the same selector, the way it was written does
//! not matter, text and object form agree, and no text makes the parser panic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_index::selector::{Expression, Op, Selector};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Few keys and values, so that requirements meet labels and each other.
const KEYS: [&str; 6] = [
    "app",
    "tier",
    "in",
    "notin",
    "app.kubernetes.io/name",
    "a-prefix.of.some-length.example.com/x",
];
const VALUES: [&str; 8] = ["", "a", "b", "in", "notin", "7", "08", "-3"];

#[derive(Clone, Debug)]
struct Term {
    key: &'static str,
    op: Op,
    values: Vec<&'static str>,
}

fn value() -> impl Strategy<Value = &'static str> {
    // The last one no selector may name: only a label that was never checked has it.
    proptest::sample::select(&VALUES[..7])
}

fn op() -> impl Strategy<Value = Op> {
    proptest::sample::select(vec![Op::In, Op::NotIn, Op::Exists, Op::DoesNotExist])
}

fn term() -> impl Strategy<Value = Term> {
    let values = proptest::collection::vec(value(), 1..5);
    (proptest::sample::select(&KEYS[..]), op(), values).prop_map(|(key, op, mut values)| {
        if matches!(op, Op::Exists | Op::DoesNotExist) {
            values.clear();
        }
        Term { key, op, values }
    })
}

fn terms() -> impl Strategy<Value = Vec<Term>> {
    proptest::collection::vec(term(), 0..6)
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let value = proptest::sample::select(&VALUES[..]).prop_map(str::to_owned);
    proptest::collection::btree_map(
        proptest::sample::select(&KEYS[..]).prop_map(str::to_owned),
        value,
        0..6,
    )
}

fn text(terms: &[Term]) -> String {
    let one = |term: &Term| {
        let (key, values) = (term.key, term.values.join(" , "));
        match term.op {
            Op::Exists => key.to_owned(),
            Op::DoesNotExist => format!("! {key}"),
            Op::In => format!("{key} in ({values})"),
            _ => format!("{key}\tnotin\r\n({values})"),
        }
    };
    terms.iter().map(one).collect::<Vec<_>>().join(" ,")
}

fn object(terms: &[Term]) -> Selector {
    let names: Vec<_> = terms.iter().map(|term| term.op.to_string()).collect();
    let expressions = terms.iter().zip(&names).map(|(term, operator)| Expression {
        key: term.key,
        operator,
        values: &term.values,
    });
    Selector::from_requirements(BTreeMap::<String, String>::new(), expressions).unwrap()
}

/// What the documentation says, in the simplest words.
fn holds(term: &Term, labels: &BTreeMap<String, String>) -> bool {
    match (term.op, labels.get(term.key)) {
        (Op::In, value) => value.is_some_and(|v| term.values.contains(&v.as_str())),
        (Op::NotIn, value) => !value.is_some_and(|v| term.values.contains(&v.as_str())),
        (Op::Exists, value) => value.is_some(),
        (_, value) => value.is_none(),
    }
}

proptest! {
    #[test]
    fn canonical_text_reads_back_as_the_same_selector(terms in terms()) {
        let selector = object(&terms);

        prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
    }

    #[test]
    fn text_and_object_of_the_same_terms_are_one_selector(terms in terms()) {
        prop_assert_eq!(Selector::parse(&text(&terms)).unwrap(), object(&terms));
    }

    #[test]
    fn order_and_repetition_make_no_difference(
        (terms, shuffled) in terms().prop_flat_map(|t| (Just(t.clone()), Just(t).prop_shuffle())),
    ) {
        let mut repeated: Vec<Term> = shuffled.iter().chain(&shuffled).cloned().collect();
        for term in &mut repeated {
            term.values = term.values.iter().rev().chain(&term.values).copied().collect();
        }

        let (one, other) = (object(&terms), object(&repeated));

        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.to_string(), other.to_string());
    }

    #[test]
    fn a_selector_matches_where_each_term_holds(terms in terms(), labels in labels()) {
        let expected = terms.iter().all(|term| holds(term, &labels));
        let sorted: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (&**k, &**v)).collect();

        let selector = object(&terms);

        prop_assert_eq!(selector.matches(&labels), expected);
        prop_assert_eq!(selector.matches(&sorted[..]), expected);
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_accepts_reads_back(
        text in "([a-z0-9.=!<>(), \t\u{0}\u{e9}/-]|in|notin|,| in \\(|x=a){0,12}",
    ) {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
        }
    }

    #[test]
    fn requirements_come_sorted_and_their_values_too(terms in terms()) {
        let selector = object(&terms);

        let requirements: Vec<_> = selector
            .requirements()
            .map(|r| (r.key, r.op, r.values.collect::<Vec<_>>()))
            .collect();

        prop_assert!(requirements.is_sorted_by(|a, b| a < b));
        for (_, _, values) in &requirements {
            prop_assert!(values.is_sorted_by(|a, b| a < b));
        }
    }
}
