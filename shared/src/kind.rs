//! The table of operators, and the kinds that follow from it.

/// Calls a macro with the table of operators: a line for each, with the code in the file, the kind, its name, its module in
/// `operators/` and its parameters. A new operator is a line here and a file there. Codes are never reused.
macro_rules! operators {
    ($then:ident) => {
        $then! {
            /// A matrix product of the flattened input with weights `[out, in]`.
            0 Dense "dense" dense,
            /// A convolution with weights `[out, kernel_height, kernel_width, in]`; over a series when the height is 1.
            1 Convolution "convolution" convolution (Window),
            /// A convolution channel by channel with weights `[kernel_height, kernel_width, channels]`.
            2 Depthwise "depthwise" depthwise (Window),
            /// The sum of two tensors; the second may be a vector that is added at every position.
            3 Add "add" add (AddConstants),
            /// The mean over a window, padding counted as zero.
            4 AveragePool "average pool" average_pool (Window, Requantization),
            /// The greatest value in a window, padding left out.
            5 MaxPool "max pool" max_pool (Window),
            /// A function of each value: entry i is the answer to the value whose byte is i.
            6 Table "table" table (&'a [u8; 256]),
            /// The channels of all inputs one after the other; a vector is repeated at every position.
            7 Concat "concat" concat,
            /// The product of two tensors; the second may be a vector for every position.
            8 Multiply "multiply" multiply (Requantization),
            /// The last positions of a series: its own output of the run before, moved by as many as the input has, then
            /// the input.
            9 Delay "delay" delay,
            /// The mean of the rows that a text's n-grams choose.
            10 Bag "bag" bag (Bag<'a>),
            /// Each pixel repeated along both axes, as often as the output is larger.
            11 Upsample "upsample" upsample,
        }
    };
}
pub(crate) use operators;

macro_rules! define_kinds {
    ($($(#[$doc:meta])* $code:literal $kind:ident $name:literal $module:ident $(($($parameter:ty),*))?,)*) => {
        /// The kinds of operators by their code in the file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $kind = $code,)*
        }

        impl Kind {
            /// All kinds, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Returns the kind with a code.
            #[inline(always)]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// Returns the name, as reports print it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}
operators!(define_kinds);

/// The width and the order of an operator's weights; 0 for kinds without weights for each output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
#[repr(u8)]
pub enum Form {
    /// 8 bits; those of dense and convolution in blocks of four rows, see the specification.
    #[default]
    Int8 = 0,
    /// 4 bits, row by row.
    Int4 = 1,
    /// 8 bits, row by row.
    Int8Rows = 2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_codes_of_their_places() {
        for (code, &kind) in (0..).zip(Kind::ALL) {
            assert_eq!((kind as u8, Kind::from_code(code)), (code, Some(kind)));
        }
        assert_eq!(Kind::from_code(Kind::ALL.len() as u8), None);
    }
}
