pub(crate) mod freeze;
pub(crate) mod identity;
pub(crate) mod option_files;
pub(crate) mod placement;
pub(crate) mod session;
pub(crate) mod survey;
