//! Who calls whom: clients and services from left to right, each edge with its rate, its 99th percentile and its failures.

use crate::report::chart::canvas::{
    Anchor, Canvas, FAULT_INK, GRID, INK, MUTED, PAPER, Picture, Tone, Weight, picture_of_width, series, text_width,
};
use crate::report::chart::compare::shortened;
use crate::report::chart::timeline::{LegendItem, head, head_height};
use crate::report::format;
use crate::report::summary::{EdgeSummary, Summary, Value, VariantSummary};

/// Edges that are drawn: the first ones.
const EDGES_MAX: usize = 160;
const MARGIN: f64 = 24.0;
/// How wide a client or service is.
pub const NODE: f64 = 122.0;
/// What an edge takes at a node.
const PORT: f64 = 36.0;
/// The straight end of an edge, with its figures.
const LABEL: f64 = 162.0;
/// Where edges bend.
const BEND: f64 = 40.0;
const COLUMN: f64 = NODE + BEND + LABEL;
const ROW_GAP: f64 = 20.0;
const SMALL: f64 = 10.5;
/// Shares of failed calls from which on an edge stands out.
const SOME: f64 = 0.001;
const MANY: f64 = 0.01;

/// A client or a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it is a client.
    pub is_client: bool,
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its height.
    pub height: f64,
    column: usize,
}

/// Who calls which operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Its name in the summary.
    pub name: String,
    /// The operation.
    pub operation: String,
    /// Who calls: an index of the nodes.
    pub from: usize,
    /// Who is called.
    pub to: usize,
    /// Where it leaves the caller.
    pub begin: (f64, f64),
    /// Where it arrives.
    pub end: (f64, f64),
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Clients and services.
    pub nodes: Vec<Node>,
    /// Edges.
    pub edges: Vec<Edge>,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

impl Edge {
    /// Where its straight end begins, which has its figures.
    pub fn label_start(&self) -> f64 {
        self.end.0 - LABEL
    }
}

/// The layout of the first variant's mesh; `None` where nobody calls anybody.
pub fn layout(summary: &Summary) -> Option<Layout> {
    let variant = summary.variants.first()?;
    let mut nodes = Vec::new();
    let node = |name: &str, is_client: bool| Node {
        name: name.to_string(),
        is_client,
        x: 0.0,
        y: 0.0,
        height: 0.0,
        column: 0,
    };
    nodes.extend(variant.clients.iter().map(|(name, _)| node(name, true)));
    nodes.extend(variant.services.iter().map(|(name, _)| node(name, false)));
    let edges = variant.edges.iter().filter_map(|(name, _)| edge(&nodes, name));
    let mut edges: Vec<Edge> = edges.take(EDGES_MAX).collect();
    if edges.is_empty() {
        return None;
    }
    assign_columns(&mut nodes, &edges);
    let (width, height) = place(&mut nodes, &mut edges);
    Some(Layout {
        nodes,
        edges,
        width,
        height,
    })
}

/// `frontend->cart/get`, read with the names that there are: a client may be called like a service.
fn edge(nodes: &[Node], name: &str) -> Option<Edge> {
    let mut arrows = name
        .match_indices("->")
        .map(|(at, arrow)| (&name[..at], &name[at + arrow.len()..]));
    arrows.find_map(|(caller, called)| {
        let from = nodes.iter().position(|node| node.name == caller)?;
        let (service, operation) = called.rsplit_once('/')?;
        let to = nodes.iter().position(|node| !node.is_client && node.name == service)?;
        Some(Edge {
            name: name.to_string(),
            operation: operation.to_string(),
            from,
            to,
            begin: (0.0, 0.0),
            end: (0.0, 0.0),
        })
    })
}

