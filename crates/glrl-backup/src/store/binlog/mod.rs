pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod invoker;
