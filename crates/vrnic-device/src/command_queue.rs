//! The command queue: fetching commands, running them, writing completions.

use std::collections::VecDeque;

use vrnic_abi::cmd::{Command, Completion, INLINE_OUTPUT, Status, phase};
use vrnic_abi::regs::{self, DeviceState, FatalSyndrome};
use zerocopy::{FromZeros, IntoBytes};

use crate::commands::{self, Failure};
use crate::device::{Device, count};
use crate::faults::CompletionFault;
use crate::regs::QueueRegisters;

/// Rings of the command queue begin at a multiple of this.
const ALIGNMENT: u64 = 64;

/// A running command queue. All counters run freely modulo 2^32.
pub(crate) struct CommandQueue {
    queue: QueueRegisters,
    /// What the driver has written to the doorbell.
    posted: u32,
    /// Commands that we have copied.
    fetched: u32,
    /// Commands that we have completed.
    completed: u32,
    /// Entries that we have written into the completion ring: as `completed`, unless a fault is injected.
    written: u32,
    /// Commands that fault injection holds back.
    held: VecDeque<Command>,
}

/// How a command ended.
pub(crate) type Outcome = Result<[u8; INLINE_OUTPUT], Failure>;

impl QueueRegisters {
    /// Whether the queue that the registers describe can exist.
    fn is_valid(&self) -> bool {
        let fits = |addr: u64, entry: usize| addr.checked_add((entry as u64) << self.log2).is_some();
        (regs::CMDQ_LOG2_MIN..=regs::CMDQ_LOG2_MAX).contains(&self.log2)
            && self.base.is_multiple_of(ALIGNMENT)
            && self.completions.is_multiple_of(ALIGNMENT)
            && self.fetch.is_multiple_of(4)
            && fits(self.base, size_of::<Command>())
            && fits(self.completions, size_of::<Completion>())
            && self.fetch.checked_add(4).is_some()
    }

    fn slot(&self, index: u32) -> u64 {
        u64::from(index & ((1 << self.log2) - 1))
    }

    fn command(&self, index: u32) -> u64 {
        self.base + self.slot(index) * size_of::<Command>() as u64
    }

    fn completion(&self, index: u32) -> u64 {
        self.completions + self.slot(index) * size_of::<Completion>() as u64
    }
}

impl Device {
    /// `CTRL_ENABLE` was written while the device was idle.
    pub fn start_command_queue(&mut self) {
        let queue = self.registers.queue;
        self.registers.enabled = true;
        if !queue.is_valid() {
            return self.go_fatal(FatalSyndrome::BAD_QUEUE);
        }
        if self.dma.store_release_u32(queue.fetch, 0).is_err() {
            return self.go_fatal(FatalSyndrome::DMA_FAULT);
        }
        self.registers.state = DeviceState::READY;
        self.commands = Some(CommandQueue {
            queue,
            posted: 0,
            fetched: 0,
            completed: 0,
            written: 0,
            held: VecDeque::new(),
        });
    }

    /// `CMDQ_DOORBELL` was written.
    pub fn ring_command_doorbell(&mut self, posted: u32) {
        let (true, Some(commands)) = (self.is_ready(), &mut self.commands) else {
            return;
        };
        let room = (1 << commands.queue.log2) - commands.posted.wrapping_sub(commands.completed);
        if posted.wrapping_sub(commands.posted) > room {
            return self.go_fatal(FatalSyndrome::BAD_DOORBELL);
        }
        commands.posted = posted;
        self.fetch_commands();
    }

    /// Fetches and runs what has been posted.
    pub fn fetch_commands(&mut self) {
        while !self.faults.silent && self.is_ready() {
            match self.fetch_command() {
                Ok(Some(command)) => self.accept(command),
                Ok(None) => return,
                Err(syndrome) => return self.go_fatal(syndrome),
            }
        }
    }

    /// Copies the next command, and counts it in the fetch word: from then on it is accepted.
    fn fetch_command(&mut self) -> Result<Option<Command>, FatalSyndrome> {
        let Some(commands) = &mut self.commands else {
            return Ok(None);
        };
        if commands.fetched == commands.posted {
            return Ok(None);
        }
        let mut command = Command::new_zeroed();
        let addr = commands.queue.command(commands.fetched);
        self.dma
            .read(addr, command.as_mut_bytes())
            .map_err(|_| FatalSyndrome::DMA_FAULT)?;
        commands.fetched = commands.fetched.wrapping_add(1);
        let fetch = (commands.queue.fetch, commands.fetched);
        self.dma
            .store_release_u32(fetch.0, fetch.1)
            .map_err(|_| FatalSyndrome::DMA_FAULT)?;
        Ok(Some(command))
    }

