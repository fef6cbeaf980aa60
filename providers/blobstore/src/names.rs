//! Which names there can be.
//!
//! The interface takes any text. A name here is one that all backends can keep, so that an application whose
//! names one takes can be linked to any other: a container is one word, and an object is words with `/` between them,
//! none of which leads anywhere else. Keeping other names encoded was left: a folder would then not show what
//! components wrote, and what is in one already would have other names.

use withe_provider::{Blob, CallContext, ObjectNames, Written};
use withe_provider::{
    BlobError, BlobErrorKind, BlobStore, Body, ContainerInfo, ObjectId, ObjectInfo,
};

use std::ops::Range;
use std::sync::Arc;

/// The most bytes of an object's name, as S3 has it.
const LONGEST_OBJECT: usize = 1024;
/// The most bytes of a word of a name, as file systems have it.
const LONGEST_WORD: usize = 255;

/// Names that start with this are the store's own, where it keeps something of its own.
pub(crate) const OWN: &str = ".withe-";

/// Checks a container's name.
pub(crate) fn check_container(name: &str) -> Result<(), BlobError> {
    let problem = if name.contains('/') {
        Some("has a `/`")
    } else {
        wrong(name)
    };
    problem.map_or(Ok(()), |why| Err(invalid("container", name, why)))
}

/// Checks an object's name.
pub(crate) fn check_object(name: &str) -> Result<(), BlobError> {
    if name.len() > LONGEST_OBJECT {
        let text = format!(
            "the name of an object has {} bytes, and may have {LONGEST_OBJECT}",
            name.len()
        );
        return Err(BlobError::new(BlobErrorKind::Invalid, text));
    }
    match name.split('/').find_map(wrong) {
        None => Ok(()),
        Some(why) => Err(invalid("object", name, why)),
    }
}

/// The fault of a word of a name.
fn wrong(word: &str) -> Option<&'static str> {
    match word {
        "" => Some("is empty, or has an empty word at its start, its end, or between two `/`"),
        "." | ".." => Some("has a word `.` or `..`"),
        _ if word.len() > LONGEST_WORD => Some("has a word of more than 255 bytes"),
        _ if word.starts_with(OWN) => {
            Some("starts with `.withe-`, which is kept for the store itself")
        }
        _ if word.contains(|c: char| c.is_control() || c == '\\') => {
            Some("has a control character or a `\\`")
        }
        _ => None,
    }
}

fn invalid(what: &str, name: &str, why: &str) -> BlobError {
    // Whoever shows it shows no control characters of a component.
    let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    let text = format!("`{shown}` cannot be the name of a {what}: it {why}");
    BlobError::new(
        BlobErrorKind::Invalid,
        text.replace("of a object", "of an object"),
    )
}

fn check_id(id: &ObjectId) -> Result<(), BlobError> {
    check_container(&id.container)?;
    check_object(&id.object)
}

/// A store that is asked only for what can be there.
pub(crate) struct Named<S: ?Sized>(pub(crate) Arc<S>);

#[async_trait::async_trait]
impl<S: BlobStore + ?Sized> BlobStore for Named<S> {
    async fn create_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        check_container(name)?;
        self.0.create_container(name, context).await
    }

    async fn container_exists(&self, name: &str, context: CallContext) -> Result<bool, BlobError> {
        check_container(name)?;
        self.0.container_exists(name, context).await
    }

    async fn delete_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        check_container(name)?;
        self.0.delete_container(name, context).await
    }

    async fn clear_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        check_container(name)?;
        self.0.clear_container(name, context).await
    }

    async fn container_info(
        &self,
        name: &str,
        context: CallContext,
    ) -> Result<ContainerInfo, BlobError> {
        check_container(name)?;
        self.0.container_info(name, context).await
    }

    async fn list_objects(
        &self,
        container: &str,
        context: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        check_container(container)?;
        self.0.list_objects(container, context).await
    }

    async fn has_object(&self, id: &ObjectId, context: CallContext) -> Result<bool, BlobError> {
        check_id(id)?;
        self.0.has_object(id, context).await
    }

    async fn object_info(
        &self,
        id: &ObjectId,
        context: CallContext,
    ) -> Result<ObjectInfo, BlobError> {
        check_id(id)?;
        self.0.object_info(id, context).await
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        context: CallContext,
    ) -> Result<(), BlobError> {
        check_container(container)?;
        objects.iter().try_for_each(|name| check_object(name))?;
        self.0.delete_objects(container, objects, context).await
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        check_id(from)?;
        check_id(to)?;
        self.0.copy_object(from, to, context).await
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        check_id(from)?;
        check_id(to)?;
        self.0.move_object(from, to, context).await
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        context: CallContext,
    ) -> Result<Blob, BlobError> {
        check_id(id)?;
        if range.start > range.end {
            let text = format!(
                "the range from {} to {} ends before it begins",
                range.start, range.end
            );
            return Err(BlobError::new(BlobErrorKind::Invalid, text));
        }
        self.0.read(id, range, context).await
    }

    async fn write(
        &self,
        id: &ObjectId,
        body: Body,
        context: CallContext,
    ) -> Result<Written, BlobError> {
        check_id(id)?;
        self.0.write(id, body, context).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for name in [
            "a",
            "a/b/c.txt",
            "ü 1/…",
            "..a",
            "a..",
            ".hidden",
            &"x".repeat(255),
        ] {
            assert_eq!(check_object(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a\0b",
            "a\nb",
            "a\\b",
            ".withe-uploads/x",
            "a/.withe-x",
        ] {
            let why = check_object(name).unwrap_err();
            assert_eq!(why.kind, BlobErrorKind::Invalid, "{name:?}");
            assert!(!why.message.contains(['\0', '\n']), "{why}");
        }
        assert!(check_object(&"x".repeat(256)).is_err());
        assert!(check_object(&"x/".repeat(600)).is_err());
        assert_eq!(check_container("pets"), Ok(()));
        for name in ["", "a/b", "..", ".withe-uploads"] {
            assert!(check_container(name).is_err(), "{name}");
        }
        let why = check_container("a/b").unwrap_err();
        assert_eq!(
            why.message,
            "`a/b` cannot be the name of a container: it has a `/`"
        );
    }
}
