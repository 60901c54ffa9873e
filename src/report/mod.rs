//! What a run says: one stream of typed events, and renderers that are twins.

pub mod event;
