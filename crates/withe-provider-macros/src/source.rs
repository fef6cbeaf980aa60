//! The WIT files: one text for each package, as a provider hands them out.
//!
//! The parsed text is exactly the text that is handed out. A package in several files has to become one text, though files
//! have headers of their own: those behind the first lose theirs.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use proc_macro2::TokenStream;
use quote::quote;
use wit_parser::{PackageId, Resolve, SourceMap, UnresolvedPackageGroup};

use crate::problem::Problems;

/// The packages, parsed.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) resolve: Resolve,
    /// The package that has the world.
    pub(crate) main: PackageId,
    /// The packages' texts, an expression each, that of `main` last.
    pub(crate) texts: Vec<TokenStream>,
}

/// One package.
struct Package {
    /// Its files, absolute, with what is in them.
    files: Vec<(PathBuf, String)>,
}

/// Why there are no packages.
#[derive(Debug)]
pub(crate) enum SourceError {
    /// No path is given.
    Unnamed,
    /// A file or folder cannot be read.
    Io { path: PathBuf, source: io::Error },
    /// A folder has no file of WIT.
    Empty(PathBuf),
    /// A file is not WIT: says where.
    Wit(String),
    /// The files of a package are WIT each, and not as one.
    Merged { package: String, why: String },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str(
                "no WIT is named: write the path of a folder or file, as in `generate!(\"wit\")`",
            ),
            Self::Io { path, source } => {
                write!(f, "`{}` cannot be read: {source}", path.display())
            }
            Self::Empty(path) => {
                let path = path.display();
                write!(f, "`{path}` has no file whose name ends in `.wit`")
            }
            Self::Wit(why) => f.write_str(why),
            Self::Merged { package, why } => write!(
                f,
                "the package `{package}` is one text only if it is in one file: {why}"
            ),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<SourceError> for Problems {
    fn from(error: SourceError) -> Self {
        Self::from(error.to_string())
    }
}

/// Reads the packages at `paths`, which are relative to `root`.
///
/// # Errors
///
/// If there is none, a file cannot be read, or is not WIT.
pub(crate) fn read(root: &Path, paths: &[String]) -> Result<Sources, SourceError> {
    let mut packages = Vec::new();
    for path in paths {
        packages.extend(packages_at(&root.join(path))?);
    }
    let Some(main) = packages.pop() else {
        return Err(SourceError::Unnamed);
    };
    let mut resolve = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let others = packages.iter().map(Package::parse);
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let pushed = resolve.push_groups(main.parse()?, others);
    let id = pushed.map_err(|e| SourceError::Wit(e.render(&resolve.source_map)))?;
    let texts = packages.iter().chain([&main]).map(Package::text).collect();
    Ok(Sources {
        resolve,
        main: id,
        texts,
    })
}

/// The package at `path`, last, and those in its folder `deps`.
fn packages_at(path: &Path) -> Result<Vec<Package>, SourceError> {
    if !path.is_dir() {
        return Ok(vec![Package::of(vec![path.to_owned()])?]);
    }
    let mut packages = Vec::new();
    let deps = path.join("deps");
    if deps.is_dir() {
        for entry in entries(&deps)? {
            if entry.is_dir() {
                packages.push(Package::of(wit_files(&entry)?)?);
            } else if is_wit(&entry) {
                packages.push(Package::of(vec![entry])?);
            }
        }
    }
    let files = wit_files(path)?;
    if files.is_empty() {
        return Err(SourceError::Empty(path.to_owned()));
    }
    packages.push(Package::of(files)?);
    Ok(packages)
}

fn is_wit(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wit")
}

fn wit_files(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = entries(folder)?;
    files.retain(|path| is_wit(path) && !path.is_dir());
    Ok(files)
}

/// The entries of a folder, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let cannot = |source| SourceError::Io {
        path: folder.to_owned(),
        source,
    };
    let entries = fs::read_dir(folder).map_err(cannot)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(cannot)?;
    paths.sort();
    Ok(paths)
}

