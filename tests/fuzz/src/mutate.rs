//! Small seeded mutations of an input, which `make test` runs in addition to the corpus.

/// Tokens that the parsers recognize.
const DICTIONARY: &[&str] = &[
    "\"",
    "\\",
    "\u{0}",
    "\r\n",
    "\n\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "\u{2028}",
    "\u{1f980}",
    "\"status\":\"succeeded\"",
    "\"value\":[",
    "\"error\":{",
    "9999-12-31T23:59:59.9999999Z",
    "-9999-01-01T00:00:00Z",
    "Retry-After: 99999999999",
    "Location: https://evil.example/refreshes/1",
    "../",
    "%2e%2e",
    "@",
    "-----BEGIN CERTIFICATE-----",
    "AADSTS",
    super::invariants::SECRET,
    super::invariants::TOKEN,
];

/// A seeded random number generator (xorshift64*).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Creates a generator. Equal seeds produce equal sequences.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from 0 to `limit - 1`, or 0 if the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(number).unwrap_or(0).checked_rem(limit).unwrap_or(0)
    }
}

/// The input with one to four mutations. Some insert parts of `other`.
#[must_use]
pub fn mutated(input: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let token = DICTIONARY[rng.below(DICTIONARY.len())];
                bytes.splice(at..at, token.bytes());
            }
            2 => {
                let end = (at + rng.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let start = rng.below(other.len() + 1);
                let end = (start + rng.below(64)).min(other.len());
                bytes.splice(at..at, other[start..end].iter().copied());
            }
            4 => {
                let part = bytes[at..(at + rng.below(32)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let byte = u8::try_from(rng.below(256)).unwrap_or(0);
                if let Some(target) = bytes.get_mut(at) {
                    *target = byte;
                }
            }
        }
    }
    bytes
}
