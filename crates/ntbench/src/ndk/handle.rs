//! What all objects of the consumer have in common: they are closed, once, and dropping them closes them.

use super::objects::{self, Fixed};
use super::requests::{self, Closing};
use crate::cpu::irql;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An object of the consumer's.
pub(super) struct Handle {
    pub fixed: Arc<Fixed>,
    close: &'static str,
    open: AtomicBool,
}

impl Handle {
    /// `close` is the name of the close function.
    pub(super) fn new(fixed: Arc<Fixed>, close: &'static str) -> Self {
        Self {
            fixed,
            close,
            open: AtomicBool::new(true),
        }
    }

    /// Closes it without waiting.
    pub(super) fn start_close(&self) -> Closing {
        assert!(
            self.open.swap(false, Ordering::AcqRel),
            "{} is closed once",
            self.fixed.label()
        );
        requests::close(&self.fixed, self.close)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.open.load(Ordering::Acquire) {
            return;
        }
        let closing = self.start_close();
        // The close of something that others depend on ends when they are closed.
        if irql::current() == irql::PASSIVE_LEVEL && objects::successors(self.fixed.id) == 0 {
            closing.wait();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fixed.label())
    }
}

/// Gives a type with a `handle` what every object can do.
macro_rules! closable {
    ($type:ident) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.handle.fmt(f)
            }
        }

        impl $type {
            /// A number that no other object has.
            #[must_use]
            pub fn id(&self) -> u64 {
                self.handle.fixed.id
            }

            /// Where the object is: what benchmarks pass to the provider's functions.
            #[must_use]
            pub fn address(&self) -> usize {
                self.handle.fixed.address
            }

            /// The address of one of the provider's functions, for benchmarks: calls of it are not checked.
            ///
            /// # Panics
            /// When the object has no function of that name.
            #[must_use]
            pub fn function(&self, name: &str) -> usize {
                self.handle.fixed.function(name)
            }

            /// Calls any function of the dispatch table that returns a status inline, with the arguments after the object
            /// itself.
            #[must_use]
            pub fn call(&self, name: &'static str, arguments: &[u64]) -> ndk_sys::NTSTATUS {
                $crate::ndk::objects::invoke_now(&self.handle.fixed, name, arguments, String::new)
            }

            /// `NdkQueryExtension`, with an interface that does not exist.
            #[must_use]
            pub fn query_extension(&self) -> ndk_sys::NTSTATUS {
                $crate::ndk::adapter::query_extension(&self.handle.fixed)
            }

            /// Closes it without waiting; nothing else may be called afterwards. The close pends as long as something that
            /// depends on the object is open.
            ///
            /// # Panics
            /// When it was closed before.
            pub fn start_close(&self) -> $crate::ndk::Closing {
                self.handle.start_close()
            }

            /// Closes it, and waits for that at PASSIVE.
            ///
            /// # Panics
            /// When it was closed before.
            pub fn close(self) {
                self.handle.start_close().wait();
            }
        }
    };
}
pub(super) use closable;
