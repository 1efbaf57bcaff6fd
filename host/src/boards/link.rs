//! The workstation's end of a serial line to a board: asks, waits, asks again, and knows its answer by its number.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use attar_device::link::{
    Answer, Ask, Frames, Hello, MAX_DATA, MAX_FRAME, PROTOCOL, Ran, Refusal, RefusalCode, Reply, Request, frame, read,
};
use attar_shared::Model;

use crate::support::progress::{Progress, say, stopped};

/// Bits a second of a line that says nothing else.
pub const BAUD: u32 = 115_200;

/// The longest that is waited for an answer before the request is sent again.
const MOST_PATIENCE: Duration = Duration::from_millis(120);

/// The same for a request that lets the board work.
const MOST_PATIENCE_FOR_WORK: Duration = Duration::from_secs(3);

/// The shortest, on a line whose answers come at once.
const LEAST_PATIENCE: Duration = Duration::from_millis(6);

/// How long a request is sent again and again.
const SPAN: Duration = Duration::from_secs(15);

/// How long a message that could be shorter.
const SPAN_OF_LONG: Duration = Duration::from_millis(800);

/// How long one that lets the board erase a slot, read it back, or compute.
const SPAN_OF_WORK: Duration = Duration::from_secs(60);

/// The least bytes of a model in a message, on a line that loses most longer ones.
const LEAST_DATA: usize = 16;

/// How often an update begins anew after the board has restarted in its middle.
const UPDATES: usize = 3;

/// A line to a board.
#[derive(Debug)]
pub struct Link<P> {
    port: P,
    frames: Frames,
    number: u32,
    /// How long an answer takes that needs no second request, in the mean of late, and how far it is from that mean (Jacobson
    /// 1988, as TCP does).
    round_trip: Duration,
    deviation: Duration,
    /// How long the last answer took that lets the board work.
    work: Duration,
    /// Bytes of a model or a sample in a message: on a noisy line short ones arrive sooner.
    size: usize,
    /// Requests that were sent more than once.
    pub repeated: usize,
}

/// What an answer says, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Hello(Hello),
    Done,
    Refused(Refusal),
    Lost,
    Ran(Ran),
    Bytes(Vec<u8>),
}

/// What a board says to a model that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It was written and read back.
    Whole,
    /// It was not; this is why.
    Refused(Refusal),
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updated {
    /// What ran before.
    pub before: Hello,
    /// What runs now.
    pub after: Hello,
    /// Requests that were sent more than once.
    pub repeated: usize,
}

/// Opens a serial port.
///
/// # Errors
///
/// When there is no such port or it is in use.
pub fn open(port: &Path, baud: u32) -> Result<Link<Box<dyn serialport::SerialPort>>> {
    let name = port.to_str().context("the port's name is not UTF-8")?;
    let port = serialport::new(name, baud)
        // A long frame takes as long to be sent.
        .timeout(Duration::from_millis(20))
        .open()
        .with_context(|| format!("cannot open the port {name}"))?;
    Ok(Link::new(port))
}

