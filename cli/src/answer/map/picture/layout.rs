//! Where ends stand in a picture: in columns, openers to the left of those they call.
//!
//! In: ends and edges. Out: a place for each end. Circles are cut where a walk from the left meets itself; within a column
//! an end stands near those who call it. Pure: values only.

use super::super::Edge;

const WIDE: i64 = 7;
const HIGH: i64 = 40;
const GAP: (i64, i64) = (110, 28);
const MARGIN: i64 = 30;
/// Walks over all edges; a longer chain than this would leave no readable picture.
const COLUMNS: usize = 16;

/// A box.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) w: i64,
    pub(super) h: i64,
}

/// All boxes.
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) width: i64,
    pub(super) height: i64,
}

/// Places for ends that are sorted.
pub(super) fn layout(ends: &[&str], edges: &[Edge]) -> Layout {
    let at = |end: &str| ends.binary_search(&end).ok();
    let pairs: Vec<(usize, usize)> =
        edges.iter().filter_map(|edge| Some((at(&edge.from)?, at(&edge.to)?))).collect();
    let forward = without_circles(ends.len(), &pairs);
    let mut columns = vec![0_usize; ends.len()];
    for _ in 0..COLUMNS.min(ends.len()) {
        for &(from, to) in &forward {
            columns[to] = columns[to].max((columns[from] + 1).min(COLUMNS));
        }
    }
    let last = columns.iter().max().copied().unwrap_or(0);
    let mut places = vec![Place::default(); ends.len()];
    let (mut x, mut height) = (MARGIN, 0);
    for column in 0..=last {
        let mut inside: Vec<usize> =
            (0..ends.len()).filter(|&end| columns[end] == column).collect();
        let near = |end: usize| -> i64 {
            let callers =
                || forward.iter().filter(|(_, to)| *to == end).map(|(from, _)| places[*from].y);
            let count = i64::try_from(callers().count()).unwrap_or(1).max(1);
            callers().sum::<i64>() / count
        };
        let keys: Vec<i64> = (0..ends.len()).map(near).collect();
        inside.sort_by_key(|&end| (keys[end], ends[end]));
        let letters = inside.iter().map(|&end| super::short(ends[end]).chars().count()).max();
        let w = i64::try_from(letters.unwrap_or(0)).unwrap_or(0).max(8) * WIDE + 20;
        let mut y = MARGIN;
        for end in inside {
            places[end] = Place { x, y, w, h: HIGH };
            y += HIGH + GAP.1;
        }
        height = height.max(y);
        x += w + GAP.0;
    }
    Layout { places, width: x - GAP.0 + MARGIN, height: height + MARGIN }
}

/// The edges that lead on; those that lead back to an end from which the walk came are left out.
fn without_circles(count: usize, pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut next = vec![Vec::new(); count];
    let mut called = vec![false; count];
    for &(from, to) in pairs {
        next[from].push(to);
        called[to] |= from != to;
    }
    let mut state = vec![0_u8; count];
    let mut forward = Vec::new();
    let mut roots: Vec<usize> = (0..count).collect();
    roots.sort_by_key(|&end| called[end]);
    for root in roots {
        if state[root] != 0 {
            continue;
        }
        let mut way = vec![(root, 0)];
        state[root] = 1;
        while let Some((end, done)) = way.last_mut() {
            let Some(&to) = next[*end].get(*done) else {
                state[*end] = 2;
                way.pop();
                continue;
            };
            *done += 1;
            if state[to] != 1 {
                forward.push((*end, to));
            }
            if state[to] == 0 {
                state[to] = 1;
                way.push((to, 0));
            }
        }
    }
    forward
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_stand_left_of_whom_they_call() {
        let edge = |from: &str, to: &str| Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            ..Edge::default()
        };
        let ends = ["api", "batch", "db", "front"];
        let edges =
            [edge("batch", "front"), edge("front", "api"), edge("api", "db"), edge("db", "api")];

        let Layout { places, .. } = layout(&ends, &edges);

        let x = |name: &str| places[ends.binary_search(&name).unwrap()].x;
        assert!(x("batch") < x("front") && x("front") < x("api") && x("api") < x("db"));
    }
}
