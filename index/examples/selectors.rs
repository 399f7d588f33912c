//! Prints random selectors, labels, and what this crate makes of them, for another implementation
//! to disagree with.
//!
//! In: nothing; the seed is fixed, so every run prints the same. Out: a JSON object per line, with
//! `text`, `object` or `set`, then `labels`, `accepted`, and for accepted ones `canonical` and
//! `matches`. It must not judge: some of what it makes up is no selector, and which is for others
//! to say.
//!
//! I/O: standard output.

use probelet_index::selector::{Error, Expression, Selector};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

const LINES: usize = 200_000;
const SEED: u64 = 0x5e1e_c702;

const OPERATORS: [&str; 8] = ["In", "NotIn", "Exists", "DoesNotExist", "in", "", "Gt", "Equals"];
/// What mutations insert and what soup is made of.
const PIECES: [&str; 30] = [
    "(", ")", ",", "!", "=", "==", "!=", ">", "<", " in ", " notin ", "in", "notin", " ", "\t",
    "\r\n", "\0", "\u{e9}", "\u{a0}", "\u{b}", "a", "b", "-", "/", ".", "_", "7", "\"", "\\", "()",
];
const KEYS: [&str; 8] =
    ["app", "tier", "in", "notin", "x", "app.kubernetes.io/name", "example.com/In", "1"];
const VALUES: [&str; 10] = ["", "a", "b", "in", "notin", "1", "7", "007", "A.b_c-d", "10"];

/// Keys and values that are long or wrong, in every way there is a rule about.
struct Odd {
    keys: Vec<String>,
    values: Vec<String>,
}

impl Odd {
    fn new() -> Self {
        let long = |len| "k".repeat(len);
        let dns = |len: usize| "abc.".repeat(len / 4 + 1)[..len].to_owned() + "z";
        let mut keys: Vec<String> = [63, 64, 253, 300].map(long).to_vec();
        for (prefix, name) in [(252, 63), (253, 63), (252, 64), (252, 47), (200, 99), (63, 1)] {
            keys.push(format!("{}/{}", dns(prefix), long(name)));
        }
        keys.push(format!("{}/n", long(100))); // a DNS label would end at 63
        let words = "-a a- _x x_ .a a. a/b/c /a a/ / // A.com/x a..b/c .a/b a./c -a.b/c a-.b/c a.-b/c \
             a_b/c a--b/c 9/9 a+b a*b a@b a:b a/b_ a/-b a/é é/b é x/In";
        keys.extend(words.split(' ').map(str::to_owned));
        let mut values: Vec<String> = [62, 63, 64, 300].map(long).to_vec();
        let words = "-1 +2 1_000 1e3 0x10 00 -0 9223372036854775807 9223372036854775808 \
             -9223372036854775808 99999999999999999999 a- -a _a a_ .a a. a/b a:b é a--b a..b 1.5 +";
        values.extend(words.split(' ').map(str::to_owned));
        values.extend([" 2".to_owned(), "0".repeat(62) + "3", "0".repeat(63) + "3"]);
        Self { keys, values }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap_or(0)
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, S: AsRef<str>>(&mut self, from: &'a [S]) -> &'a str {
        from[self.below(from.len())].as_ref()
    }

    fn key<'a>(&mut self, odd: &'a Odd) -> &'a str {
        if self.percent(8) { self.pick(&odd.keys) } else { self.pick(&KEYS) }
    }

    fn value<'a>(&mut self, odd: &'a Odd) -> &'a str {
        if self.percent(8) { self.pick(&odd.values) } else { self.pick(&VALUES) }
    }

    fn blank(&mut self) -> &'static str {
        if self.percent(80) { "" } else { self.pick(&[" ", "  ", "\t", "\r\n", " \n "]) }
    }
}

/// A term as text, and the labels that it would like to see.
fn term(random: &mut Random, odd: &Odd, wanted: &mut BTreeMap<String, String>) -> String {
    let (key, value) = (random.key(odd), random.value(odd));
    let mut blank = || random.blank();
    let (a, b, c) = (blank(), blank(), blank());
    let values: Vec<String> = (0..random.below(5))
        .map(|_| format!("{}{}{}", random.blank(), random.value(odd), random.blank()))
        .collect();
    let set = format!("({})", values.join(","));
    wanted.insert(key.to_owned(), values.first().map_or(value, |v| v.trim()).to_owned());
    match random.below(10) {
        0 => format!("{a}{key}{b}"),
        1 => format!("{a}!{b}{key}{c}"),
        2 | 3 => format!("{a}{key} in{b}{set}{c}"),
        4 => format!("{a}{key} notin{b}{set}{c}"),
        5 => format!("{a}{key}{b}!={c}{value}"),
        6 => format!("{a}{key}{b}=={c}{value}"),
        7 => format!("{a}{key}{b}>{c}{value}"),
        8 => format!("{a}{key}{b}<{c}{value}"),
        _ => {
            wanted.insert(key.to_owned(), value.to_owned());
            format!("{a}{key}{b}={c}{value}")
        }
    }
}

