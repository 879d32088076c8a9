//! Reporting a violation and ending the process.
#![expect(unsafe_code, reason = "ends the process without running destructors")]

use super::{BugCheck, Rule};
use crate::symbols::{self, StackTrace};
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Exit code of a process that the verifier stopped.
pub const EXIT_CODE: i32 = 86;

/// Seconds after which the system ends a process that cannot finish its report.
const REPORT_SECONDS: u32 = 20;

/// A broken rule, ready to be reported.
#[must_use = "a violation does nothing until it is stopped on"]
pub struct Violation {
    rule: Rule,
    bug_check: BugCheck,
    what: String,
    advice: String,
    details: Vec<String>,
    stacks: Vec<(String, StackTrace)>,
}

type StopHook = Box<dyn Fn() + Send>;

static STOPPING: AtomicBool = AtomicBool::new(false);
static HOOKS: Mutex<Vec<StopHook>> = Mutex::new(Vec::new());

/// Has `hook` called before the process ends because of a violation: to flush captures and traces.
/// It must not take locks that running drivers may hold.
pub fn on_stop(hook: impl Fn() + Send + 'static) {
    HOOKS.lock().push(Box::new(hook));
}

impl Violation {
    /// A violation of `rule`. `what` says what happened, in one sentence.
    pub fn new(rule: Rule, bug_check: BugCheck, what: impl Into<String>) -> Self {
        Self {
            rule,
            bug_check,
            what: what.into(),
            advice: String::new(),
            details: Vec::new(),
            stacks: Vec::new(),
        }
    }

    /// What to do about it.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// One more line of facts.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// A second stack: who allocated, who holds the lock, and so on.
    pub fn stack(mut self, title: impl Into<String>, trace: StackTrace) -> Self {
        self.stacks.push((title.into(), trace));
        self
    }

    /// Prints the report with the current thread's driver stack and ends the process with [`EXIT_CODE`].
    pub fn stop(mut self) -> ! {
        if STOPPING.swap(true, Ordering::SeqCst) {
            // Another thread reports, or reporting failed: leave it the time to finish.
            std::thread::sleep(Duration::from_secs(u64::from(REPORT_SECONDS)));
            exit();
        }
        // SAFETY: no handler is installed for SIGALRM, its default action ends the process.
        unsafe { libc::alarm(REPORT_SECONDS) };
        self.stacks
            .insert(0, ("driver stack".to_owned(), StackTrace::capture()));
        if let Some(refused) = super::faults::last() {
            self.stacks
                .push(("the last resource that was refused".to_owned(), refused));
        }
        eprintln!("{}", self.machine_line());
        // The stack here may be a kernel stack or a signal stack, too small for reading a PDB.
        let printer = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
            let text = self.render();
            // The report goes to stderr as a whole; if that is closed there is nobody to tell.
            let _ = std::io::stderr().write_all(text.as_bytes());
            for hook in HOOKS.lock().iter() {
                hook();
            }
        });
        if let Ok(handle) = printer {
            // A panic in a hook has printed itself.
            let _ = handle.join();
        }
        exit()
    }

    fn machine_line(&self) -> String {
        let [p1, p2, p3, p4] = self.bug_check.parameters;
        format!(
            "VERIFIER rule={} code={:#x} p1={p1:#x} p2={p2:#x} p3={p3:#x} p4={p4:#x}",
            self.rule.name(),
            self.bug_check.code
        )
    }

    fn render(&self) -> String {
        let mut text = format!(
            "\n*** {}\n*** rule {}: {}\n",
            self.bug_check,
            self.rule.name(),
            self.what
        );
        for detail in &self.details {
            let _ = writeln!(text, "    {detail}");
        }
        for (title, trace) in &self.stacks {
            let _ = write!(text, "  {title}:\n{}", symbols::render(trace));
        }
        if !self.advice.is_empty() {
            let _ = writeln!(text, "  what to do: {}", self.advice);
        }
        text
    }
}

fn exit() -> ! {
    // The tests' captured output and the report are unbuffered; a failing flush cannot be helped here.
    let _ = std::io::stdout().flush();
    // SAFETY: ends the process at once; other threads may hold any lock, so destructors must not run.
    unsafe { libc::_exit(EXIT_CODE) }
}
