//! The processors that drivers run on: threads with an IRQL (`thread`, `irql`), kernel stacks (`stack`), the way from a
//! driver into the bench (`thunk`), virtual processors with their DPC queues (`vp`), faults (`fault`), trapped register
//! accesses (`mmio`), instruction counting (`step`) and the hang watchdog (`watchdog`).

pub mod call;
pub mod fault;
pub mod irql;
pub mod stack;
pub mod thread;
pub mod thunk;
pub mod vp;