    /// Runs a command, unless fault injection holds it back.
    fn accept(&mut self, command: Command) {
        match &mut self.commands {
            Some(commands) if self.faults.holds(command.opcode.into()) => commands.held.push_back(command),
            _ => self.run(&command),
        }
    }

    fn run(&mut self, command: &Command) {
        let injected = self.faults.take_answer(command.opcode.into());
        let outcome = match injected {
            Some(failure) => Err(failure),
            None => commands::execute(self, command),
        };
        self.complete(command, outcome);
    }

    fn complete(&mut self, command: &Command, outcome: Outcome) {
        let (status, syndrome, output) = match outcome {
            Ok(output) => (Status::OK, 0, output),
            Err(Failure { status, syndrome }) => (status, syndrome, [0; INLINE_OUTPUT]),
        };
        if status != Status::OK {
            count(&mut self.statistics.commands_failed, 1);
        }
        let Some(commands) = &mut self.commands else {
            return;
        };
        let mut completion = Completion {
            tag: command.tag,
            status: status.into(),
            syndrome: syndrome.into(),
            output,
            reserved: [0; 7],
            owner: 0,
        };
        let fault = self.faults.take_completion_fault();
        match fault {
            Some(CompletionFault::Lost) => return,
            Some(CompletionFault::Tag(tag)) => completion.tag = tag.into(),
            Some(CompletionFault::Status(status)) => completion.status = status.into(),
            Some(CompletionFault::Output(output)) => completion.output = output,
            Some(CompletionFault::WrongPhase | CompletionFault::Twice) | None => {}
        }
        commands.completed = commands.completed.wrapping_add(1);
        self.write_completion(completion, fault == Some(CompletionFault::WrongPhase));
        if fault == Some(CompletionFault::Twice) {
            self.write_completion(completion, false);
        }
    }

    fn write_completion(&mut self, mut completion: Completion, wrong_phase: bool) {
        // A command can have ended in the fatal state, in which nothing is written any more.
        let (true, Some(commands)) = (self.is_ready(), &mut self.commands) else {
            return;
        };
        let addr = commands.queue.completion(commands.written);
        let owner = phase(commands.written, commands.queue.log2) ^ u8::from(wrong_phase);
        completion.owner = owner;
        commands.written = commands.written.wrapping_add(1);
        let [body @ .., _] = completion.as_bytes() else {
            return;
        };
        let written = self
            .dma
            .write(addr, body)
            .and_then(|()| self.dma.store_release_u8(addr + body.len() as u64, owner));
        match written {
            Ok(()) => self.add_cause(regs::INT_COMMAND),
            Err(_) => self.go_fatal(FatalSyndrome::DMA_FAULT),
        }
    }

    /// Commands that fault injection holds back.
    pub fn held_commands(&self) -> usize {
        self.commands.as_ref().map_or(0, |commands| commands.held.len())
    }

    /// Runs commands that were held back: the newest first if `newest_first`.
    pub fn release_held_commands(&mut self, newest_first: bool) {
        loop {
            let (true, Some(commands)) = (self.is_ready(), &mut self.commands) else {
                return;
            };
            let next = if newest_first {
                commands.held.pop_back()
            } else {
                commands.held.pop_front()
            };
            match next {
                Some(command) => self.run(&command),
                None => return,
            }
        }
    }

    /// Writes a wrong number of accepted commands into the fetch word.
    pub fn write_fetch_word(&mut self, value: u32) {
        if let Some(commands) = &self.commands {
            // A fault in fault injection has no further consequence.
            let _ = self.dma.store_release_u32(commands.queue.fetch, value);
        }
    }

    /// Writes a completion that no command asked for.
    pub fn write_spurious_completion(&mut self, tag: u16, status: u16) {
        let mut completion = Completion::new_zeroed();
        completion.tag = tag.into();
        completion.status = status.into();
        self.write_completion(completion, false);
    }
}
