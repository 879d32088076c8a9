//! Fault injection: a NIC that misbehaves on request, so that a driver can be tested against it.
//!
//! Faults stay in force over a reset of the device; [`Faults::clear`] ends them.

use std::collections::VecDeque;
use std::sync::Arc;

use vrnic_abi::cmd::{INLINE_OUTPUT, Opcode, Status};
use vrnic_abi::cqe::Cqe;
use vrnic_abi::event::Event;
use vrnic_abi::regs::{DeviceState, FatalSyndrome};

use crate::commands::Failure;
use crate::nic::Shared;

/// What is wrong with a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionFault {
    /// It carries this tag instead of the command's.
    Tag(u16),
    /// It carries this status, defined or not.
    Status(u16),
    /// It carries this output: the number of an object that cannot be, for example.
    Output([u8; INLINE_OUTPUT]),
    /// Its owner byte has the phase of the other pass: the driver does not see it.
    WrongPhase,
    /// It is never written, though the command was executed.
    Lost,
    /// It is written twice.
    Twice,
}

/// Which commands are accepted and executed only when they are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Every command.
    All,
    /// Commands with this opcode.
    Only(Opcode),
}

/// The faults that are in force.
#[derive(Default)]
pub(crate) struct FaultPlan {
    answers: Vec<Answer>,
    hold: Option<Hold>,
    completions: VecDeque<CompletionFault>,
    /// Commands are not even fetched.
    pub silent: bool,
    /// A reset does not end.
    pub stall_resets: bool,
}

struct Answer {
    opcode: Opcode,
    failure: Failure,
    times: u32,
}

impl FaultPlan {
    pub fn holds(&self, opcode: Opcode) -> bool {
        match self.hold {
            None => false,
            Some(Hold::All) => true,
            Some(Hold::Only(held)) => held == opcode,
        }
    }

    pub fn take_answer(&mut self, opcode: Opcode) -> Option<Failure> {
        let at = self.answers.iter().position(|answer| answer.opcode == opcode)?;
        let answer = &mut self.answers[at];
        let failure = answer.failure;
        answer.times -= 1;
        if answer.times == 0 {
            self.answers.remove(at);
        }
        Some(failure)
    }

    pub fn take_completion_fault(&mut self) -> Option<CompletionFault> {
        self.completions.pop_front()
    }
}

/// The handle by which tests inject faults into a NIC.
pub struct Faults {
    shared: Arc<Shared>,
}

impl Faults {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Answers the next `times` commands with that opcode with `status` and `syndrome`, without executing them. Answers for
    /// the same opcode queue up.
    pub fn answer(&self, opcode: Opcode, status: Status, syndrome: u32, times: u32) {
        if times > 0 {
            let answer = Answer {
                opcode,
                failure: Failure { status, syndrome },
                times,
            };
            self.shared.device().faults.answers.push(answer);
        }
    }

    /// From now on accepts such commands (they count in the fetch word) but does not execute them.
    pub fn hold(&self, hold: Hold) {
        self.shared.device().faults.hold = Some(hold);
    }

    /// How many commands are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.device().held_commands()
    }

    /// Holds nothing more, and executes what was held in the order of arrival.
    pub fn release(&self) {
        self.release_in_order(false);
    }

    /// As [`Self::release`], but the newest command first: completions come out of order.
    pub fn release_reversed(&self) {
        self.release_in_order(true);
    }

    fn release_in_order(&self, newest_first: bool) {
        let mut device = self.shared.device();
        device.faults.hold = None;
        device.release_held_commands(newest_first);
    }

    /// `true`: commands are not even fetched. `false`: those that wait are, and new ones as ever.
    pub fn silence(&self, silent: bool) {
        let mut device = self.shared.device();
        device.faults.silent = silent;
        device.fetch_commands();
    }

    /// Spoils the next completion that is not spoilt yet.
    pub fn spoil_completion(&self, fault: CompletionFault) {
        self.shared.device().faults.completions.push_back(fault);
    }

    /// Writes a completion that no command asked for.
    pub fn spurious_completion(&self, tag: u16, status: u16) {
        self.shared.device().write_spurious_completion(tag, status);
    }

    /// Writes `value` into the fetch word: more commands accepted than were posted, for example.
    pub fn fetch_word(&self, value: u32) {
        self.shared.device().write_fetch_word(value);
    }

    /// Writes an event into an event queue, whatever is in it (`owner` and `lost` are filled in). False if the queue does
    /// not exist or is full.
    #[must_use]
    pub fn event(&self, eqn: u32, event: Event) -> bool {
        self.shared.device().post_event(eqn, event)
    }

    /// Writes a completion into a completion queue, whatever is in it (`owner` is filled in). False if there is no such queue
    /// or it has failed.
    #[must_use]
    pub fn completion(&self, cqn: u32, cqe: Cqe) -> bool {
        self.shared.device().post_completion(cqn, cqe)
    }

    /// The numbers of the completion queues that there are.
    #[must_use]
    pub fn completion_queues(&self) -> Vec<u32> {
        let mut device = self.shared.device();
        device.rdma.cqs.iter_mut().map(|(number, _)| number).collect()
    }

    /// The numbers of the queue pairs that there are and that are not at work.
    #[must_use]
    pub fn queue_pairs(&self) -> Vec<u32> {
        let mut device = self.shared.device();
        let slots = device.rdma.qps.iter_mut();
        slots
            .filter_map(|(_, slot)| Some(slot.qp.as_ref()?.queues.qpn))
            .collect()
    }

    /// Raises an interrupt for no reason.
    pub fn interrupt(&self, vector: u16) {
        self.shared.device().raise(vector);
    }

    /// The firmware dies.
    pub fn fatal(&self, syndrome: FatalSyndrome) {
        self.shared.device().go_fatal(syndrome);
    }

    /// `true`: the next resets do not end. `false`: they do, the one that is under way included.
    pub fn stall_resets(&self, stall: bool) {
        let mut device = self.shared.device();
        device.faults.stall_resets = stall;
        if !stall && device.registers.state == DeviceState::RESETTING {
            device.registers.state = DeviceState::IDLE;
        }
    }

    /// Ends all faults: commands that were held are executed, and those that were not fetched are fetched.
    pub fn clear(&self) {
        self.stall_resets(false);
        self.shared.device().faults = FaultPlan::default();
        self.release();
        self.silence(false);
    }
}
