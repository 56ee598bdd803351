//! Sanitizes text from users and services before the operator shows it: removes invisible characters and those that change the text
//! direction. Also compares names by what they show.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use unicase::UniCase;

/// A text in one line without control, invisible and direction-changing characters. Each control character and each type of whitespace
/// becomes a space. A zero-width joiner or non-joiner stays between two letters of a script that requires it.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    // The braille blank has a width, but no dots.
    filtered(text, |c| if c.is_control() || c.is_whitespace() || c == '\u{2800}' { ' ' } else { c })
}

/// A text without invisible and direction-changing characters, as in [`plain`]. Line breaks and control characters stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    filtered(text, |c| c)
}

fn filtered(text: &str, replace: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut last, mut chars) = (String::with_capacity(text.len()), None, text.chars().peekable());
    while let Some(c) = chars.next() {
        let is_joiner = matches!(c, '\u{200c}' | '\u{200d}');
        if is_joiner && last.is_some_and(is_of_joining_script) && chars.peek().copied().is_some_and(is_of_joining_script)
            || !is_invisible(c)
        {
            out.push(replace(c));
            last = Some(c);
        }
    }
    Cow::Owned(out)
}

/// Whether fonts render nothing for a character, or it changes the direction of others: the Unicode property
/// `Default_Ignorable_Code_Point`, and interlinear annotation characters.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The visible part of a name: without spaces and invisible characters, each letter in one encoding and in one case. The i with and without
/// its dot is one letter here, because a service whose language is Turkish folds it in another way.
#[must_use]
pub fn letters(name: &str) -> String {
    let composed = ComposingNormalizerBorrowed::new_nfkc();
    let folded = UniCase::unicode(composed.normalize(name)).to_folded_case();
    // Folding may decompose a letter again; only the dot of a Turkish i then stays separate.
    let letters = composed.normalize(&folded).into_owned().replace('\u{131}', "i").replace('\u{307}', "");
    letters.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !is_invisible(*c)).collect()
}

/// Whether joiners change the shape of a character: in Arabic, the scripts of India and its neighbors, and Mongolian.
fn is_of_joining_script(c: char) -> bool {
    let in_range = matches!(c, '\u{600}'..='\u{7ff}' | '\u{840}'..='\u{dff}' | '\u{f00}'..='\u{109f}' | '\u{1700}'..='\u{18af}'
        | '\u{1900}'..='\u{1aaf}' | '\u{1b00}'..='\u{1c4f}' | '\u{a800}'..='\u{a8ff}' | '\u{a980}'..='\u{aadf}' | '\u{abc0}'..='\u{abff}'
        | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{11000}'..='\u{11fff}' | '\u{1e900}'..='\u{1e95f}');
    in_range && !c.is_numeric() && !is_invisible(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_removed() {
        let rows = [
            ("plain text, 1 < 2 ~", "plain text, 1 < 2 ~"),
            ("Umsätze für Köln", "Umsätze für Köln"),
            ("line one\r\nline two\ttab\u{0}", "line one  line two tab "),
            ("one\u{85}two\u{2028}three\u{2029}four\u{2800}five\u{a0}six\u{3000}seven", "one two three four five six seven"),
            ("ab\u{202e}gpj.exe\u{202c}", "abgpj.exe"),
            ("\u{2066}a\u{2067}b\u{2068}c\u{2069}\u{200e}\u{200f}\u{61c}", "abc"),
            ("\u{feff}pass\u{200b}word\u{2060}s\u{ad}", "passwords"),
            ("a\u{34f}b\u{115f}c\u{3164}d\u{ffa0}e\u{180e}f\u{fe0f}g\u{fff9}h", "abcdefgh"),
            // Tag characters, which can hide a text in another one.
            ("hi\u{e0041}\u{e0042}\u{e007f}\u{e0100}", "hi"),
            ("\u{1b}[31mred", " [31mred"),
        ];
        for (text, expected) in rows {
            assert_eq!(plain(text), expected, "{text:?}");
        }
        assert_eq!(visible("{\u{1b}[31m\"a\u{202e}\": 1}\n\u{feff}"), "{\u{1b}[31m\"a\": 1}\n");
    }

    #[test]
    fn joiners_are_kept_between_letters_of_their_scripts() {
        let rows = [
            ("می\u{200c}شود", "می\u{200c}شود"),
            ("क\u{94d}\u{200d}ष", "क\u{94d}\u{200d}ष"),
            ("ශ\u{dca}\u{200d}රී", "ශ\u{dca}\u{200d}රී"),
            ("ad\u{200d}min", "admin"),
            ("می\u{200c}\u{200c}\u{200d}شود", "می\u{200d}شود"),
            ("\u{200c}می\u{200c}", "می"),
            ("می\u{200c} شود", "می شود"),
            ("می\u{200c}\u{202e}شود", "میشود"),
            ("٣\u{200c}٤", "٣٤"),
        ];
        for (text, expected) in rows {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_that_look_alike_have_the_same_letters() {
        let rows = [
            ("Dummy Sales", "dummy\u{a0} SALES\u{200b}", true),
            ("Ums\u{e4}tze", "UMSA\u{308}TZE", true),
            ("\u{ff33}ales", "Sales", true),
            ("\u{130}ade", "iade", true),
            ("Sales", "Sale", false),
            ("Ums\u{e4}tze", "Umsatze", false),
        ];
        for (one, other, expected) in rows {
            assert_eq!(letters(one) == letters(other), expected, "{one:?} {other:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn plain_is_idempotent_for_any_text(text in "[\\u{0}-\\u{7f}\\u{600}-\\u{94f}\\u{2000}-\\u{206f}\\u{fe00}-\\u{feff}\\u{e0000}-\\u{e0fff}]{0,40}") {
            let shown = plain(&text).into_owned();
            proptest::prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c) && !matches!(c, '\u{200c}' | '\u{200d}')), "{:?}", shown);
            proptest::prop_assert_eq!(plain(&shown).into_owned(), shown.clone());
        }
    }
}
