//! A model world for fuzzing: two adapters with their consumers, and a third party that means no good, on a wire that loses,
//! doubles, delays and reorders, in virtual time. Bytes say what happens; every answer of the managers is checked against what
//! the consumers and the wire know.
//!
//! The property test and the fuzz target both run [`run`]: nothing here depends on either.

mod consumer;
mod hostile;
mod node;
mod wire;

use core::time::Duration;

use consumer::Phase;
use node::{MANY, Node, Ticket};
use wire::Wire;

/// What happens next, byte by byte; zeros when there are no more.
pub struct Entropy<'a>(&'a [u8]);

impl Entropy<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == many - 1
    }
}

/// What the world knows of an attempt: the active consumer's side of it.
#[derive(Default)]
pub struct Attempt {
    /// The consumer has completed the connection, so that packets of it can reach the peer.
    completed: bool,
    /// Which node (by its secret, which a reboot changes) has it as a request, the last one if several times.
    requested: Option<(u64, Ticket)>,
}

/// What the world knows of an accept.
pub struct Acceptance {
    attempt: u32,
    parameters: super::cm::QpParameters,
}

/// Everything.
pub struct World<'a> {
    now: Duration,
    entropy: Entropy<'a>,
    nodes: [Node; 2],
    wire: Wire,
    attempts: Vec<Attempt>,
    acceptances: Vec<Acceptance>,
    /// Nobody forges the source address of a packet, and none is repeated later than a packet may live: what one side says
    /// has to fit what the other one did.
    strict: bool,
    reboots: u64,
}

/// Runs a world.
///
/// # Panics
/// If something happens that must not.
pub fn run(bytes: &[u8]) {
    let mut entropy = Entropy(bytes);
    let mode = entropy.byte();
    let capacity = if mode & 1 == 0 { 4 } else { MANY };
    let mut world = World {
        now: Duration::from_secs(100),
        entropy,
        nodes: [Node::new(0, capacity, 1), Node::new(1, capacity, 2)],
        wire: Wire::default(),
        attempts: Vec::new(),
        acceptances: Vec::new(),
        strict: mode & 2 == 0,
        reboots: 0,
    };
    world.wire.set_quality(mode >> 2);
    while !world.entropy.0.is_empty() {
        world.step();
    }
    world.end(mode & 0x80 != 0);
}

impl World<'_> {
    fn step(&mut self) {
        let node = self.entropy.below(2);
        match self.entropy.below(32) {
            0 | 1 => self.connect(node),
            2..=8 => self.next_event(),
            9..=15 => self.progress(node),
            16 | 17 => {
                let time = u64::from(self.entropy.byte()) / 8;
                self.pass(Duration::from_millis(time));
            }
            18 => {
                let time = u64::from(self.entropy.byte()) * 20;
                self.pass(Duration::from_millis(time));
            }
            19 | 20 => self.answer(node),
            21..=23 => self.finish(node),
            24 | 25 => self.disconnect(node),
            26 => self.close(node),
            27 => self.data_path(node),
            28 | 29 => self.hostile(node),
            30 => {
                let quality = self.entropy.byte();
                self.wire.set_quality(quality);
            }
            _ if self.entropy.one_in(8) => self.reboot(node),
            _ => self.pause(node),
        }
    }

    /// Time passes; packets arrive and what is due happens, in order.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.next_time().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.happen();
        }
        self.now = until;
    }

    /// Time passes until something happens.
    fn next_event(&mut self) {
        if let Some(next) = self.next_time() {
            self.now = self.now.max(next);
            self.happen();
        }
    }

    fn next_time(&self) -> Option<Duration> {
        let deadlines = self.nodes.iter().filter_map(|node| node.cm.next_deadline());
        deadlines.chain(self.wire.next_arrival()).min()
    }

    /// One packet arrives, or what is due at one node happens.
    fn happen(&mut self) {
        if let Some(packet) = self.wire.take(self.now) {
            let Some(to) = packet.to else { return };
            let reaction = self.nodes[to].cm.receive(self.now, &packet.from, &packet.mad);
            return self.react(to, reaction);
        }
        for node in 0..self.nodes.len() {
            for turn in 0.. {
                assert!(turn < 10_000, "expiry does not end");
                let Some(reaction) = self.nodes[node].cm.expire(self.now) else {
                    break;
                };
                self.react(node, reaction);
            }
        }
    }

    /// A node starts again, and knows nothing of what was.
    fn reboot(&mut self, node: usize) {
        self.reboots += 1;
        let capacity = self.nodes[node].capacity;
        self.nodes[node] = Node::new(node, capacity, 100 + self.reboots);
    }

    fn pause(&mut self, node: usize) {
        let paused = self.entropy.one_in(4);
        let node = &mut self.nodes[node];
        node.cm.set_paused(node.listener, paused);
    }

    /// Consumers answer what they hold; then everything that they wait for ends; then they close, and nothing is left.
    fn end(mut self, is_dead: bool) {
        if is_dead {
            self.wire.kill();
        } else {
            self.wire.heal();
        }
        let limit = self.now + Duration::from_hours(1);
        while self.nodes.iter().any(Node::has_work) || self.is_waiting() {
            assert!(self.now < limit, "somebody waits for ever: {:?}", self.phases());
            self.finish_all();
            self.answer_all();
            self.pass(Duration::from_millis(50));
        }
        let limit = self.now + Duration::from_hours(1);
        loop {
            // What still arrives may be a request.
            self.close_all();
            if self.next_time().is_none() {
                break;
            }
            assert!(self.now < limit, "it does not come to rest");
            self.next_event();
        }
        for node in &mut self.nodes {
            node.check_empty();
        }
    }

    fn is_waiting(&self) -> bool {
        self.phases().iter().any(|phase| phase.waits())
    }

    fn phases(&self) -> Vec<Phase> {
        let connections = self.nodes.iter().flat_map(|node| &node.connectors);
        connections.map(|connector| connector.phase).collect()
    }
}
