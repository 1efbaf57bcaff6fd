//! Students: parsed from bytes, or included in a firmware with their arena sized when it is compiled.

use attar_shared::parts::ALL_PARTS;
use attar_shared::{Header, Model};

use crate::signal::{Stream, StreamMemory};
use crate::{Error, Facts, Session};

/// A model that has been checked and may be run.
#[derive(Debug, Clone, Copy)]
pub struct Student<'a, const PARTS: u128 = ALL_PARTS> {
    model: Model<'a, PARTS>,
}

impl<'a> Student<'a> {
    /// Returns the student in the bytes of an `.attar` file.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Self { model: Model::parse(bytes)? })
    }
}

impl<'a, const PARTS: u128> Student<'a, PARTS> {
    /// Returns a session over an arena.
    ///
    /// # Errors
    ///
    /// [`Error::ArenaTooSmall`].
    pub fn session<const BYTES: usize>(&self, arena: &'a mut Arena<BYTES>) -> Result<Session<'a, PARTS>, Error> {
        Session::new(self.model, &mut arena.0)
    }

    /// Returns a stream: samples go in, answers come out.
    ///
    /// # Errors
    ///
    /// [`Error::NoSignal`], [`Error::StreamMemory`], [`Error::ArenaTooSmall`].
    pub fn stream<const WORDS: usize, const BYTES: usize>(
        &self,
        memory: &'a mut StreamMemory<WORDS>,
        arena: &'a mut Arena<BYTES>,
    ) -> Result<Stream<'a, PARTS>, Error> {
        Stream::new(self.model, memory.as_mut_slice(), &mut arena.0)
    }

    /// Returns facts of which none is known yet.
    pub fn facts(&self) -> Facts<'a, PARTS> {
        Facts::new(self.model)
    }

    /// Returns the model.
    pub fn model(&self) -> &Model<'a, PARTS> {
        &self.model
    }

    /// Runs the test vectors that the model carries and returns how many there are.
    ///
    /// # Errors
    ///
    /// [`Error::ArenaTooSmall`], and [`Error::SelfTest`] for the first operator of the first vector that is not reproduced.
    pub fn self_test(&self, arena: &mut [i8]) -> Result<usize, Error> {
        let mut session = Session::new(self.model, arena)?;
        let mut count = 0;
        for (vector, test) in self.model.tests().enumerate() {
            let signed = |bytes: &'a [u8]| bytes.iter().map(|byte| byte.cast_signed());
            session.reset();
            session.load_quantized(signed(test.input), signed(test.facts))?;
            for (operator, expected) in (0..).zip(test.checksums.iter()) {
                session.step();
                if session.last_checksum() != Some(expected) {
                    return Err(Error::SelfTest { vector, operator: Some(operator) });
                }
            }
            let outputs = session.outputs()?;
            let answers = outputs.heads().flat_map(|head| head.quantized().iter().copied());
            if !answers.eq(signed(test.outputs)) {
                return Err(Error::SelfTest { vector, operator: None });
            }
            count = vector + 1;
        }
        Ok(count)
    }
}

/// A student in a firmware's flash, made by [`crate::include_student!`], with the code for its own parts alone.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedStudent<const PARTS: u128 = ALL_PARTS> {
    bytes: &'static [u8],
    header: Header,
}

impl EmbeddedStudent {
    /// Returns the parts that the student in `bytes` is made of, see [`attar_shared::parts`]; all, if its header is none.
    pub const fn parts_of(bytes: &[u8]) -> u128 {
        match Header::read(bytes) {
            Ok(header) => header.parts(),
            Err(_) => ALL_PARTS,
        }
    }
}

impl<const PARTS: u128> EmbeddedStudent<PARTS> {
    /// Returns the student in `bytes` after a look at its header.
    ///
    /// # Panics
    ///
    /// When the header is not one of this version, or the file has another length than it says: used in a constant,
    /// that is a compile error.
    #[allow(clippy::panic)]
    pub const fn new(bytes: &'static [u8]) -> Self {
        match Header::read(bytes) {
            Ok(header) if header.file_len as usize == bytes.len() => Self { bytes, header },
            Ok(_) => panic!("the .attar file is truncated, or followed by something else"),
            Err(_) => panic!("not an .attar file of the version that this crate reads"),
        }
    }

    /// Returns the bytes of arena that a session needs.
    pub const fn arena_bytes(&self) -> usize {
        self.header.arena_len as usize
    }

