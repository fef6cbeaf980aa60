//! Faults of values.

/// A parameter that is no value of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("its text is not UTF-8")]
    NotUtf8,
    #[error("its text holds the character 0, which no text of a database can hold")]
    Zero,
    #[error("it has {given} characters, and may have {most}")]
    TooLong { given: usize, most: u32 },
    #[error("it has {bytes} bytes, which is not what {bits} bits take")]
    Bits { bits: u32, bytes: usize },
    #[error("`{0}` is no decimal number")]
    Numeric(String),
    #[error("the sign of a floating-point number is 1 or -1, not {0}")]
    Sign(i8),
    #[error("it is no number (NaN), which SQLite cannot keep")]
    NotANumber,
    #[error("{year}-{month}-{day} is no day that a database knows")]
    Date { year: i32, month: u32, day: u32 },
    #[error("{hour}:{min}:{sec} and {micro} microseconds is no time of a day")]
    Time {
        hour: u32,
        min: u32,
        sec: u32,
        micro: u32,
    },
    #[error("an offset of {0} seconds is a day or more")]
    Offset(i64),
}
