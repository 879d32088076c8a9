//! What a connection of SMB Direct takes, as Microsoft's public consumer does it.

use crate::ndk::{Adapter, End, Mr, PairOptions};
use ndk_sys::{NTSTATUS, STATUS_SUCCESS};

/// Regions for fast registration.
const REGIONS: usize = 512;

/// CQs, PD, QP, and 512 regions for fast registrations of the greatest size.
pub struct Resources {
    // In the order in which they go down.
    _regions: Vec<Mr>,
    /// To be connected.
    pub end: End,
}

impl Resources {
    /// Makes everything.
    ///
    /// # Errors
    /// The status of what failed.
    pub fn new(ndk: &Adapter) -> Result<Self, NTSTATUS> {
        let pages = ndk.info()?.FRMRPageCount;
        let options = PairOptions {
            cq_depth: 1024,
            receive_depth: 255,
            initiator_depth: 767,
            sge: 16,
            ..PairOptions::default()
        };
        let end = End::new(ndk, &options)?;
        for cq in [&end.receive_cq, &end.initiator_cq] {
            match cq.moderate(20, u32::MAX) {
                STATUS_SUCCESS => {}
                status => return Err(status),
            }
        }
        let region = |_| {
            let mr = end.pd.create_mr(true)?;
            mr.initialize_fast_register(pages, true)?;
            Ok(mr)
        };
        Ok(Self {
            _regions: (0..REGIONS).map(region).collect::<Result<_, NTSTATUS>>()?,
            end,
        })
    }
}
