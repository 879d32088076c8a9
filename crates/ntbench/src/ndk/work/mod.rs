//! Work requests and their completions, of all consumers: each post is remembered until its completion has been taken, and
//! both are compared with what NDKPI promises.
//!
//! A consumer's request contexts may be anything and may repeat, so the provider gets others, each of which is given once;
//! the consumer's are put back into the results.
//!
//! | module | what |
//! |---|---|
//! | `operation` | what the posting functions are |
//! | `queues` | requests that are outstanding, by queue |
//! | `arming` | when a CQ may and must notify |
//! | `registry` | the state of all queues |

mod arming;
mod operation;
mod queues;
mod registry;

pub(super) use registry::{
    adopted, arm, begin_notification, closed, end_notification, flush, moderate, outstanding, overdue, post,
    results, srq_modified, srq_notified,
};
