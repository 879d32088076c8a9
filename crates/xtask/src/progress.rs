//! Progress for people: a spinner with the last line of output on a terminal, plain lines anywhere else.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How many lines of a failed command's output its error shows.
const TAIL_LINES: usize = 25;

/// One step that takes a while. Say how it ended with [`Step::done`]; a dropped step has failed.
pub struct Step {
    name: String,
    bar: ProgressBar,
    started: Instant,
    finished: bool,
}

impl Step {
    /// Starts a step and shows its name.
    #[must_use]
    pub fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        let bar = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed:>4} {wide_msg:.dim}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            eprintln!("  … {name}");
            ProgressBar::hidden()
        };
        Self {
            name,
            bar,
            started: Instant::now(),
            finished: false,
        }
    }

    /// Shows what the step is doing just now (only on a terminal).
    pub fn message(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// Prints a line that stays, such as a fallback that the user should know about.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| eprintln!("    {text}"));
    }

    /// Ends the step well; `outcome` says what there is now.
    pub fn done(mut self, outcome: &str) {
        self.finished = true;
        self.bar.finish_and_clear();
        let separator = if outcome.is_empty() { "" } else { ": " };
        eprintln!(
            "  ✓ {}{separator}{outcome} ({:.1} s)",
            self.name,
            self.started.elapsed().as_secs_f32()
        );
    }

    /// Runs `command` to its end with its output in `log`, showing the last line.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error has the end of its output and the path of `log`.
    pub fn run(&self, command: &mut Command, log: &Path) -> Result<()> {
        let shown = format!("{command:?}");
        create_parent(log)?;
        let file = Arc::new(Mutex::new(
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?,
        ));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {shown}"))?;
        let stderr = child.stderr.take();
        let copier = thread::spawn({
            let (file, bar) = (Arc::clone(&file), self.bar.clone());
            move || stderr.map(|stream| copy_lines(stream, &file, &bar))
        });
        if let Some(stdout) = child.stdout.take() {
            copy_lines(stdout, &file, &self.bar);
        }
        let _ = copier.join();
        let status = child.wait()?;
        if !status.success() {
            bail!(
                "{shown} failed ({status}); the end of {}:\n{}",
                log.display(),
                tail(log)
            );
        }
        Ok(())
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            self.bar.finish_and_clear();
            eprintln!("  ✗ {}", self.name);
        }
    }
}

fn copy_lines(stream: impl Read, file: &Mutex<File>, bar: &ProgressBar) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
        if let Ok(mut file) = file.lock() {
            // The log is a help for the reader of an error; a full disk shows in the command itself.
            let _ = file.write_all(&line);
        }
        bar.set_message(String::from_utf8_lossy(&line).trim().to_owned());
        line.clear();
    }
}

/// The last lines of a log, indented.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(TAIL_LINES);
    lines[start..]
        .iter()
        .map(|line| ["    ", line, "\n"].concat())
        .collect()
}

/// Makes the folder that `path` is to be in.
///
/// # Errors
/// When it cannot be made.
pub fn create_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))
}
