//! The processors that drivers run on: threads with an IRQL (`thread`, `irql`), kernel stacks (`stack`), the way from a
//! driver into the bench (`thunk`), virtual processors with their DPC queues (`vp`), faults (`fault`), trapped register
//! accesses (`mmio`), privileged instructions (`privileged`), instruction counting (`step`).

pub mod call;
pub mod fault;
pub mod irql;
pub mod mmio;
mod privileged;
pub mod stack;
pub mod step;
pub mod thread;
pub mod thunk;
mod violation;
pub mod vp;