/// A service is to the right of all who call it, but for calls that lead back.
fn assign_columns(nodes: &mut [Node], edges: &[Edge]) {
    let mut back = vec![false; edges.len()];
    let mut state = vec![0_u8; nodes.len()];
    for root in 0..nodes.len() {
        mark_back_edges(root, edges, &mut state, &mut back);
    }
    for _ in 0..nodes.len() {
        for (edge, _) in edges.iter().zip(&back).filter(|(_, is_back)| !**is_back) {
            nodes[edge.to].column = nodes[edge.to].column.max(nodes[edge.from].column + 1);
        }
    }
}

fn mark_back_edges(node: usize, edges: &[Edge], state: &mut [u8], back: &mut [bool]) {
    const UNDER_WAY: u8 = 1;
    const DONE: u8 = 2;
    if state[node] != 0 {
        return;
    }
    state[node] = UNDER_WAY;
    for (index, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.from == node) {
        if state[edge.to] == UNDER_WAY {
            back[index] = true;
        } else {
            mark_back_edges(edge.to, edges, state, back);
        }
    }
    state[node] = DONE;
}

/// Gives all nodes and edges their places, and the size of it all.
fn place(nodes: &mut [Node], edges: &mut [Edge]) -> (f64, f64) {
    let columns = nodes.iter().map(|node| node.column).max().unwrap_or(0) + 1;
    for (index, node) in nodes.iter_mut().enumerate() {
        let ports = |is_it: &dyn Fn(&Edge) -> bool| edges.iter().filter(|edge| is_it(edge)).count();
        let ports = ports(&|edge| edge.to == index)
            .max(ports(&|edge| edge.from == index).div_ceil(2))
            .max(1);
        node.height = ports as f64 * PORT;
        node.x = MARGIN + node.column as f64 * COLUMN;
    }
    let total = |nodes: &[Node], column: usize| {
        let heights = nodes
            .iter()
            .filter(|node| node.column == column)
            .map(|node| node.height + ROW_GAP);
        heights.sum::<f64>() - ROW_GAP
    };
    let height = (0..columns).map(|column| total(nodes, column)).fold(0.0, f64::max);
    for column in 0..columns {
        let mut order: Vec<usize> = (0..nodes.len()).filter(|&node| nodes[node].column == column).collect();
        // Beside those who call it; the order of the file where that says nothing.
        let key = |node: usize| {
            let callers = edges
                .iter()
                .filter(|edge| edge.to == node && nodes[edge.from].column < column);
            let (sum, count) = callers.fold((0.0, 0.0), |(sum, count), edge| {
                let caller = &nodes[edge.from];
                (sum + caller.y + caller.height / 2.0, count + 1.0)
            });
            if count > 0.0 { sum / count } else { f64::MAX }
        };
        let keys: Vec<f64> = (0..nodes.len()).map(key).collect();
        order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        let mut y = (height - total(nodes, column)) / 2.0;
        for node in order {
            nodes[node].y = y;
            y += nodes[node].height + ROW_GAP;
        }
    }
    connect(nodes, edges);
    (MARGIN * 2.0 + columns.saturating_sub(1) as f64 * COLUMN + NODE, height)
}

