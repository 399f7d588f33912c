//! Runs `top`: looks again and again, and shows what is largest.
//!
//! Agents pay for their reports out of their own budget, so only small clusters, or the node that was named, are asked
//! for them; in others the nodes' own summaries tell what is largest.
//!
//! I/O: the API server, agents behind its proxy, the terminal.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use super::look::LEAST;
use super::outage::Outage;
use super::screen::{Key, Screen};
use super::{Run, checked, look};
use crate::answer::naming::Asked;
use crate::answer::top::{Look, Top};
use crate::args::{Format, Ranking};
use crate::ask::{Error, probe_path};
use crate::seen::probe::Probe;
use crate::show::Answer as _;

/// So many agents are asked for reports.
const SMALL: usize = 16;
/// Rates need two looks; so far apart when there is only one answer.
const APART: Duration = Duration::from_millis(1500);

/// What was asked for.
pub(crate) struct Wanted {
    pub(crate) ranking: Ranking,
    pub(crate) node: Option<String>,
    pub(crate) most: usize,
    pub(crate) interval: Duration,
    pub(crate) once: bool,
}

impl Run {
    pub(super) async fn top(&self, wanted: &Wanted) -> Result<(), Error> {
        let live =
            !wanted.once && self.common.output == Format::Table && io::stdout().is_terminal();
        if live { self.top_live(wanted).await } else { self.top_once(wanted).await }
    }

    async fn top_once(&self, wanted: &Wanted) -> Result<(), Error> {
        let first = self.look(wanted.ranking, wanted).await?;
        if wanted.ranking == Ranking::Nodes || !first.whole {
            return self.show(&Top::of(wanted.ranking, &first, None, wanted.most));
        }
        tokio::time::sleep(APART).await;
        let second = self.look(wanted.ranking, wanted).await?;
        self.show(&Top::of(wanted.ranking, &second, Some(&first), wanted.most))
    }

    async fn top_live(&self, wanted: &Wanted) -> Result<(), Error> {
        let mut ranking = wanted.ranking;
        let mut before: Option<Look> = None;
        let mut screen = Screen::open()?;
        let interval = wanted.interval.max(LEAST);
        let mut outage = Outage::default();
        loop {
            let now = self.look(ranking, wanted).await;
            let Some(now) = outage.bear(now, |_| ())? else {
                // What was seen last stays.
                match screen.key(interval).await? {
                    Some(Key::Quit) => return Ok(()),
                    _ => continue,
                }
            };
            let (width, height) = Screen::size();
            let rows = usize::from(height).saturating_sub(5).max(1);
            let top = Top::of(ranking, &now, before.as_ref(), rows);
            let head = format!(
                "probelet: {} of {}   [n]odes [f]lows [p]rocesses [q]uit",
                top.of,
                self.ask.server()
            );
            Screen::draw(&head, &top.page(false).text(self.colours), width)?;
            before = Some(now);
            match screen.key(interval).await? {
                Some(Key::Quit) => return Ok(()),
                Some(Key::Rank(next)) if next != ranking => (ranking, before) = (next, None),
                _ => {}
            }
        }
    }

    async fn look(&self, ranking: Ranking, wanted: &Wanted) -> Result<Look, Error> {
        let probes = match &wanted.node {
            Some(node) => self.ask.get(&probe_path(checked(node)?)).await.map(|probe| vec![probe]),
            None => self.ask.probes(true).await.map(|pages| pages.items),
        };
        let (probes, nodes): (Vec<Probe>, Vec<String>) = match probes {
            Ok(probes) => {
                let nodes = probes.iter().map(|probe| probe.name.to_string()).collect();
                (probes, nodes)
            }
            // Who may not see the nodes may see a namespace's flows and processes there.
            Err(Error::Forbidden { .. }) if ranking != Ranking::Nodes => {
                let of_pods = self.nodes_of(self.namespace()).await?.into_iter();
                let wanted =
                    |node: &String| wanted.node.as_ref().is_none_or(|wanted| wanted == node);
                (Vec::new(), of_pods.filter(wanted).collect())
            }
            Err(error) => return Err(error),
        };
        if probes.len() > SMALL {
            return Ok(Look { probes, ..Look::default() });
        }
        let query = if ranking == Ranking::Procs { "?port=1" } else { look::FLOWS_ONLY };
        let namespace = Some(self.namespace());
        let (reports, unasked) = self.reports(&nodes, query, namespace).await?;
        let asked = match &wanted.node {
            None if !unasked.is_empty() => Asked::Some,
            None if probes.is_empty() => Asked::Namespace(self.namespace().to_owned()),
            None => Asked::Every,
            Some(_) => Asked::Some,
        };
        Ok(Look { probes, reports, whole: true, unasked, asked })
    }
}
