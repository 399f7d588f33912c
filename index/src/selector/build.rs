//! Writes the blob of a selector.
//!
//! In: requirements in any order. Out: the canonical selector: sorted, values too, and nothing
//! twice. An ordinary selector is put together on the stack and costs one allocation; one that
//! arrives unsorted costs a few more. Text is checked by `parse` before it gets here, objects are
//! checked here.
//!
//! Pure: no I/O.

use super::requirement::{DIGIT_BITS, MORE, Op, Requirements};
use super::{Error, Expression, Place, Selector, valid};
use std::ops::Range;

/// Blobs up to this stand on the stack: twice a long selector of two labels with prefixes.
const STACK: usize = 256;

pub(super) struct Builder {
    stack: [u8; STACK],
    len: usize,
    /// Everything, once it has outgrown the stack.
    heap: Vec<u8>,
    last: Option<(Range<usize>, Op)>,
    unsorted: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self { stack: [0; STACK], len: 0, heap: Vec::new(), last: None, unsorted: false }
    }
}

impl Builder {
    /// Adds what is already checked.
    pub(super) fn add<S: AsRef<str>>(&mut self, key: &str, op: Op, values: &[S]) {
        if values.is_sorted_by(|a, b| a.as_ref() < b.as_ref()) {
            return self.write(key, op, values);
        }
        let mut sorted: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        sorted.sort_unstable();
        sorted.dedup();
        self.write(key, op, &sorted);
    }

    /// Checks and adds `key=value` for each pair; `path` is the field where they stand.
    pub(super) fn add_labels<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        path: &str,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), Error> {
        for (key, value) in labels {
            let (key, value) = (key.as_ref(), value.as_ref());
            let place = || Place::label(path, key);
            valid::key(key).map_err(|fault| Error::key(place(), key, fault))?;
            valid::value(value).map_err(|fault| Error::value(place(), value, fault))?;
            self.add(key, Op::In, &[value]);
        }
        Ok(())
    }

    /// Checks and adds an entry of `matchExpressions`.
    pub(super) fn add_expression<S: AsRef<str>>(
        &mut self,
        index: usize,
        expression: &Expression<'_, S>,
    ) -> Result<(), Error> {
        let &Expression { key, operator, values } = expression;
        let place = |field: &str| Place::expression(index, field);
        let op = match operator {
            "In" => Op::In,
            "NotIn" => Op::NotIn,
            "Exists" => Op::Exists,
            "DoesNotExist" => Op::DoesNotExist,
            _ => return Err(Error::operator(place("operator"), operator)),
        };
        valid::key(key).map_err(|fault| Error::key(place("key"), key, fault))?;
        match (op, values) {
            (Op::In | Op::NotIn, []) => return Err(Error::NoValues { at: place("values"), op }),
            (Op::Exists | Op::DoesNotExist, [_, ..]) => {
                return Err(Error::Values { at: place("values"), op });
            }
            _ => {}
        }
        for (i, value) in values.iter().map(AsRef::as_ref).enumerate() {
            valid::value(value)
                .map_err(|fault| Error::value(place(&format!("values[{i}]")), value, fault))?;
        }
        self.add(key, op, values);
        Ok(())
    }

    pub(super) fn finish(self) -> Selector {
        let blob = std::str::from_utf8(self.written()).expect("checked keys and values are ASCII");
        if !self.unsorted {
            return Selector { blob: blob.into() };
        }
        let mut requirements: Vec<_> = Requirements::of(blob).collect();
        requirements.sort_unstable_by(|a, b| {
            let order = a.key.cmp(b.key).then(a.op.cmp(&b.op));
            order.then_with(|| a.values.clone().cmp(b.values.clone()))
        });
        requirements.dedup_by_key(|requirement| requirement.encoded);
        let mut sorted = String::with_capacity(blob.len());
        sorted.extend(requirements.iter().map(|requirement| requirement.encoded));
        Selector { blob: sorted.into() }
    }

    fn write<S: AsRef<str>>(&mut self, key: &str, op: Op, values: &[S]) {
        self.unsorted |= self.last.as_ref().is_some_and(|(last, last_op)| {
            (&self.written()[last.clone()], *last_op) >= (key.as_bytes(), op)
        });
        self.push(&[op as u8]);
        self.push_number(key.len());
        self.push_number(values.len());
        let start = self.written().len();
        self.push(key.as_bytes());
        self.last = Some((start..start + key.len(), op));
        for value in values.iter().map(AsRef::as_ref) {
            self.push_number(value.len());
            self.push(value.as_bytes());
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "masked to the bits of one digit")]
    fn push_number(&mut self, mut number: usize) {
        while number >= usize::from(MORE) {
            self.push(&[number as u8 & (MORE - 1) | MORE]);
            number >>= DIGIT_BITS;
        }
        self.push(&[number as u8]);
    }

    fn push(&mut self, bytes: &[u8]) {
        if !self.heap.is_empty() {
            return self.heap.extend_from_slice(bytes);
        }
        let end = self.len + bytes.len();
        if let Some(room) = self.stack.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        } else {
            self.heap.reserve(2 * end);
            self.heap.extend_from_slice(&self.stack[..self.len]);
            self.heap.extend_from_slice(bytes);
        }
    }

    fn written(&self) -> &[u8] {
        if self.heap.is_empty() { &self.stack[..self.len] } else { &self.heap }
    }
}
