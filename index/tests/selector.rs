//! Selectors against tables written from the Kubernetes documentation: what the text grammar
//! accepts and what it makes of it, what matches, what is refused and where.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_index::selector::{Error, Expression, Op, Place, Selector};
use std::collections::BTreeMap;

/// Key, operator and values of an entry of `matchExpressions`.
type Entry<'a> = (&'a str, &'a str, &'a [&'a str]);

fn parse(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn object(expressions: &[Entry<'_>]) -> Result<Selector, Error> {
    let expressions =
        expressions.iter().map(|&(key, operator, values)| Expression { key, operator, values });
    Selector::from_requirements(BTreeMap::<String, String>::new(), expressions)
}

#[test]
fn text_has_one_canonical_form() {
    let table = [
        ("", ""),
        (" \t\r\n", ""),
        ("x=a", "x=a"),
        ("x==a", "x=a"),
        ("x in (a)", "x=a"),
        ("x in (a,a)", "x=a"),
        ("x!=a", "x!=a"),
        ("x notin (a)", "x!=a"),
        ("x", "x"),
        ("!x", "!x"),
        ("! x", "!x"),
        ("x>1", "x>1"),
        ("x<007", "x<007"),
        ("x=", "x="),
        ("x=,y", "x=,y"),
        ("x!=", "x!="),
        ("x in ()", "x="),
        ("x in (,)", "x="),
        ("x notin ()", "x!="),
        ("x in (a,,b)", "x in (,a,b)"),
        ("x in (b,)", "x in (,b)"),
        ("x in (,b)", "x in (,b)"),
        ("x in (c,a,b,a)", "x in (a,b,c)"),
        ("x in(a)", "x=a"),
        ("\tx\r\nin\n( a ,\r\n b )\n", "x in (a,b)"),
        ("y=1,x=2", "x=2,y=1"),
        ("x=2,x=2", "x=2"),
        ("!x,x!=b,x,x=a", "x=a,x!=b,x,!x"),
        ("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z!="),
        ("environment in (production, qa)", "environment in (production,qa)"),
        ("partition,environment notin (qa)", "environment!=qa,partition"),
        ("example.com/Name=v1.0_a-B", "example.com/Name=v1.0_a-B"),
    ];
    for (text, canonical) in table {
        assert_eq!(parse(text).to_string(), canonical, "{text:?}");
        assert_eq!(parse(canonical), parse(text), "{text:?}");
    }
}

#[test]
fn operators_made_of_letters_are_also_keys_and_values() {
    let table = [
        ("in", "in"),
        ("!notin", "!notin"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin notin (notin)", "notin!=notin"),
        ("in=notin", "in=notin"),
        ("inn=a", "inn=a"),
    ];
    for (text, canonical) in table {
        assert_eq!(parse(text).to_string(), canonical, "{text:?}");
    }
}

#[test]
fn nul_ends_a_word_or_operator_and_between_them_the_text() {
    let table = [("\0x", ""), ("x \0,y", "x"), ("x\0", "x"), ("x\0=a", "x=a"), ("x=\0a", "x=a")];
    for (text, canonical) in table {
        assert_eq!(parse(text).to_string(), canonical, "{text:?}");
    }
}

#[test]
fn labels_match_as_documented() {
    // No label, an empty one, and values that are and are not named.
    let labels: [&[(&str, &str)]; 4] = [&[], &[("x", "")], &[("x", "a")], &[("x", "b")]];
    let table = [
        ("", [true, true, true, true]),
        ("x", [false, true, true, true]),
        ("!x", [true, false, false, false]),
        ("x=a", [false, false, true, false]),
        ("x!=a", [true, true, false, true]),
        ("x=", [false, true, false, false]),
        ("x in ()", [false, true, false, false]),
        ("x!=", [true, false, true, true]),
        ("x notin ()", [true, false, true, true]),
        ("x in (a,b)", [false, false, true, true]),
        ("x notin (a,b)", [true, true, false, false]),
        ("x,x!=a", [false, true, false, true]),
        ("x=a,x=b", [false, false, false, false]),
        ("x!=a,x!=b", [true, true, false, false]),
        ("X=a", [false, false, false, false]),
        ("x=A", [false, false, false, false]),
    ];
    for (text, expected) in table {
        for (labels, expected) in labels.iter().zip(expected) {
            assert_eq!(parse(text).matches(*labels), expected, "{text:?} on {labels:?}");
        }
    }
}

#[test]
fn greater_and_less_compare_64_bit_integers_and_nothing_else() {
    let table = [
        ("x>1", "2", true),
        ("x>1", "1", false),
        ("x<1", "0", true),
        ("x<1", "1", false),
        ("x>1", "+2", true),
        ("x>1", "002", true),
        ("x>001", "2", true),
        ("x<1", "-1", true),
        ("x>1", " 2", false),
        ("x>1", "1e3", false),
        ("x>1", "1_000", false),
        ("x>1", "", false),
        ("x>1", "b", false),
        ("x<1", "b", false),
        ("x>9223372036854775806", "9223372036854775807", true),
        ("x>1", "9223372036854775808", false),
        ("x>1,x<4", "3", true),
        ("x>1,x<4", "4", false),
    ];
    for (text, value, expected) in table {
        assert_eq!(parse(text).matches(&[("x", value)][..]), expected, "{text:?} on {value:?}");
    }
    assert!(!parse("x>1").matches(&BTreeMap::<String, String>::new()));
}

#[test]
fn refused_text_is_named_with_its_place() {
    let table = [
        ("x==a==b", "byte 4: found \"==\", expected ',' or the end"),
        ("!x=a", "byte 2: found \"=\", expected ',' or the end"),
        ("a in (b),", "byte 9: found the end, expected a key or '!'"),
        (",x", "byte 0: found \",\", expected a key or '!'"),
        ("x,,y", "byte 2: found \",\", expected a key or '!'"),
        ("!", "byte 1: found the end, expected a key"),
        ("!!x", "byte 1: found \"!\", expected a key"),
        ("x y", "byte 2: found \"y\", expected '=', '==', '!=', 'in', 'notin', '>' or '<'"),
        ("x in a", "byte 5: found \"a\", expected '('"),
        ("x in", "byte 4: found the end, expected '('"),
        ("x in (a b)", "byte 8: found \"b\", expected ',' or ')'"),
        ("x in (a", "byte 7: found the end, expected ',' or ')'"),
        ("x in (a,", "byte 8: found the end, expected a value, ',' or ')'"),
        ("x in (=)", "byte 6: found \"=\", expected a value, ',' or ')'"),
        ("x=(a)", "byte 2: found \"(\", expected a value"),
        ("x=!a", "byte 2: found \"!\", expected a value"),
        ("x!a", "byte 1: found \"!\", expected '=', '==', '!=', 'in', 'notin', '>' or '<'"),
        ("x>", "byte 2: value \"\" must be a 64-bit integer for operator Gt"),
        ("x<a", "byte 2: value \"a\" must be a 64-bit integer for operator Lt"),
        (
            "x>9223372036854775808",
            "byte 2: value \"9223372036854775808\" must be a 64-bit integer for operator Gt",
        ),
        ("y, a/b/c", "byte 3: key \"a/b/c\" has more than one '/'"),
        ("/a", "byte 0: key \"/a\" has an empty prefix"),
        ("a/", "byte 0: key \"a/\" has an empty name"),
        (
            "A.com/x",
            "byte 0: key \"A.com/x\" has a prefix that is not a DNS subdomain in lower case",
        ),
    ];
    for (text, message) in table {
        assert_eq!(Selector::parse(text).unwrap_err().to_string(), message, "{text:?}");
    }
}

#[test]
fn words_of_other_characters_are_refused() {
    for key in ["-a", "a-", "_a", "a.", "é", "a:b", "a\u{a0}", "a..b/c", "-a/c", "a-.b/c", "a_b/c"]
    {
        let refused = Selector::parse(key);
        assert!(matches!(refused, Err(Error::Key { at: Place::Byte(0), .. })), "{key:?}");
    }
    // A sign is no letter: a negative number cannot be written, only worn by a label.
    for value in ["-a", "a-", ".", "é", "a/b", "a:b", "-1", "+1"] {
        let refused = Selector::parse(&format!("x={value}"));
        assert!(matches!(refused, Err(Error::Value { at: Place::Byte(2), .. })), "{value:?}");
    }
}

#[test]
fn lengths_end_where_the_api_ends_them() {
    let name = |len| "n".repeat(len);
    let prefix = |len| "p".repeat(len);
    let accepted = |text: String| Selector::parse(&text).is_ok();

    assert!(accepted(name(63)) && !accepted(name(64)));
    assert!(accepted(format!("x={}", name(63))) && !accepted(format!("x={}", name(64))));
    assert!(accepted(format!("{}/{}", prefix(253), name(63))));
    assert!(!accepted(format!("{}/{}", prefix(254), name(63))));
    assert!(!accepted(format!("{}/{}", prefix(253), name(64))));
    assert!(!accepted(name(300)));
}

#[test]
fn a_key_of_317_bytes_keeps_all_of_them() {
    let key = format!("{}/{}", "p".repeat(253), "n".repeat(63));
    let almost = format!("{}/{}", "p".repeat(253), "n".repeat(62));

    let selector = parse(&format!("{key}=a"));

    assert_eq!(selector.requirements().next().unwrap().key, key);
    assert!(selector.matches(&[(key.as_str(), "a")][..]));
    assert!(!selector.matches(&[(almost.as_str(), "a")][..]));
}

#[test]
fn a_set_of_thousands_of_values_keeps_all_of_them() {
    let values: Vec<String> = (0..5000).rev().map(|i| format!("v{i:04}")).collect();

    let selector = parse(&format!("x in ({}),y", values.join(",")));

    let requirement = selector.requirements().next().unwrap();
    assert_eq!(requirement.values.len(), 5000);
    assert_eq!(requirement.values.clone().last(), Some("v4999"));
    assert!(requirement.values.eq(values.iter().rev()));
    assert_eq!(selector.requirements().last().map(|r| (r.key, r.op)), Some(("y", Op::Exists)));
}

#[test]
fn objects_say_the_same_as_text() {
    let mut labels = BTreeMap::new();
    labels.insert("tier", "web");
    let expressions = [
        Expression { key: "app", operator: "In", values: &["b", "a"] },
        Expression { key: "env", operator: "NotIn", values: &["test"] },
        Expression { key: "zone", operator: "Exists", values: &[] },
        Expression { key: "old", operator: "DoesNotExist", values: &[] },
    ];

    let selector = Selector::from_requirements(labels.clone(), expressions).unwrap();

    assert_eq!(selector, parse("app in (a,b),env!=test,!old,tier=web,zone"));
    assert_eq!(Selector::from_labels(labels).unwrap(), parse("tier=web"));
}

#[test]
fn refused_objects_are_named_with_their_field() {
    let message =
        |expression| object(&[("ok", "Exists", &[]), expression]).unwrap_err().to_string();

    let table: [(Entry<'_>, &str); 9] = [
        (("x", "In", &[]), "matchExpressions[1].values: must not be empty for operator In"),
        (("x", "NotIn", &[]), "matchExpressions[1].values: must not be empty for operator NotIn"),
        (("x", "Exists", &["a"]), "matchExpressions[1].values: must be empty for operator Exists"),
        (
            ("x", "DoesNotExist", &[""]),
            "matchExpressions[1].values: must be empty for operator DoesNotExist",
        ),
        (
            ("x", "Gt", &["1"]),
            "matchExpressions[1].operator: \"Gt\" is none of In, NotIn, Exists, DoesNotExist",
        ),
        (
            ("x", "in", &["1"]),
            "matchExpressions[1].operator: \"in\" is none of In, NotIn, Exists, DoesNotExist",
        ),
        (("", "Exists", &[]), "matchExpressions[1].key: key \"\" has an empty name"),
        (
            ("x", "In", &["a", "b/c"]),
            "matchExpressions[1].values[1]: value \"b/c\" is not of letters, digits, '-', '_' and '.', \
             with a letter or digit at both ends",
        ),
        (("a/b/c", "Exists", &[]), "matchExpressions[1].key: key \"a/b/c\" has more than one '/'"),
    ];
    for (expression, expected) in table {
        assert_eq!(message(expression), expected);
    }
    let refused = Selector::from_labels([("x/y/z", "a")]).unwrap_err();
    assert_eq!(refused.to_string(), "selector[x/y/z]: key \"x/y/z\" has more than one '/'");
}

#[test]
fn an_error_does_not_repeat_a_stranger_without_end() {
    let refused = Selector::parse(&"é".repeat(100_000)).unwrap_err();

    assert!(refused.to_string().len() < 400, "{refused}");
}

#[test]
fn an_empty_selector_is_everything_and_not_nothing() {
    let none = BTreeMap::<String, String>::new();

    assert_eq!(Selector::from_labels(&none).unwrap(), Selector::everything());
    assert_eq!(object(&[]).unwrap(), Selector::everything());
    assert!(Selector::everything().is_empty() && Selector::everything().matches(&none));
    assert!(!parse("!x").is_empty());
}

#[test]
fn an_ordinary_selector_is_small() {
    let selector =
        parse("app.kubernetes.io/name=checkout-frontend,app.kubernetes.io/instance=production");

    assert!(selector.heap_bytes() < 100, "{}", selector.heap_bytes());
    assert_eq!(size_of::<Selector>(), 16);
    assert_eq!(Selector::everything().heap_bytes(), 0);
}