    /// Returns the bytes of the file.
    pub const fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    /// Returns the bytes of flash that the model takes.
    pub const fn flash_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the revision.
    pub const fn revision(&self) -> u32 {
        self.header.revision
    }

    /// Returns the words of memory that a stream needs beside the arena; 0 for a model without a front-end.
    pub const fn stream_words(&self) -> usize {
        attar_shared::internal::words_of(self.bytes)
    }

    /// Returns the values that an input has.
    pub const fn input_len(&self) -> usize {
        self.header.input_values as usize
    }

    /// Returns the facts that the model takes.
    pub const fn fact_count(&self) -> usize {
        self.header.fact_count as usize
    }

    /// Returns the words that an input and its facts take on a serial line, see [`crate::link::Responder`].
    #[cfg(feature = "link")]
    pub const fn sample_words(&self) -> usize {
        self.input_len() + 2 * self.fact_count()
    }

    /// Returns the multiply-accumulate operations of one run.
    pub const fn macs(&self) -> u32 {
        self.header.macs
    }

    /// Returns the steps of one run: the multiply-accumulates, and what they do not count, such as the taps of pools. They
    /// bound the time of a run, see `work` in the [format](attar_shared::specification).
    pub const fn work(&self) -> u32 {
        self.header.work
    }

    /// Holds the student against a budget: bytes of flash, bytes of arena, steps of one run ([`EmbeddedStudent::work`]).
    ///
    /// ```
    /// # use attar_device::include_student;
    /// include_student!(STUDENT, concat!(env!("CARGO_MANIFEST_DIR"), "/examples/student.attar"));
    /// const _: () = STUDENT.within(4096, 1024, 10_000);
    /// ```
    ///
    /// Another kilobyte of weights, and this does not compile:
    ///
    /// ```compile_fail
    /// # use attar_device::include_student;
    /// include_student!(STUDENT, concat!(env!("CARGO_MANIFEST_DIR"), "/examples/student.attar"));
    /// const _: () = STUDENT.within(1024, 1024, 10_000);
    /// ```
    ///
    /// # Panics
    ///
    /// When it takes more: used in a constant, that is a compile error.
    #[allow(clippy::panic)]
    pub const fn within(&self, flash: usize, ram: usize, work: u32) {
        if self.flash_bytes() > flash {
            panic!("the student takes more flash than its budget");
        }
        if self.arena_bytes() > ram {
            panic!("the student's arena is larger than its budget of RAM");
        }
        if self.work() > work {
            panic!("the student takes more steps than its budget of work");
        }
    }

    /// Checks the whole file and returns the student.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`].
    pub fn parse(&self) -> Result<Student<'static, PARTS>, Error> {
        Ok(Student { model: Model::parse_parts(self.bytes)? })
    }
}

/// The memory that a session computes in.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Arena<const BYTES: usize>([i8; BYTES]);

impl<const BYTES: usize> Arena<BYTES> {
    /// Returns an arena of zeros, which in a `static` takes no flash.
    pub const fn new() -> Self {
        Self([0; BYTES])
    }

    /// Returns the bytes.
    pub fn as_mut_slice(&mut self) -> &mut [i8] {
        &mut self.0
    }
}

impl<const BYTES: usize> Default for Arena<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes at an address that is a multiple of 16, where word loads are quickest.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// Defines a constant of type [`EmbeddedStudent`] with the bytes of a file, aligned, its header checked at compile time.
///
/// Operators and kinds of facts that the student has none of are not linked. The constant is private, or what stands before its
/// name: `include_student!(pub STUDENT, "student.attar")`.
///
/// ```
/// use attar_device::{Arena, include_student};
///
/// include_student!(STUDENT, concat!(env!("CARGO_MANIFEST_DIR"), "/examples/student.attar"));
///
/// # fn main() -> Result<(), attar_device::Error> {
/// let mut arena = Arena::<{ STUDENT.arena_bytes() }>::new();
/// let student = STUDENT.parse()?;
/// let session = student.session(&mut arena)?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! include_student {
    ($visibility:vis $name:ident, $path:expr) => {
        $visibility const $name: $crate::EmbeddedStudent<{ $crate::EmbeddedStudent::parts_of(include_bytes!($path)) }> = {
            static BYTES: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
            $crate::EmbeddedStudent::new(&BYTES.0)
        };
    };
}
