//! Reads the text form of a selector.
//!
//! In: text in the grammar of Kubernetes' `labels.Parse`. Out: the selector, or the byte and the
//! word where the grammar or a rule for keys and values is broken. The grammar has corners:
//! `in` and `notin` are words where a key or value may stand; a missing value is the empty one
//! (`a=`, `a in ()`, `a in (b,)`); `a==b` is `a=b`.
//!
//! Pure: no I/O.

use super::build::Builder;
use super::requirement::{Op, integer};
use super::{Error, Place, Selector, valid};

const NONE: &[&str] = &[];

pub(super) fn parse(text: &str) -> Result<Selector, Error> {
    let mut parser = Parser::new(text);
    let mut out = Builder::default();
    if parser.ahead.kind == Kind::End {
        return Ok(out.finish());
    }
    loop {
        parser.requirement(&mut out)?;
        let token = parser.next();
        match token.kind {
            Kind::End => return Ok(out.finish()),
            Kind::Comma => {}
            _ => return Err(token.unexpected("',' or the end")),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    End,
    Word,
    In,
    NotIn,
    Bang,
    Equal,
    NotEqual,
    Greater,
    Less,
    Comma,
    Open,
    Close,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    at: usize,
    text: &'a str,
}

impl Token<'_> {
    /// Whether it may be a key or a value.
    const fn is_word(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::In | Kind::NotIn)
    }

    const fn ends_requirement(&self) -> bool {
        matches!(self.kind, Kind::Comma | Kind::End)
    }

    fn unexpected(&self, expected: &'static str) -> Error {
        let found = (self.kind != Kind::End).then_some(self.text);
        Error::syntax(self.at, found, expected)
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Where the token after `ahead` begins, white space included.
    pos: usize,
    ahead: Token<'a>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut parser = Self { text, pos: 0, ahead: Token { kind: Kind::End, at: 0, text: "" } };
        parser.ahead = parser.lex();
        parser
    }

    fn next(&mut self) -> Token<'a> {
        let ahead = self.lex();
        std::mem::replace(&mut self.ahead, ahead)
    }

    fn requirement(&mut self, out: &mut Builder) -> Result<(), Error> {
        let mut token = self.next();
        let absent = token.kind == Kind::Bang;
        if absent {
            token = self.next();
        }
        if !token.is_word() {
            return Err(token.unexpected(if absent { "a key" } else { "a key or '!'" }));
        }
        let key = token.text;
        valid::key(key).map_err(|fault| Error::key(Place::Byte(token.at), key, fault))?;
        if absent {
            out.add(key, Op::DoesNotExist, NONE);
        } else if self.ahead.ends_requirement() {
            out.add(key, Op::Exists, NONE);
        } else {
            self.restriction(key, out)?;
        }
        Ok(())
    }

    fn restriction(&mut self, key: &str, out: &mut Builder) -> Result<(), Error> {
        let operator = self.next();
        match operator.kind {
            Kind::In => out.add(key, Op::In, &self.set()?),
            Kind::NotIn => out.add(key, Op::NotIn, &self.set()?),
            Kind::Equal => out.add(key, Op::In, &[self.exact()?.text]),
            Kind::NotEqual => out.add(key, Op::NotIn, &[self.exact()?.text]),
            Kind::Greater => out.add(key, Op::GreaterThan, &[self.number(Op::GreaterThan)?]),
            Kind::Less => out.add(key, Op::LessThan, &[self.number(Op::LessThan)?]),
            _ => return Err(operator.unexpected("'=', '==', '!=', 'in', 'notin', '>' or '<'")),
        }
        Ok(())
    }

    /// The value after `=` and its like, which may be missing.
    fn exact(&mut self) -> Result<Token<'a>, Error> {
        if self.ahead.ends_requirement() {
            return Ok(Token { kind: Kind::Word, at: self.ahead.at, text: "" });
        }
        let token = self.next();
        checked(token, "a value")
    }

    fn number(&mut self, op: Op) -> Result<&'a str, Error> {
        let token = self.exact()?;
        let fault = || Error::number(Place::Byte(token.at), token.text, op);
        integer(token.text).map(|_| token.text).ok_or_else(fault)
    }

    /// The values between parentheses. A comma has a value on both sides, if only the empty one.
    fn set(&mut self) -> Result<Vec<&'a str>, Error> {
        let open = self.next();
        if open.kind != Kind::Open {
            return Err(open.unexpected("'('"));
        }
        let mut values = Vec::new();
        loop {
            if matches!(self.ahead.kind, Kind::Comma | Kind::Close) {
                values.push("");
            } else {
                let token = self.next();
                values.push(checked(token, "a value, ',' or ')'")?.text);
            }
            let token = self.next();
            match token.kind {
                Kind::Close => return Ok(values),
                Kind::Comma => {}
                _ => return Err(token.unexpected("',' or ')'")),
            }
        }
    }

    fn lex(&mut self) -> Token<'a> {
        let bytes = self.text.as_bytes();
        let rest = &bytes[self.pos..];
        let blank = rest.iter().take_while(|c| is_blank(**c)).count();
        let at = self.pos + blank;
        let (kind, len) = match rest[blank..] {
            [] | [0, ..] => return Token { kind: Kind::End, at, text: "" },
            [b'=', b'=', ..] => (Kind::Equal, 2),
            [b'=', ..] => (Kind::Equal, 1),
            [b'!', b'=', ..] => (Kind::NotEqual, 2),
            [b'!', ..] => (Kind::Bang, 1),
            [b'>', ..] => (Kind::Greater, 1),
            [b'<', ..] => (Kind::Less, 1),
            [b',', ..] => (Kind::Comma, 1),
            [b'(', ..] => (Kind::Open, 1),
            [b')', ..] => (Kind::Close, 1),
            [..] => {
                let ends = |c: &u8| *c == 0 || is_blank(*c) || is_symbol(*c);
                let word = &rest[blank..];
                let len = word.iter().position(ends).unwrap_or(word.len());
                let kind = match &word[..len] {
                    b"in" => Kind::In,
                    b"notin" => Kind::NotIn,
                    _ => Kind::Word,
                };
                (kind, len)
            }
        };
        // A NUL that ends a token is taken with it.
        self.pos = at + len + usize::from(bytes.get(at + len) == Some(&0));
        Token { kind, at, text: &self.text[at..at + len] }
    }
}

fn checked<'a>(token: Token<'a>, expected: &'static str) -> Result<Token<'a>, Error> {
    if !token.is_word() {
        return Err(token.unexpected(expected));
    }
    let fault = |fault| Error::value(Place::Byte(token.at), token.text, fault);
    valid::value(token.text).map_err(fault)?;
    Ok(token)
}

const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\r' | b'\n')
}

const fn is_symbol(c: u8) -> bool {
    matches!(c, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}
