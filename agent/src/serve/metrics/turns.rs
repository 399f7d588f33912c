//! Turns: what several have, so that none of them takes the places of another.
//!
//! In: what each has, in its order. Out: the first of each, then the second of each, and so on. Pure: values only.

/// One of each in turn, until there are `most` or no more.
pub(super) fn in_turns<T>(
    all: impl IntoIterator<Item = impl IntoIterator<Item = T>>,
    most: usize,
) -> Vec<T> {
    let mut turns: Vec<_> = all.into_iter().map(IntoIterator::into_iter).collect();
    let mut order = Vec::new();
    while order.len() < most && !turns.is_empty() {
        turns.retain_mut(|turn| {
            let next = turn.next();
            let more = next.is_some();
            order.extend(next);
            more
        });
    }
    order.truncate(most);
    order
}
