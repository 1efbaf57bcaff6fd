//! Progress on stderr: a bar on a terminal, plain lines elsewhere; and Ctrl-C, which stops at the next good place.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C ask for a stop; a second one ends the process at once.
///
/// # Errors
///
/// When the system refuses the handler.
pub fn stop_on_ctrl_c() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOPPED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        say("stopping at the next good place; press Ctrl-C again to end at once");
    })?;
    Ok(())
}

/// Returns whether a stop was asked for.
pub fn stopped() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// Returns an error when a stop was asked for.
///
/// # Errors
///
/// [`Stopped`].
pub fn check_stopped() -> Result<()> {
    if stopped() {
        bail!(Stopped);
    }
    Ok(())
}

/// The error of work that was stopped by Ctrl-C.
#[derive(Debug, Clone, Copy)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

/// Says a line on stderr, and what it is of behind it, unless the line was said before: of a thousand files that are alike it is
/// said once.
pub fn say_once(line: &str, of: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut lines = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.insert(line.to_string()) {
        say(&format!("{line} {of}"));
    }
}

/// Prints a line on stderr. A stderr that is closed, or a log on a full disk, does not end the work.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain(line));
}

/// Returns a text as a terminal may show it: names in models, data and recipes come from anywhere, and control characters in
/// them could move the cursor, rename the window or turn the text round. Lines and tabs stay.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |c: char| is_control(c) && !matches!(c, '\n' | '\t'))
}

/// As [`plain`], without lines and tabs: a name that holds them could look like other output.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_control)
}

fn escaped(text: &str, is_refused: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_refused) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().fold(String::new(), |mut all, c| {
        match is_refused(c) {
            true => all.extend(c.escape_default()),
            false => all.push(c),
        }
        all
    });
    Cow::Owned(escaped)
}

/// Returns whether a character is one of control, or one that changes the direction of what follows.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The progress of one piece of long work.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    title: String,
    /// 0 for work of which nothing is said.
    total: u64,
    last_line: Instant,
    start: Instant,
}

impl Progress {
    /// Returns the progress of work in `total` steps.
    pub fn new(title: &str, total: usize) -> Self {
        // indicatif hides the bar where stderr is no terminal; lines take its place there.
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:36!} [{bar:24}] {pos}/{len} {per_sec} {eta} left{prefix}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        let title = plain(title).into_owned();
        bar.set_message(title.clone());
        Self { bar, title, total: total as u64, last_line: Instant::now(), start: Instant::now() }
    }

    /// Returns the progress of work of which nothing is said.
    pub fn none() -> Self {
        let (now, bar) = (Instant::now(), ProgressBar::hidden());
        Self { bar, title: String::new(), total: 0, last_line: now, start: now }
    }

    /// Moves on by some steps.
    pub fn advance(&mut self, steps: usize) {
        self.bar.inc(steps as u64);
        if self.total > 0 && self.bar.is_hidden() && self.last_line.elapsed() > QUIET {
            self.last_line = Instant::now();
            let done = self.bar.position().max(1);
            let left = self.start.elapsed().as_secs_f64() * (self.total.saturating_sub(done)) as f64 / done as f64;
            say(&format!("{}: {done}/{} ({left:.0} s left)", self.title, self.total));
        }
    }

    /// Shows how the work goes beside the bar.
    pub fn note(&mut self, note: &str) {
        self.bar.set_prefix(format!("  {}", plain(note)));
    }

    /// Says a line above the bar.
    pub fn line(&mut self, line: &str) {
        self.last_line = Instant::now();
        match (self.total, self.bar.is_hidden()) {
            (0, _) => {}
            (_, true) => say(line),
            (_, false) => self.bar.println(plain(line)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where there is no bar, work that says nothing for this long says how far it is.
const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_other_texts_stay() {
        assert_eq!(plain("a\tb\nMühle 日本"), "a\tb\nMühle 日本");
        let hostile = "\x1b]0;owned\x07\x1b[2J\r\u{9b}31m\x7f\u{202e}";
        assert_eq!(plain(hostile), r"\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31m\u{7f}\u{202e}");
        assert_eq!(one_line("a\tb\n1: forged"), r"a\tb\n1: forged");
    }
}
