//! Some of a load's classes.

use quorate_core::ClassId;

/// A set of classes, which one load answers.
#[derive(Clone)]
pub(crate) struct Classes {
    has: [bool; 1 << u8::BITS],
    len: usize,
}

impl Classes {
    pub(crate) const NONE: Self = Self {
        has: [false; 1 << u8::BITS],
        len: 0,
    };

    pub(crate) fn of(classes: impl IntoIterator<Item = ClassId>) -> Self {
        let mut all = Self::NONE;
        for class in classes {
            all.len += usize::from(!all.has(class));
            all.has[usize::from(class.0)] = true;
        }
        all
    }

    #[inline]
    pub(crate) const fn has(&self, class: ClassId) -> bool {
        self.has[class.0 as usize]
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}