impl Package {
    fn of(paths: Vec<PathBuf>) -> Result<Self, SourceError> {
        let read = |path: PathBuf| match fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(source) => Err(SourceError::Io { path, source }),
        };
        let mut files = paths.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        // The first one keeps its header, so it must have one.
        files.sort_by_key(|(_, text)| header(text).is_none());
        Ok(Self { files })
    }

    /// The text of all files as one.
    fn merged(&self) -> String {
        let texts = self.files.iter().enumerate().map(|(i, (_, text))| {
            let header = if i == 0 { None } else { header(text) };
            &text[header.unwrap_or(0)..]
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Parses the files as they are, so that errors say where in them; and, if they are several, what is made of
    /// them.
    fn parse(&self) -> Result<UnresolvedPackageGroup, SourceError> {
        let mut map = SourceMap::default();
        for (path, text) in &self.files {
            map.push(path, text.as_str());
        }
        let parsed = parse(map)?;
        let [_, _, ..] = self.files.as_slice() else {
            return Ok(parsed);
        };
        let mut map = SourceMap::default();
        map.push_str("all files of the package as one", self.merged());
        let package = parsed.main.name.to_string();
        map.parse().map_err(|(map, e)| SourceError::Merged {
            package,
            why: e.render(&map),
        })
    }

    /// The text as an expression, which is looked at again when a file changes.
    fn text(&self) -> TokenStream {
        let paths = self
            .files
            .iter()
            .map(|(path, _)| path.display().to_string());
        let paths: Vec<_> = paths.collect();
        match paths.as_slice() {
            [path] => quote!(::core::include_str!(#path)),
            paths => {
                let merged = self.merged();
                quote!({
                    #(const _: &str = ::core::include_str!(#paths);)*
                    #merged
                })
            }
        }
    }
}

fn parse(map: SourceMap) -> Result<UnresolvedPackageGroup, SourceError> {
    map.parse()
        .map_err(|(map, e)| SourceError::Wit(e.render(&map)))
}

/// Where the header of a WIT file ends, if it has one: `package NAME;`, and the comments before it.
fn header(text: &str) -> Option<usize> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(line) = rest.strip_prefix("//") {
            rest = &line[line.find('\n')?..];
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = &comment[comment_end(comment)?..];
        } else {
            break;
        }
    }
    let name = rest.strip_prefix("package")?;
    let end = name.find([';', '{'])?;
    // A package in braces is not the file's own.
    let is_header = name.starts_with(char::is_whitespace) && name[end..].starts_with(';');
    is_header.then_some(text.len() - name.len() + end + 1)
}

/// Where a comment that has begun ends; comments nest.
fn comment_end(text: &str) -> Option<usize> {
    let mut depth = 1;
    let mut at = 0;
    while depth > 0 {
        let next = at + text[at..].find(['*', '/'])?;
        (depth, at) = match &text.as_bytes()[next..] {
            [b'*', b'/', ..] => (depth - 1, next + 2),
            [b'/', b'*', ..] => (depth + 1, next + 2),
            _ => (depth, next + 1),
        };
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn headers_end_where_the_file_begins() {
        let table = [
            ("package a:b;\ninterface c {}", Some("\ninterface c {}")),
            (
                "// Mine.\n/* a /* b */ package x:y; */\n/// It.\npackage a:b@1.0.0; x",
                Some(" x"),
            ),
            ("interface c {}", None),
            ("package a:b { interface c {} }\ninterface d {}", None),
            ("packaged", None),
            ("/* not closed", None),
            ("", None),
        ];
        for (text, rest) in table {
            assert_eq!(header(text).map(|end| &text[end..]), rest, "{text}");
        }
    }

    fn error(files: &[(&str, &str)]) -> String {
        let folder = Folder::with(files);
        read(folder.path(), &["wit".into()])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_package_in_several_files_is_one_text() {
        let folder = Folder::with(&[
            (
                "wit/a.wit",
                "interface one { use x:y/z.{t}; f: func(t: t); }",
            ),
            (
                "wit/b.wit",
                "/// All of it.\npackage a:b;\nworld provider { export one; export two; }",
            ),
            ("wit/c.wit", "package a:b;\ninterface two {}"),
            (
                "wit/deps/x/z.wit",
                "package x:y;\ninterface z { type t = u8; }",
            ),
            ("wit/README.md", "not WIT"),
        ]);
        let sources = read(folder.path(), &["wit".into()]).unwrap();
        assert_eq!(
            sources.resolve.packages[sources.main].name.to_string(),
            "a:b"
        );
        let [dependency, main] = sources.texts.as_slice() else {
            panic!("{:?}", sources.texts)
        };
        assert!(dependency.to_string().contains("z.wit"), "{dependency}");
        let main = main.to_string();
        assert_eq!(main.matches("package a:b;").count(), 1, "{main}");
        for file in ["a.wit", "b.wit", "c.wit"] {
            assert!(main.contains(file), "{main}");
        }
    }

    #[test]
    fn what_is_no_wit_is_said_with_its_place() {
        let text = error(&[(
            "wit/a.wit",
            "package a:b;\ninterface c { f: func(x: nothing); }",
        )]);
        assert!(text.contains("a.wit:2:26"), "{text}");
        assert!(text.contains("`nothing`"), "{text}");
        let text = error(&[("wit/a.txt", "")]);
        assert!(
            text.contains("has no file whose name ends in `.wit`"),
            "{text}"
        );
        let text = error(&[("wat", "")]);
        assert!(text.contains("wit` cannot be read"), "{text}");
        let text = read(Path::new(""), &[]).unwrap_err().to_string();
        assert!(text.contains("no WIT is named"), "{text}");
    }

    #[test]
    fn files_that_cannot_be_one_are_said() {
        let text = error(&[
            ("wit/a.wit", "package a:b;\nuse x:y/z;\ninterface c {}"),
            ("wit/b.wit", "package a:b;\nuse x:y/z;\ninterface d {}"),
            ("wit/deps/x.wit", "package x:y;\ninterface z {}"),
        ]);
        assert!(
            text.contains("the package `a:b` is one text only if it is in one file"),
            "{text}"
        );
    }
}
