//! Small changes to an input, from a seed: what `make test` tries beside the corpus itself.

/// Words that readers look for.
const WORDS: &[&str] = &[
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

/// A source of numbers that a seed says (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from 0 to `limit - 1`; 0 where the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(number).unwrap_or(0).checked_rem(limit).unwrap_or(0)
    }
}

/// The input with one to four changes; `other` is another one, of which parts are taken.
#[must_use]
pub fn mutated(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            2 => {
                let end = (at + dice.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let start = dice.below(other.len() + 1);
                let end = (start + dice.below(64)).min(other.len());
                bytes.splice(at..at, other[start..end].iter().copied());
            }
            4 => {
                let part = bytes[at..(at + dice.below(32)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let byte = u8::try_from(dice.below(256)).unwrap_or(0);
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
        }
    }
    bytes
}