impl<P: Read + Write> Link<P> {
    /// Returns a line over what reads and writes bytes; reading has to give up after some milliseconds.
    pub fn new(port: P) -> Self {
        // A board that still knows another program's numbers must not take these for repetitions.
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            port,
            frames: Frames::new(),
            number: clock.subsec_nanos().rotate_left(16),
            round_trip: MOST_PATIENCE / 4,
            deviation: MOST_PATIENCE / 8,
            work: Duration::ZERO,
            size: MAX_DATA,
            repeated: 0,
        }
    }

    /// Returns what the line reads and writes.
    pub fn into_port(self) -> P {
        self.port
    }

    /// Asks the board who it is.
    ///
    /// # Errors
    ///
    /// When it does not answer, or speaks another version.
    pub fn hello(&mut self) -> Result<Hello> {
        match self.ask(Ask::Hello)? {
            Said::Hello(hello) if hello.protocol == PROTOCOL => Ok(hello),
            Said::Hello(hello) => bail!(
                "the board speaks version {} of the serial link, this program version {PROTOCOL}: build its firmware with the \
                 same version of attar-device",
                hello.protocol
            ),
            other => bail!("the board answered {other:?} to a greeting"),
        }
    }

    /// Sends a model, lets the board restart and try it, and says what runs then. A board that restarts in the middle is sent
    /// the model anew.
    ///
    /// # Errors
    ///
    /// When the model is refused, here or there, or the board does not answer.
    pub fn update(&mut self, model: &[u8]) -> Result<Updated> {
        Model::parse(model)?;
        let before = self.hello()?;
        for attempt in 1.. {
            match self.send(model)? {
                Sent::Whole => break,
                Sent::Refused(why) if why.code == RefusalCode::NoUpdate && attempt < UPDATES => {
                    say("the board has restarted; the model is sent anew");
                }
                Sent::Refused(why) => bail!("the board refuses the model: {}", explain(why)),
            }
        }
        self.restart()?;
        let after = self.hello()?;
        Ok(Updated { before, after, repeated: self.repeated })
    }

    /// Lets the board restart.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn restart(&mut self) -> Result<()> {
        // A board that restarts before its answer has left does not know the repetition: that is no harm.
        match self.ask(Ask::Restart)? {
            Said::Done => Ok(()),
            other => bail!("the board answered {other:?} to a request to restart"),
        }
    }

    /// Sends a model, which the board will try when it starts the next time.
    ///
    /// # Errors
    ///
    /// When the board does not answer.
    pub fn send(&mut self, model: &[u8]) -> Result<Sent> {
        match self.send_whole(model)? {
            Said::Done => Ok(Sent::Whole),
            Said::Refused(why) => Ok(Sent::Refused(why)),
            other => bail!("the board answered {other:?} to an update"),
        }
    }

    fn send_whole(&mut self, model: &[u8]) -> Result<Said> {
        let len = u32::try_from(model.len()).context("the model has more than 4 GiB")?;
        let begun = self.ask(Ask::Begin { len })?;
        if begun != Said::Done {
            return Ok(begun);
        }
        let mut progress = Progress::new("update: bytes", model.len());
        let mut offset = 0;
        while let Some(bytes) = self.part(model, offset) {
            let said = self.ask(Ask::Data { offset: offset as u32, bytes })?;
            if said != Said::Done {
                return Ok(said);
            }
            offset += bytes.len();
            progress.advance(bytes.len());
        }
        drop(progress);
        self.ask(Ask::Finish)
    }

    /// Returns the bytes from `offset` on that the next message may hold; none at the end.
    fn part<'b>(&self, bytes: &'b [u8], offset: usize) -> Option<&'b [u8]> {
        bytes.get(offset..bytes.len().min(offset + self.size)).filter(|part| !part.is_empty())
    }

    /// Sends the next bytes of a sample from `offset` on; returns how many they were, and what the board said. On a line that
    /// loses every long message they become fewer until one arrives.
    pub(crate) fn ask_sample(&mut self, bytes: &[u8], offset: usize) -> Result<Option<(usize, Said)>> {
        while let Some(part) = self.part(bytes, offset) {
            if let Some(said) = self.ask_or_shrink(Ask::Sample { offset: offset as u32, bytes: part })? {
                return Ok(Some((part.len(), said)));
            }
        }
        Ok(None)
    }

    /// Asks for the bytes of an answer from `offset` on, as [`Link::ask_sample`] sends a sample.
    pub(crate) fn ask_outputs(&mut self, offset: usize) -> Result<Said> {
        loop {
            let ask = Ask::Outputs { offset: offset as u32, most: self.size as u32 };
            if let Some(said) = self.ask_or_shrink(ask)? {
                return Ok(said);
            }
        }
    }

    /// Asks until there is an answer, or until it is time for a shorter message.
    fn ask_or_shrink(&mut self, ask: Ask<'_>) -> Result<Option<Said>> {
        if self.size == LEAST_DATA {
            return self.ask(ask).map(Some);
        }
        let said = self.ask_within(ask, SPAN_OF_LONG)?;
        if said.is_none() {
            self.size = (self.size / 2).max(LEAST_DATA);
        }
        Ok(said)
    }

    /// Asks until there is an answer.
    pub(crate) fn ask(&mut self, ask: Ask<'_>) -> Result<Said> {
        let span = if is_work(ask) { SPAN_OF_WORK } else { SPAN };
        self.ask_within(ask, span)?.context(
            "the board does not answer: is it on, is this its port, does no other program hold it, does its firmware speak \
             attar's link?",
        )
    }

    /// Asks again and again for a time; nothing when there is no answer.
    fn ask_within(&mut self, ask: Ask<'_>, span: Duration) -> Result<Option<Said>> {
        self.number = self.number.wrapping_add(1);
        let mut buffer = [0; MAX_FRAME];
        let request = frame(&Request { number: self.number, ask }, &mut buffer).context("the request is too long")?;
        let start = Instant::now();
        // What takes its time is not lost.
        let (mut patience, most) = match is_work(ask) {
            true => (self.round_trip + 2 * self.deviation + 2 * self.work, MOST_PATIENCE_FOR_WORK),
            false => (self.round_trip + 2 * self.deviation, MOST_PATIENCE),
        };
        patience = patience.clamp(LEAST_PATIENCE, most);
        for attempt in 0.. {
            ensure!(!stopped(), "stopped; the board keeps what it has");
            self.repeated += usize::from(attempt > 0);
            let sent = Instant::now();
            match self.port.write_all(request).and_then(|()| self.port.flush()) {
                // What did not get out is a request that was lost.
                Err(error) if is_passing(&error) => {}
                written => written.context("cannot write to the port")?,
            }
            if let Some(said) = self.wait(patience)? {
                if is_work(ask) {
                    // Asked more than once, it was lost or took long: something between.
                    self.work = if attempt == 0 { sent.elapsed() } else { (3 * self.work + start.elapsed()) / 4 };
                } else {
                    self.learn(attempt, sent.elapsed());
                }
                return Ok(Some(said));
            }
            if start.elapsed() > span {
                break;
            }
            patience = (patience * 2).min(most);
        }
        Ok(None)
    }

    /// Learns from an answer how long the next may take, and how long a message may be.
    fn learn(&mut self, attempt: usize, took: Duration) {
        if attempt == 0 {
            self.deviation = (3 * self.deviation + took.abs_diff(self.round_trip)) / 4;
            self.round_trip = (7 * self.round_trip + took) / 8;
        }
        let size = if attempt > 1 { self.size / 2 } else { self.size + self.size / 8 };
        self.size = size.clamp(LEAST_DATA, MAX_DATA);
    }

    /// Waits for the answer to the last request.
    fn wait(&mut self, patience: Duration) -> Result<Option<Said>> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            let mut bytes = [0; 256];
            let count = match self.port.read(&mut bytes) {
                Ok(count) => count,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error).context("cannot read from the port"),
            };
            ensure!(count > 0, "the port was closed");
            for &byte in &bytes[..count] {
                let reply = self.frames.push(byte).and_then(read::<Reply<'_>>);
                if let Some(reply) = reply.filter(|reply| reply.number == self.number) {
                    return Ok(Some(match reply.answer {
                        Answer::Hello(hello) => Said::Hello(hello),
                        Answer::Done => Said::Done,
                        Answer::Refused(why) => Said::Refused(why),
                        Answer::Lost => Said::Lost,
                        Answer::Ran(ran) => Said::Ran(ran),
                        Answer::Bytes(bytes) => Said::Bytes(bytes.into()),
                    }));
                }
            }
        }
        Ok(None)
    }
}

