//! Operations: one line of a rule that says what may be called.
