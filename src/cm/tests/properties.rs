//! Any order of messages, losses, repetitions, deadlines and calls.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::Index;
use roce_wire::cm::Dreq;

use super::*;

const BACKLOG: u32 = 16;

/// One thing that happens. Peers, ids and attempts are few, so that they meet often.
#[derive(Clone, Debug)]
enum Step {
    Request {
        peer: u8,
        comm_id: u32,
        attempt: u64,
    },
    GiveUp {
        peer: u8,
        comm_id: u32,
        knows_us: bool,
        dreq: bool,
    },
    Pass(u64),
    Claim(Index, u8),
    Finish(Index, SendOutcome),
    Close(Index),
    Refuse(Index),
    Pause(bool),
    Noise(Box<[u8; 256]>),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(SendOutcome::Sent),
        1 => Just(SendOutcome::NotSent),
        1 => Just(SendOutcome::PeerAbandoned),
        1 => Just(SendOutcome::Failed),
    ];
    // Noise that at least is of the right class and has a known attribute.
    let noise = (any::<[u8; 32]>(), 0x0f_u8..0x1c, 1_u8..3).prop_map(|(bytes, attribute, version)| {
        let mut mad = [0; 256];
        for (at, byte) in mad.iter_mut().enumerate() {
            *byte = bytes[at % 32];
        }
        mad[..4].copy_from_slice(&[1, 7, version, 3]);
        mad[16..18].copy_from_slice(&[0, attribute]);
        Step::Noise(Box::new(mad))
    });
    prop_oneof![
        8 => (0..2_u8, 0..3_u32, 0..2_u64)
            .prop_map(|(peer, comm_id, attempt)| Step::Request { peer, comm_id, attempt }),
        2 => (0..2_u8, 0..3_u32, any::<bool>(), any::<bool>())
            .prop_map(|(peer, comm_id, knows_us, dreq)| Step::GiveUp { peer, comm_id, knows_us, dreq }),
        3 => prop_oneof![0..100_u64, 0..100_000_u64, 0..2_000_000_u64].prop_map(Step::Pass),
        4 => (any::<Index>(), 0..=149_u8).prop_map(|(which, length)| Step::Claim(which, length)),
        4 => (any::<Index>(), outcome).prop_map(|(which, outcome)| Step::Finish(which, outcome)),
        2 => any::<Index>().prop_map(Step::Close),
        1 => any::<Index>().prop_map(Step::Refuse),
        1 => prop::bool::weighted(0.2).prop_map(Step::Pause),
        1 => noise,
    ]
}

/// What the world outside knows about one attempt of a peer.
#[derive(Default)]
struct Attempt {
    /// The REJ that was sent for it, and when it was sent last.
    rejected: Option<(Outgoing, Duration)>,
    /// The consumer has it, unanswered.
    held: Option<ConnectionId>,
}

struct World {
    bench: Bench,
    listener: ListenerId,
    /// Every connection that the consumer ever saw.
    seen: Vec<ConnectionId>,
    plans: Vec<(ConnectionId, RejectPlan)>,
    /// By peer, communication id and attempt: only what the peer's last request for an id was about.
    attempts: HashMap<(u8, u32, u64), Attempt>,
}

type Checked = Result<(), TestCaseError>;

impl World {
    fn new(capacity: usize) -> Self {
        let (bench, listener) = Bench::listening(capacity, BACKLOG);
        Self {
            bench,
            listener,
            seen: Vec::new(),
            plans: Vec::new(),
            attempts: HashMap::new(),
        }
    }

    fn run(&mut self, step: Step, capacity: usize) -> Checked {
        match step {
            Step::Request {
                peer,
                comm_id,
                attempt,
            } => self.request(peer, comm_id, attempt, capacity)?,
            Step::GiveUp {
                peer,
                comm_id,
                knows_us,
                dreq,
            } => {
                let ours = if knows_us {
                    self.our_id(peer, comm_id)
                } else {
                    CommId(0)
                };
                let mut mad = gives_up(comm_id, ours);
                if dreq {
                    let local_comm_id = CommId(comm_id);
                    mad = CmMad::new(
                        1,
                        Dreq {
                            local_comm_id,
                            remote_comm_id: ours,
                            ..Dreq::default()
                        },
                    );
                }
                let seen = self.bench.receive(&super::peer(peer), &mad);
                prop_assert_eq!(dreq, matches!(seen, Seen::Sent(..)));
            }
            Step::Pass(milliseconds) => {
                for seen in self.bench.pass(Duration::from_millis(milliseconds)) {
                    prop_assert_eq!(seen.message().name(), "MRA");
                }
            }
            Step::Claim(which, length) => self.claim(which, length)?,
            Step::Finish(which, outcome) => self.finish(which, outcome),
            Step::Close(which) => self.let_go(which, |cm, now, id| cm.close(now, id).send),
            Step::Refuse(which) => self.let_go(which, Manager::refuse),
            Step::Pause(paused) => self.bench.cm.set_paused(self.listener, paused),
            Step::Noise(mad) => drop(self.bench.receive_bytes(&super::peer(9), &mad)),
        }
        prop_assert!(self.bench.cm.connections() <= capacity);
        Ok(())
    }

