//! Every node executes what is final there by itself: the form without shared execution.
//!
//! Otherwise a block is executed once, whoever asks first, since the same transactions in the same order
//! on the same state must come to the same. Here that is looked at.

use crate::book::Book;
use crate::sim::Simulation;
use crate::views::Expiry;
use quorate_core::{BlockId, Engine, EntityId, Ledger, NodeId};

/// The states of all nodes, in the form in which they have their own.
#[derive(Default)]
pub(crate) struct Replicas<'a> {
    /// By node; `None` once what was final there no longer is.
    books: Vec<Option<Book<'a>>>,
}

impl<'a> Replicas<'a> {
    pub(crate) fn new(nodes: usize, ledger: &'a dyn Ledger) -> Self {
        Self {
            books: (0..nodes).map(|_| Some(Book::new(ledger, false))).collect(),
        }
    }
}

impl<E: Engine> Simulation<'_, E> {
    /// A block above the final ones becomes final at a node.
    pub(crate) fn execute_alone(&mut self, node: NodeId, block: BlockId) {
        if self.replicas.books.is_empty() {
            return;
        }
        self.put_in_order(block);
        let own = &mut self.replicas.books[node.index()];
        let parent = self.blocks.get(block).parent;
        // A node that left what was final has no state that it could go on from.
        *own = own.take().filter(|b| parent.is_some_and(|p| b.is_at(p)));
        if let Some(book) = own {
            let expiry = Expiry::of(&self.classes);
            book.execute(&self.blocks, &self.pool, block, &self.order, expiry);
            book.settle(&self.blocks, block, |_, _| {});
        }
    }

    /// How many nodes came to the state of the run, each by itself; what differs, if they did not. Only of
    /// nodes whose final block is not forgotten is this known.
    pub(crate) fn compare_replicas(&self) -> Result<u64, String> {
        let mut same = 0;
        for (node, book) in self.replicas.books.iter().enumerate() {
            let fin = self.nodes[node].fin;
            let height = self.blocks.find(fin).map_or(0, |block| block.height);
            let Some(book) = book.as_ref().filter(|b| b.is_at(fin)) else {
                continue;
            };
            if height < self.settled_height || !self.book.is_executed(fin) {
                continue;
            }
            let entities = (0..book.entities().max(self.book.entities())).map(EntityId::new);
            let state = |b: &Book<'_>, entity| b.read(&self.blocks, fin, entity);
            let other = entities
                .into_iter()
                .find(|&e| state(book, e) != state(&self.book, e));
            if let Some(entity) = other {
                return Err(format!(
                    "node {node} executed {entity:?} to another state than the run up to {fin:?}"
                ));
            }
            same += 1;
        }
        Ok(same)
    }
}