fn text(random: &mut Random, odd: &Odd, wanted: &mut BTreeMap<String, String>) -> String {
    if random.percent(10) {
        return (0..random.below(9)).map(|_| random.pick(&PIECES)).collect();
    }
    let terms: Vec<String> = (0..random.below(4)).map(|_| term(random, odd, wanted)).collect();
    let mut text: Vec<char> = terms.join(",").chars().collect();
    if random.percent(40) {
        for _ in 0..=random.below(2) {
            let at = random.below(text.len() + 1);
            match random.below(4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 if at < text.len() => text.insert(at, text[at]),
                2 => text.truncate(at),
                _ => drop(text.splice(at..at, random.pick(&PIECES).chars())),
            }
        }
    }
    text.into_iter().collect()
}

struct Owned {
    key: String,
    operator: &'static str,
    values: Vec<String>,
}

fn expression(random: &mut Random, odd: &Odd) -> Owned {
    let operator = {
        let known = if random.percent(10) { OPERATORS.len() } else { 4 };
        OPERATORS[random.below(known)]
    };
    let unary = operator.contains("Exist");
    let count = if unary == random.percent(5) { 1 + random.below(4) } else { 0 };
    let values = (0..count).map(|_| random.value(odd).to_owned()).collect();
    Owned { key: random.key(odd).to_owned(), operator, values }
}

/// A JSON string. Rust's own escapes are not those of JSON.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn map(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = map.iter().map(|(k, v)| quoted(k) + ":" + &quoted(v)).collect();
    format!("{{{}}}", pairs.join(","))
}

fn object(labels: &BTreeMap<String, String>, expressions: &[Owned]) -> String {
    let one = |Owned { key, operator, values }: &Owned| {
        let values: Vec<_> = values.iter().map(|v| quoted(v)).collect();
        let (key, operator, values) = (quoted(key), quoted(operator), values.join(","));
        format!(r#"{{"key":{key},"operator":{operator},"values":[{values}]}}"#)
    };
    let expressions: Vec<_> = expressions.iter().map(one).collect();
    let (labels, expressions) = (map(labels), expressions.join(","));
    format!(r#"{{"matchLabels":{labels},"matchExpressions":[{expressions}]}}"#)
}

fn labels(random: &mut Random, odd: &Odd, count: usize) -> BTreeMap<String, String> {
    (0..count).map(|_| (random.key(odd).to_owned(), random.value(odd).to_owned())).collect()
}

/// The start of a line, and the selector it speaks of.
fn case(
    random: &mut Random,
    odd: &Odd,
    wanted: &mut BTreeMap<String, String>,
) -> (String, Result<Selector, Error>) {
    match random.below(10) {
        0 => {
            let count = random.below(4);
            let set = labels(random, odd, count);
            wanted.extend(set.clone());
            (format!(r#""set":{}"#, map(&set)), Selector::from_labels(&set))
        }
        1..4 => {
            let count = random.below(3);
            let set = labels(random, odd, count);
            let expressions: Vec<_> =
                (0..random.below(4)).map(|_| expression(random, odd)).collect();
            wanted.extend(set.clone());
            wanted.extend(
                expressions.iter().filter_map(|e| Some((e.key.clone(), e.values.first()?.clone()))),
            );
            let borrowed = expressions.iter().map(|e| Expression {
                key: &e.key,
                operator: e.operator,
                values: &e.values,
            });
            let selector = Selector::from_requirements(&set, borrowed);
            (format!(r#""object":{}"#, object(&set, &expressions)), selector)
        }
        _ => {
            let text = text(random, odd, wanted);
            (format!(r#""text":{}"#, quoted(&text)), Selector::parse(&text))
        }
    }
}

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut random, odd) = (Random(SEED), Odd::new());
    for _ in 0..LINES {
        let mut wanted = BTreeMap::new();
        let (input, selector) = case(&mut random, &odd, &mut wanted);
        wanted.retain(|_, _| random.percent(75));
        let count = random.below(4);
        let mut labels = labels(&mut random, &odd, count);
        labels.extend(wanted);
        write!(out, "{{{input},\"labels\":{},\"accepted\":{}", map(&labels), selector.is_ok())?;
        if let Ok(selector) = selector {
            let (canonical, matches) = (quoted(&selector.to_string()), selector.matches(&labels));
            write!(out, r#","canonical":{canonical},"matches":{matches}"#)?;
        }
        writeln!(out, "}}")?;
    }
    out.flush()
}
