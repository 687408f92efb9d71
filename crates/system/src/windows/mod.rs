//! Owners and access lists; jobs.

mod descriptor;
mod identity;
mod job;
mod open;
mod private;
mod process;
mod protection;
mod sid;
mod text;
mod token;

pub(crate) use self::identity::{is_same_file, stamp};
pub(crate) use self::open::{
    is_program, open_folder_lock, open_lock_file, open_no_link, sync_folder, text_of_bytes,
    try_lock_folder,
};
pub(crate) use self::private::{
    close_folder, create_private_file, create_private_folder, create_private_subfolder,
    create_temporary, give_rights, require_writable_folder,
};
pub(crate) use self::process::{process_exists, stderr};

pub use self::job::Job;
pub use self::protection::Protection;
pub use self::token::is_elevated;