    fn request(&mut self, peer: u8, comm_id: u32, attempt: u64, capacity: usize) -> Checked {
        let mad = CmMad {
            transaction_id: attempt,
            ..request(peer, comm_id)
        };
        let reaction = self
            .bench
            .cm
            .receive(self.bench.now, &super::peer(peer), &mad.to_bytes());
        // Another attempt with the same id ends the earlier ones.
        self.attempts
            .retain(|key, _| (key.0, key.1) != (peer, comm_id) || key.2 == attempt);
        let known = self.attempts.entry((peer, comm_id, attempt)).or_default();
        // Nothing is evicted if there is room for all that ever happens.
        let roomy = capacity >= 128;
        let least = Duration::from_nanos(RESPONSE.nanoseconds()) * 2;
        let since = |when: Duration| self.bench.now.saturating_sub(when);
        let forgotten = known
            .rejected
            .as_ref()
            .is_none_or(|(_, when)| !roomy || since(*when) >= least);
        match reaction {
            Reaction {
                event: Some(Event::Request(request)),
                ..
            } => {
                prop_assert!(!self.seen.contains(&request.connection), "a name is used twice");
                prop_assert!(known.held.is_none(), "the consumer is asked twice");
                prop_assert!(forgotten, "forgotten too early");
                *known = Attempt {
                    rejected: None,
                    held: Some(request.connection),
                };
                self.seen.push(request.connection);
            }
            Reaction { send: Some(sent), .. } => match &mut known.rejected {
                Some((rej, when)) if sent == *rej => *when = self.bench.now,
                _ => prop_assert!(forgotten, "not the same REJ"),
            },
            _ => prop_assert!(forgotten, "no answer to a rejected request"),
        }
        Ok(())
    }

    fn claim(&mut self, which: Index, length: u8) -> Checked {
        let Some(id) = self.pick(which) else { return Ok(()) };
        let data = vec![length; length.into()];
        match self.bench.cm.prepare_reject(id, &data) {
            Ok(plan) => {
                prop_assert!(length <= 148);
                prop_assert!(self.plans.iter().all(|(other, _)| *other != id), "claimed twice");
                self.plans.push((id, plan));
            }
            Err(RejectError::TooLong) => prop_assert_eq!(length, 149),
            Err(RejectError::InvalidState | RejectError::Aborted) => {}
        }
        Ok(())
    }

    fn finish(&mut self, which: Index, outcome: SendOutcome) {
        if self.plans.is_empty() {
            return;
        }
        let (id, plan) = self.plans.swap_remove(which.index(self.plans.len()));
        self.bench.cm.finish_reject(self.bench.now, plan.token, outcome);
        match outcome {
            SendOutcome::Sent | SendOutcome::Failed => self.note_rejected(id, &plan.send),
            SendOutcome::NotSent | SendOutcome::PeerAbandoned => {}
        }
    }

    fn let_go(
        &mut self,
        which: Index,
        call: fn(&mut Manager<Memory>, Duration, ConnectionId) -> Option<Outgoing>,
    ) {
        let Some(id) = self.pick(which) else { return };
        if let Some(sent) = call(&mut self.bench.cm, self.bench.now, id) {
            self.note_rejected(id, &sent);
        } else if let Some(attempt) = self
            .attempts
            .values_mut()
            .find(|attempt| attempt.held == Some(id))
        {
            attempt.held = None;
        }
    }

    fn note_rejected(&mut self, id: ConnectionId, sent: &Outgoing) {
        let now = self.bench.now;
        if let Some(attempt) = self
            .attempts
            .values_mut()
            .find(|attempt| attempt.held == Some(id))
        {
            *attempt = Attempt {
                rejected: Some((*sent, now)),
                held: None,
            };
        }
    }

    fn pick(&self, which: Index) -> Option<ConnectionId> {
        (!self.seen.is_empty()).then(|| *which.get(&self.seen))
    }

    /// What we call the connection, as an MRA or REJ told the peer.
    fn our_id(&mut self, peer: u8, comm_id: u32) -> CommId {
        let attempt = self
            .attempts
            .keys()
            .find(|key| (key.0, key.1) == (peer, comm_id))
            .map_or(0, |key| key.2);
        let known = self.attempts.get(&(peer, comm_id, attempt));
        let sent = known.and_then(|attempt| attempt.rejected.as_ref());
        sent.map_or(CommId(0), |(sent, _)| parse(sent).message.local_comm_id())
    }

    /// The consumer lets go of everything and time passes: nothing may be left, and the listener can be filled again.
    fn end(mut self, capacity: usize) -> Checked {
        for (_, plan) in self.plans.drain(..) {
            self.bench
                .cm
                .finish_reject(self.bench.now, plan.token, SendOutcome::NotSent);
        }
        for id in &self.seen {
            self.bench.close(*id);
        }
        self.bench.pass(Duration::from_hours(1));
        prop_assert_eq!(self.bench.cm.connections(), 0);
        prop_assert_eq!(self.bench.cm.next_deadline(), None);
        self.bench.cm.set_paused(self.listener, false);
        let most = capacity.min(BACKLOG as usize);
        let again = (0..100).map(|comm_id| self.bench.receive(&peer(1), &request(1, 1000 + comm_id)));
        prop_assert_eq!(
            again.filter(|seen| matches!(seen, Seen::Request(_))).count(),
            most
        );
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_leaked_or_stuck(
        small: bool,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let capacity = if small { 3 } else { 128 };
        let mut world = World::new(capacity);
        for step in steps {
            world.run(step, capacity)?;
        }
        world.end(capacity)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2 * ProptestConfig::default().cases, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    /// Judges rule: whatever is lost, doubled, reordered or forged, nobody waits for ever and nothing is left (IBTA 12.9)
    #[test]
    fn two_managers_and_a_stranger_on_a_bad_wire(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        world::run(&bytes);
    }
}