/// Returns the sentence for a refusal; a code that this program does not know is printed with its numbers.
pub fn explain(refusal: Refusal) -> String {
    let Refusal { code, expected, got } = refusal;
    match code {
        RefusalCode::Unsupported => "its firmware does not serve this request: one built by `attar new` answers \
                                     `attar verify`, one with a store answers `attar update`"
            .into(),
        RefusalCode::NoUpdate => "no update has begun".into(),
        RefusalCode::Offset => format!("byte {expected} of the model is next, byte {got} came"),
        RefusalCode::TooLarge => format!("the model has {got} bytes, a slot of the board holds {expected}"),
        RefusalCode::Length => format!("{expected} bytes were announced, {got} came"),
        RefusalCode::Model => {
            "its firmware cannot read the model: was it built with another version of attar-device?".into()
        }
        RefusalCode::Unsigned => "the model is not signed: use `attar sign`".into(),
        RefusalCode::Signature => "the signature is not that of the board's key and the model".into(),
        RefusalCode::Downgraded => format!("the model has revision {got}, at least {expected} is taken"),
        RefusalCode::SelfTest => format!("the model does not reproduce its test vector {got} on the board"),
        RefusalCode::Flash => "its flash reports an error".into(),
        RefusalCode::FlashGeometry => "its flash has too large words or is too small for two slots".into(),
        RefusalCode::FlashDiffers => "its flash does not give back what was written".into(),
        RefusalCode::Sample => "its model does not take the sample".into(),
        RefusalCode::SampleLength => format!("a sample has {expected} bytes on the board, {got} came"),
        RefusalCode::InputNotFinite => format!("input value {got} is not finite"),
        RefusalCode::FactNotFinite => "a fact is not finite".into(),
        RefusalCode::FactValue => "a category or a flag has a value that its model does not know".into(),
        _ => format!(
            "refusal {} (expected {expected}, got {got}), which this version of attar does not know",
            code.number()
        ),
    }
}