/// Ports in an order in which edges cross little.
fn connect(nodes: &[Node], edges: &mut [Edge]) {
    for (index, node) in nodes.iter().enumerate() {
        let middle = |other: usize| nodes[other].y + nodes[other].height / 2.0;
        let mut arriving: Vec<usize> = (0..edges.len()).filter(|&edge| edges[edge].to == index).collect();
        arriving.sort_by(|&a, &b| middle(edges[a].from).total_cmp(&middle(edges[b].from)));
        let ports = arriving.len();
        for (port, edge) in arriving.into_iter().enumerate() {
            edges[edge].end = (node.x, node.y + node.height * (port as f64 + 0.5) / ports as f64);
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        let mut leaving: Vec<usize> = (0..edges.len()).filter(|&edge| edges[edge].from == index).collect();
        leaving.sort_by(|&a, &b| edges[a].end.1.total_cmp(&edges[b].end.1));
        let ports = leaving.len();
        for (port, edge) in leaving.into_iter().enumerate() {
            edges[edge].begin = (node.x + NODE, node.y + node.height * (port as f64 + 0.5) / ports as f64);
        }
    }
}

/// What an edge says: the calls a second, the 99th percentile (or the highest that is known), the failures.
pub fn words(edge: &EdgeSummary) -> [String; 3] {
    let rate = match edge.calls_per_second.value {
        Some(rate) => format!("{}/s", format::digits(rate, 3)),
        None => "n/a".to_string(),
    };
    let latency = ["p99", "p95", "p90", "p50", "mean"].into_iter().find_map(|name| {
        let value = edge.latency_seconds.get(name)?.value?;
        Some(format!("{name} {}", format::seconds(value)))
    });
    let failed = match edge.availability_ratio.value {
        Some(1.0) => "0 % failed".to_string(),
        Some(share) => format!("{} failed", format::share(&Value::exact(1.0 - share))),
        None => String::new(),
    };
    [rate, latency.unwrap_or_default(), failed]
}

/// How an edge stands out by its failures: 0, 1 or 2.
pub fn trouble(edge: &EdgeSummary) -> usize {
    match edge.availability_ratio.value.map(|share| 1.0 - share) {
        Some(failed) if failed >= MANY => 2,
        Some(failed) if failed >= SOME => 1,
        _ => 0,
    }
}

const TROUBLES: [(&str, Tone); 3] = [
    ("fewer than 0.1 % of calls fail", series(0)),
    ("0.1 % to 1 %", series(4)),
    ("1 % or more", FAULT_INK),
];

/// The picture of a variant; `None` where nobody calls anybody.
pub fn draw(summary: &Summary, variant: &VariantSummary) -> Option<(String, Picture)> {
    let layout = layout(summary)?;
    let legend: Vec<LegendItem> = TROUBLES
        .iter()
        .map(|&(label, tone)| LegendItem {
            tone,
            marker: None,
            label: label.to_string(),
            width: 3.0,
            opacity: 1.0,
        })
        .collect();
    let title = match summary.variants.len() {
        1 => "Who calls whom".to_string(),
        _ => format!("Who calls whom, under {}", variant.name),
    };
    let top = head_height(&legend) + 12.0;
    let picture = picture_of_width(layout.width.max(720.0), top + layout.height + 24.0, &title, |canvas| {
        let words = "each edge: the operation and its calls a second, the latency of successful calls, err: the share that fails";
        head(canvas, &title, words, &legend);
        for edge in &layout.edges {
            if let Some(figures) = variant.edges.get(&edge.name) {
                draw_edge(canvas, edge, figures, top);
            }
        }
        for edge in &layout.edges {
            if let Some(figures) = variant.edges.get(&edge.name) {
                draw_words(canvas, edge, figures, top);
            }
        }
        for node in &layout.nodes {
            draw_node(canvas, node, top);
        }
    });
    Some((title, picture))
}

fn draw_edge(canvas: &Canvas<'_>, edge: &Edge, figures: &EdgeSummary, top: f64) {
    let (_, tone) = TROUBLES[trouble(figures)];
    let width = stroke(figures.calls_per_second.value.unwrap_or(0.0));
    let (from, to) = ((edge.begin.0, edge.begin.1 + top), (edge.end.0, edge.end.1 + top));
    let straight = edge.label_start();
    let mut points: Vec<(f64, f64)> = (0..=16)
        .map(|step| {
            let t = f64::from(step) / 16.0;
            let (a, b) = ((1.0 - t) * (1.0 - t) * (1.0 + 2.0 * t), t * t * (3.0 - 2.0 * t));
            (from.0 + (straight - from.0) * t, from.1 * a + to.1 * b)
        })
        .collect();
    points.push((to.0 - 7.0, to.1));
    canvas.line(&points, tone, width, 0.75);
    let half = 4.0 + width * 0.5;
    canvas.area(&[(to.0 - 9.0, to.1 - half), to, (to.0 - 9.0, to.1 + half)], tone, 1.0);
}

fn draw_words(canvas: &Canvas<'_>, edge: &Edge, figures: &EdgeSummary, top: f64) {
    let (straight, to) = (edge.label_start(), (edge.end.0, edge.end.1 + top));
    let [rate, latency, failed] = words(figures);
    let x = straight + 4.0;
    let operation = shortened(&edge.operation, LABEL - 30.0 - text_width(&rate, SMALL));
    let text = |(x, y): (f64, f64), words: &str, tone: Tone, anchor: Anchor| {
        // Edges that pass by are not to strike the words through.
        let width = text_width(words, SMALL);
        let from = if anchor == Anchor::Start { x } else { x - width };
        canvas.rectangle((from - 2.0, y - 6.0), (from + width + 2.0, y + 5.5), PAPER, 0.8);
        canvas.text((x, y), words, SMALL, tone, anchor, Weight::Plain);
    };
    text((x, to.1 - 10.0), &operation, INK, Anchor::Start);
    text((to.0 - 12.0, to.1 - 10.0), &rate, MUTED, Anchor::End);
    text((x, to.1 + 11.0), &latency, MUTED, Anchor::Start);
    let failed = failed.trim_end_matches(" failed");
    if !failed.is_empty() {
        let tone = [MUTED, INK, FAULT_INK][trouble(figures)];
        text((to.0 - 12.0, to.1 + 11.0), &format!("err {failed}"), tone, Anchor::End);
    }
}

/// How wide an edge is drawn: two more for a hundred times the calls.
pub fn stroke(rate: f64) -> f64 {
    (1.0 + crate::math::ln(rate.max(1.0)) / crate::math::ln(10.0)).min(5.0)
}

fn draw_node(canvas: &Canvas<'_>, node: &Node, top: f64) {
    let (from, to) = ((node.x, node.y + top), (node.x + NODE, node.y + top + node.height));
    canvas.rectangle(from, to, PAPER, 1.0);
    canvas.rectangle(
        from,
        to,
        if node.is_client { GRID } else { series(0) },
        if node.is_client { 1.0 } else { 0.13 },
    );
    let outline = [from, (to.0, from.1), to, (from.0, to.1), from];
    canvas.line(&outline, MUTED, 1.0, 0.8);
    let name = shortened(&node.name, NODE - 14.0);
    let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
    canvas.text(middle, &name, 12.0, INK, Anchor::Middle, Weight::Strong);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<Node> {
        let node = |name: &&str| Node {
            name: name.to_string(),
            is_client: *name == "web",
            x: 0.0,
            y: 0.0,
            height: 0.0,
            column: 0,
        };
        names.iter().map(node).collect()
    }

    #[test]
    fn services_stand_right_of_their_callers_and_circles_end() {
        let mut nodes = nodes(&["web", "a", "b", "c"]);
        let names = ["web->a/x", "a->b/x", "a->c/x", "b->c/x", "c->a/again"];
        let edges: Vec<Edge> = names.iter().map(|name| edge(&nodes, name).expect("known names")).collect();
        assign_columns(&mut nodes, &edges);
        assert_eq!(nodes.iter().map(|node| node.column).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(edge(&nodes, "web->nobody/x"), None);
        assert_eq!(edge(&nodes, "nonsense"), None);
    }

    #[test]
    fn edges_arrive_at_places_of_their_own() {
        let mut nodes = nodes(&["web", "a", "b"]);
        let names = ["web->b/x", "web->a/x", "a->b/x", "a->b/y"];
        let mut edges: Vec<Edge> = names.iter().map(|name| edge(&nodes, name).expect("known names")).collect();
        assign_columns(&mut nodes, &edges);
        place(&mut nodes, &mut edges);
        for (index, edge) in edges.iter().enumerate() {
            assert!(
                edges[..index]
                    .iter()
                    .all(|other| other.end != edge.end && other.begin != edge.begin)
            );
            assert!(edge.label_start() > edge.begin.0, "{edge:?}");
        }
    }
}
