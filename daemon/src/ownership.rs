//! Who owns a file: what another user can change must neither configure the daemon nor be run by it.

use thiserror::Error;

/// Permissions with which another user could change it.
const OTHERS_WRITE: u32 = 0o022;

/// Why a file is not the user's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NotOurs {
    #[error("belongs to another user")]
    OtherOwner,
    #[error("can be written by others; chmod go-w")]
    Open,
}

/// Decides whether a file speaks for the user `uid`: theirs, or root's, who may do everything as it is.
pub(crate) fn check(owner: u32, mode: u32, uid: u32) -> Result<(), NotOurs> {
    if owner != uid && owner != 0 {
        Err(NotOurs::OtherOwner)
    } else if mode & OTHERS_WRITE != 0 {
        Err(NotOurs::Open)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_change_is_not_ours() {
        assert_eq!(check(1000, 0o755, 1000), Ok(()));
        assert_eq!(check(0, 0o755, 1000), Ok(()), "root's");
        assert_eq!(check(1001, 0o755, 1000), Err(NotOurs::OtherOwner));
        assert_eq!(check(1000, 0o775, 1000), Err(NotOurs::Open));
        assert_eq!(check(1000, 0o757, 1000), Err(NotOurs::Open));
    }
}
