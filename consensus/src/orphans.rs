//! Blocks that are here before their ancestors, for engines that follow a chain.

use quorate_core::{BlockId, Blocks, Context};

/// Blocks kept whose ancestors are missing.
/// assumption: Bitcoin Core 0.9 kept 750 orphans; later versions fetch headers first.
const MOST: usize = 750;

/// Blocks with a missing ancestor, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Orphans(Vec<BlockId>);

/// Where a block stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// All its ancestors are here.
    Connected,
    /// It was kept already.
    Kept,
    /// It is kept now; this is its nearest ancestor that is not here.
    Above(BlockId),
}

impl Orphans {
    /// Takes in a block whose body is here, and keeps it if an ancestor's is not.
    pub(crate) fn admit<H: Copy>(&mut self, block: BlockId, ctx: &Context<'_, H>) -> Place {
        // An orphan that nobody ever completed may have been retired.
        self.0.retain(|orphan| ctx.blocks.find(*orphan).is_some());
        if self.0.contains(&block) {
            return Place::Kept;
        }
        let Some(missing) = self.missing_ancestor(block, ctx) else {
            return Place::Connected;
        };
        if self.0.len() == MOST {
            self.0.remove(0); // The oldest; it is fetched again when it is needed.
        }
        self.0.push(block);
        Place::Above(missing)
    }

    /// The nearest ancestor that is not here. Only below orphans can one be missing.
    fn missing_ancestor<H: Copy>(&self, block: BlockId, ctx: &Context<'_, H>) -> Option<BlockId> {
        let mut at = ctx.blocks.get(block).parent?;
        loop {
            if !ctx.holds(at) {
                return Some(at);
            }
            if !self.0.contains(&at) {
                return None;
            }
            at = ctx.blocks.get(at).parent?;
        }
    }

    /// Upon a block whose ancestors are all here: hands in the orphans that this completes, parents
    /// first.
    pub(crate) fn connect<H: Copy>(
        &mut self,
        block: BlockId,
        blocks: &Blocks<H>,
        mut each: impl FnMut(BlockId),
    ) {
        if self.0.is_empty() {
            return;
        }
        let mut connected = vec![block];
        while let Some(block) = connected.pop() {
            let above = |orphan: &BlockId| {
                let orphan = blocks.find(*orphan);
                orphan.is_some_and(|o| o.parent == Some(block))
            };
            let (ready, waiting) = self.0.iter().partition(|&orphan| above(orphan));
            self.0 = waiting;
            for &orphan in &ready {
                each(orphan);
            }
            connected.extend::<Vec<BlockId>>(ready);
        }
    }
}
