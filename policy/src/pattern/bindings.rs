//! What captures stand for while one request is held against one rule.

use smallvec::SmallVec;

/// Names and the text they captured; four without allocation, which few rules exceed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings<'v>(SmallVec<[(&'v str, &'v str); 4]>);

impl<'v> Bindings<'v> {
    /// Binds `name`, or compares with what it is bound to: false if they differ.
    pub(crate) fn bind(&mut self, name: &'v str, value: &'v str) -> bool {
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, bound)) => *bound == value,
            None => {
                self.0.push((name, value));
                true
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `name` is bound to.
    pub(crate) fn value(&self, name: &str) -> Option<&'v str> {
        let bound = self.0.iter().find(|(known, _)| *known == name);
        bound.map(|(_, value)| *value)
    }

    /// Name and value, as a list.
    pub(crate) fn as_slice(&self) -> &[(&'v str, &'v str)] {
        &self.0
    }

    /// Name and value, in the order in which they were bound.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'v str, &'v str)> {
        self.0.iter().copied()
    }
}
