//! From the parser's characters to bytes.

use crate::document::source::offset;

/// Converts indexes of characters to offsets of bytes.
///
/// The parser counts characters. Counting them again for each event would make the
/// time for a file grow with the square of its length, so every `STEP`th is noted.
#[derive(Debug)]
pub(super) struct Offsets<'s> {
    text: &'s str,
    /// Byte offsets of every `STEP`th character; empty for ASCII, where they agree.
    steps: Vec<u32>,
}

const STEP: usize = 64;

impl<'s> Offsets<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        let steps = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices()
                .step_by(STEP)
                .map(|(byte, _)| offset(byte))
                .collect()
        };
        Self { text, steps }
    }

    /// The byte at which the character with this index begins; the end of the text if
    /// there is none.
    pub(super) fn byte(&self, character: usize) -> u32 {
        let end = self.text.len();
        if self.steps.is_empty() {
            return offset(character.min(end));
        }
        let Some(&step) = self.steps.get(character / STEP) else {
            return offset(end);
        };
        let rest = self.text.get(step as usize..).unwrap_or_default();
        let within = rest
            .char_indices()
            .nth(character % STEP)
            .map(|(byte, _)| byte);
        within.map_or(offset(end), |byte| step.saturating_add(offset(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_found() {
        for text in ["plain ascii", "", &"aü€😀".repeat(50)] {
            let offsets = Offsets::new(text);
            for (index, (byte, _)) in text.char_indices().enumerate() {
                assert_eq!(offsets.byte(index) as usize, byte, "{text}");
            }
            assert_eq!(offsets.byte(text.chars().count()) as usize, text.len());
            assert_eq!(offsets.byte(usize::MAX) as usize, text.len());
        }
    }
}
