//! Does every request come to an end? Operations that call each other in a circle do not, however unlikely a call may be.

use super::{readable, services};
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::topology::Step;
use crate::scenario::source::Span;

/// Cycles that are reported: a dense tangle of calls has more than anyone reads.
const CYCLES_MAX: usize = 20;

/// An operation: its name and the calls it makes.
struct Node {
    name: String,
    calls: Vec<(usize, Span)>,
}

/// How far the search has come with an operation.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    /// On the path from the root; the number is its place there.
    Open(usize),
    Done,
}

pub(super) fn calls(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let nodes = graph(document, index);
    let mut marks = vec![Mark::New; nodes.len()];
    let mut left = CYCLES_MAX;
    for root in 0..nodes.len() {
        if marks[root] == Mark::New {
            search(root, &nodes, &mut marks, &mut left, diagnostics);
        }
    }
}

/// All operations of all services, numbered in the order of the file.
fn graph(document: &Document, index: &Index<'_>) -> Vec<Node> {
    let all = document.topology.get().and_then(|topology| topology.services.get());
    let mut first = Vec::new();
    let mut count = 0;
    for (_, service) in all.into_iter().flat_map(|services| services.iter()) {
        first.push(count);
        let operations = service.get().and_then(|service| service.operations.get());
        count += operations.map_or(0, |operations| operations.0.len());
    }
    let mut nodes = Vec::with_capacity(count);
    for (service, body) in services(document) {
        for (name, _) in body.operations.get().into_iter().flat_map(|operations| operations.iter()) {
            nodes.push(Node {
                name: format!("{}/{}", service.text, name.text),
                calls: Vec::new(),
            });
        }
    }
    for (service, body) in services(document) {
        for (name, steps) in readable(body.operations.get()) {
            let path = format!("{}/{}", service.text, name.text);
            let Some(from) = index.operation(&path) else { continue };
            let node = first[from.service] + from.operation;
            Step::walk(steps, &mut |step, _| {
                let call = step.call.as_ref().and_then(|field| Some((field.get()?, field.span)));
                if let Some((path, span)) = call
                    && let Some(to) = index.operation(path)
                {
                    nodes[node].calls.push((first[to.service] + to.operation, span));
                }
            });
        }
    }
    nodes
}

/// Depth first, with a stack of its own: a chain of calls may be longer than the thread's.
fn search(root: usize, nodes: &[Node], marks: &mut [Mark], left: &mut usize, diagnostics: &mut Diagnostics) {
    let mut path = vec![(root, 0)];
    marks[root] = Mark::Open(0);
    while let Some((node, next)) = path.last_mut() {
        let Some(&(to, _)) = nodes[*node].calls.get(*next) else {
            marks[*node] = Mark::Done;
            path.pop();
            continue;
        };
        *next += 1;
        match marks[to] {
            Mark::New => {
                marks[to] = Mark::Open(path.len());
                path.push((to, 0));
            }
            Mark::Open(place) if *left > 0 => {
                *left -= 1;
                report(&path[place..], nodes, diagnostics);
            }
            Mark::Open(_) | Mark::Done => {}
        }
    }
}

/// `path` holds the operations of the cycle, each with the number behind that of the call it made.
fn report(path: &[(usize, usize)], nodes: &[Node], diagnostics: &mut Diagnostics) {
    let calls = path
        .iter()
        .map(|&(node, next)| (nodes[node].name.clone(), nodes[node].calls[next - 1].1));
    diagnostics.endless_calls(&calls.collect::<Vec<_>>());
}
