//! Folders and files that only this user can change.
//!
//! Compiled code, keys, sockets and extracted programs lie on disks that other users of the machine share. A user who
//! can change such a file, or a folder above it, or a link on the way to it, decides what a host runs. So every folder
//! that a host makes for itself is made and checked here:
//!
//! * [`PrivateFolder`]: a folder with a fixed path, such as a cache. The folder is this user's, nobody else may enter
//!   it, and nobody else could have put it, or a link, in its place.
//! * [`TemporaryFolder`]: a folder with a new name. The folder goes with the value, and after a crash with the next
//!   start ([`sweep`]).
//! * [`read_private`] and [`read_trusted`]: a file that an operator names, such as a key.
//!
//! Checking alone does not help where a folder must be shared; the reader authenticates files from one that could be.
//! Opening everything by handles relative to a checked folder (`openat2`) was left: within a folder that passes,
//! nobody else can exchange anything between the check and the use.
//!
//! Unix only, as sockets and processes of providers are.

mod file;
mod folder;
mod temporary;
mod trusted;

pub use file::{read_private, read_trusted};
pub use folder::PrivateFolder;
pub use temporary::{TemporaryFolder, sweep};
pub use trusted::{FolderError, is_trusted_user};
