//! An engine that writes down the blocks it builds, adopts and commits, and is otherwise the one
//! that it wraps.

use quorate_core::{
    Adversary, Background, Ballot, Block, BlockId, Committee, Compact, Context, Draws, Effect,
    Engine, Facts, Finality, Input, Invalid, NodeId, Outbox, Promises, Span, Time, Weight, Wire,
};
use std::cell::RefCell;
use std::marker::PhantomData;

use super::world::World;
use quorate_kernel::Report;

/// What happened to a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Made by the node itself.
    Built,
    /// Its header is here and its body asked for; only where [`Reader::ASKED`].
    Asked,
    /// The node's head now.
    Adopted,
    /// Final at the node.
    Committed,
}

/// One line of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// On the node's clock.
    pub at: Time,
    /// Where.
    pub node: NodeId,
    /// What happened.
    pub what: What,
    /// To which block.
    pub block: BlockId,
    /// Its height.
    pub height: u32,
    /// Who made it.
    pub creator: NodeId,
    /// The block below.
    pub parent: Option<BlockId>,
    /// What the reader took from the header.
    pub word: u64,
}

/// Which blocks are written down, and a number from the header.
pub trait Reader<E: Engine> {
    /// Whether it is written down when bodies are asked for.
    const ASKED: bool = false;

    /// The number, or `None` for a block that is left out.
    fn word(block: &Block<E::Header>) -> Option<u64>;
}

/// All of them.
pub struct All;

impl<E: Engine> Reader<E> for All {
    fn word(_: &Block<E::Header>) -> Option<u64> {
        Some(0)
    }
}

thread_local! {
    static LOG: RefCell<Vec<Note>> = const { RefCell::new(Vec::new()) };
}

/// What was written down on this thread since it was last taken.
pub fn take() -> Vec<Note> {
    LOG.take()
}

/// Runs an engine in a world; its report and its log.
pub fn run<E: Engine, R: Reader<E>>(world: &World, config: &E::Config) -> (Report, Vec<Note>) {
    LOG.take();
    let report = world.run::<Logged<E, R>>(config);
    (report, LOG.take())
}

/// A replica and what is written down about it.
pub struct Logged<E: Engine, R> {
    engine: E,
    out: Outbox<E>,
    reader: PhantomData<R>,
}

impl<E: Engine, R: Reader<E>> Logged<E, R> {
    fn note(ctx: &Context<'_, E::Header>, what: What, id: BlockId) {
        let block = ctx.blocks.get(id);
        if let Some(word) = R::word(block) {
            let note = Note {
                at: ctx.clock,
                node: ctx.me,
                what,
                block: id,
                height: block.height,
                creator: block.key.creator,
                parent: block.parent,
                word,
            };
            LOG.with_borrow_mut(|log| log.push(note));
        }
    }
}

impl<E: Engine, R: Reader<E>> Engine for Logged<E, R> {
    type Config = E::Config;
    type Header = E::Header;
    type Message = E::Message;
    type Timer = E::Timer;

    const FACTS: Facts = E::FACTS;
    const KINDS: &'static [&'static str] = E::KINDS;
    const PHASES: &'static [&'static str] = E::PHASES;

    fn validate(config: &Self::Config, nodes: u32) -> Result<(), Invalid> {
        E::validate(config, nodes)
    }

    fn committee(config: &Self::Config, nodes: u32) -> Committee {
        E::committee(config, nodes)
    }

    fn new(config: &Self::Config, me: NodeId, committee: &Committee) -> Self {
        Self {
            engine: E::new(config, me, committee),
            out: Outbox::new(),
            reader: PhantomData,
        }
    }

    fn genesis(config: &Self::Config) -> Self::Header {
        E::genesis(config)
    }

    fn finality(config: &Self::Config, adversary: &Adversary) -> Result<Finality, String> {
        E::finality(config, adversary)
    }

    fn promises(config: &Self::Config, nodes: u32) -> Promises {
        E::promises(config, nodes)
    }

    fn handle(
        &mut self,
        ctx: &Context<'_, Self::Header>,
        draws: &mut Draws,
        input: Input<Self>,
        out: &mut Outbox<Self>,
    ) {
        let input = match input {
            Input::Start => Input::Start,
            Input::Restarted => Input::Restarted,
            Input::Header { block, from } => Input::Header { block, from },
            Input::Body { block, from } => Input::Body { block, from },
            Input::Message { from, message } => Input::Message { from, message },
            Input::Threshold(ballot) => Input::Threshold(ballot),
            Input::Timer(timer) => Input::Timer(timer),
            Input::BlockBuilt(block) => {
                Self::note(ctx, What::Built, block);
                Input::BlockBuilt(block)
            }
            Input::Pending => Input::Pending,
        };
        // Certificates are shared by all replicas: borrowed for the length of the call.
        core::mem::swap(&mut self.out.certs, &mut out.certs);
        core::mem::swap(&mut self.out.roots, &mut out.roots);
        self.engine.handle(ctx, draws, input, &mut self.out);
        core::mem::swap(&mut self.out.certs, &mut out.certs);
        core::mem::swap(&mut self.out.roots, &mut out.roots);
        let effects = self.out.take();
        for effect in &effects {
            match *effect {
                Effect::Fetch { block, .. } if R::ASKED => Self::note(ctx, What::Asked, block),
                Effect::Adopt(block) => Self::note(ctx, What::Adopted, block),
                Effect::Commit(block) => Self::note(ctx, What::Committed, block),
                _ => {}
            }
            out.push(effect.within(|message| message, |timer| timer));
        }
        self.out.recycle(effects);
    }

    fn leader(&self, ctx: &Context<'_, Self::Header>) -> Option<NodeId> {
        self.engine.leader(ctx)
    }

    fn wire(&self, message: &Self::Message, ctx: &Context<'_, Self::Header>) -> Wire {
        self.engine.wire(message, ctx)
    }

    fn is_vote(message: &Self::Message) -> bool {
        E::is_vote(message)
    }

    fn carries(message: &Self::Message) -> Option<BlockId> {
        E::carries(message)
    }

    fn outside(word: u64) -> Option<Self::Message> {
        E::outside(word)
    }

    fn compact(config: &Self::Config) -> Compact {
        E::compact(config)
    }

    fn background(&self) -> Background {
        self.engine.background()
    }

    fn vote_wire(&self, phase: u8, ctx: &Context<'_, Self::Header>) -> Wire {
        self.engine.vote_wire(phase, ctx)
    }

    fn also_counts(ballot: Ballot) -> [Option<Ballot>; 2] {
        E::also_counts(ballot)
    }

    fn threshold(phase: u8, committee: &Committee) -> Weight {
        E::threshold(phase, committee)
    }

    fn header_bytes(&self, header: &Self::Header, ctx: &Context<'_, Self::Header>) -> u64 {
        self.engine.header_bytes(header, ctx)
    }

    fn check_block(&self, block: BlockId, ctx: &Context<'_, Self::Header>) -> Span {
        self.engine.check_block(block, ctx)
    }
}