/// Returns whether the board has to do something for an answer.
fn is_work(ask: Ask<'_>) -> bool {
    matches!(ask, Ask::Begin { .. } | Ask::Finish | Ask::Run { .. })
}

/// Returns whether a port may do better the next time.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A board that answers each request with the next of some answers, and counts the updates that begin.
    struct Scripted {
        frames: Frames,
        answers: VecDeque<Answer<'static>>,
        begun: usize,
        sent: VecDeque<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for &byte in bytes {
                let Some(request) = self.frames.push(byte).and_then(read::<Request<'_>>) else { continue };
                self.begun += usize::from(matches!(request.ask, Ask::Begin { .. }));
                let answer = self.answers.pop_front().unwrap();
                let mut buffer = [0; MAX_FRAME];
                self.sent.extend(frame(&Reply { number: request.number, answer }, &mut buffer).unwrap());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Scripted {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            match self.sent.read(bytes)? {
                0 => Err(io::ErrorKind::TimedOut.into()),
                count => Ok(count),
            }
        }
    }

    fn scripted(answers: impl IntoIterator<Item = Answer<'static>>) -> Link<Scripted> {
        let answers = answers.into_iter().collect();
        Link::new(Scripted { frames: Frames::new(), answers, begun: 0, sent: VecDeque::new() })
    }

    fn hello() -> Answer<'static> {
        Answer::Hello(Hello { protocol: PROTOCOL, len: 1, checksum: 2, revision: 3, is_update: false })
    }

    fn updated(refusal: Refusal) -> (String, usize) {
        let refused = [Answer::Done, Answer::Refused(refusal)];
        let mut link = scripted([hello()].into_iter().chain(refused.into_iter().cycle().take(2 * UPDATES)));
        let model = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../device/examples/student.attar")).unwrap();
        let error = link.update(&model).unwrap_err();
        (format!("{error:#}"), link.into_port().begun)
    }

    #[test]
    fn an_update_is_repeated_for_the_code_of_a_restart_only() {
        let (message, begun) = updated(RefusalCode::NoUpdate.into());
        assert_eq!((message.as_str(), begun), ("the board refuses the model: no update has begun", UPDATES));
        let (message, begun) = updated(Refusal::new(RefusalCode::Downgraded, 4, 3));
        assert_eq!(begun, 1);
        assert!(message.contains("revision 3, at least 4"), "{message}");
    }

    #[test]
    fn unknown_refusals_are_printed_with_their_numbers() {
        let (message, _) = updated(Refusal::new(RefusalCode::from_number(40_001), 7, 8));
        assert!(message.contains("refusal 40001 (expected 7, got 8)"), "{message}");
    }

    #[test]
    fn every_known_code_has_a_sentence_of_its_own() {
        let known = (0..=u16::MAX).map(RefusalCode::from_number).filter(|code| !matches!(code, RefusalCode::Other(_)));
        let mut sentences: Vec<String> = known.map(|code| explain(code.into())).collect();
        assert!(sentences.len() >= 18);
        assert!(!sentences.iter().any(|text| text.starts_with("refusal ")), "{sentences:?}");
        let count = sentences.len();
        sentences.sort();
        sentences.dedup();
        assert_eq!(sentences.len(), count);
    }

    #[test]
    fn a_board_of_another_version_is_named() {
        let old = Hello { protocol: 1, len: 1, checksum: 2, revision: 3, is_update: false };
        let error = scripted([Answer::Hello(old)]).hello().unwrap_err();
        assert!(format!("{error:#}").contains("version 1 of the serial link"), "{error:#}");
    }
}
