//! The modules of the operator's crate, parsed from its sources, without tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, UseTree};

/// The segments of a path, such as `crate::api::Model`, or of a module, relative to the root of the crate.
pub type Segments = Vec<String>;

/// One module.
#[derive(Debug, Default)]
pub struct Module {
    /// Its file, relative to the root of the repository.
    pub file: String,
    /// The items that it defines.
    pub items: BTreeSet<String>,
    /// Its imports, by their local names.
    pub imports: BTreeMap<String, Segments>,
    /// The modules of its glob imports.
    pub globs: Vec<Segments>,
    /// Every other path in it with at least two segments.
    pub paths: BTreeSet<Segments>,
}

/// The operator's crate.
#[derive(Debug, Default)]
pub struct Crate {
    /// By path.
    pub modules: BTreeMap<Segments, Module>,
}

impl Crate {
    /// Parses it.
    pub fn read() -> Self {
        let mut read = Self::default();
        read.add_file(Vec::new(), &root().join("src/lib.rs"), &root().join("src"));
        read
    }

    /// The files of its modules.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.modules.values().map(|module| module.file.as_str())
    }

    /// Adds the module of a file; its children are in `folder`.
    fn add_file(&mut self, path: Segments, file: &Path, folder: &Path) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.add_text(path, &relative(file), folder, &text);
    }

    /// Adds the module of a file with this text.
    pub fn add_text(&mut self, path: Segments, file: &str, folder: &Path, text: &str) {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.add_items(path, file, folder, &parsed.items);
    }

    fn add_items(&mut self, path: Segments, file: &str, folder: &Path, items: &[Item]) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Mod(child) => {
                    let name = child.ident.to_string();
                    let (path, below) = ([&*path, std::slice::from_ref(&name)].concat(), folder.join(&name));
                    match &child.content {
                        Some((_, items)) => self.add_items(path, file, &below, items),
                        None if below.join("mod.rs").exists() => self.add_file(path, &below.join("mod.rs"), &below),
                        None => self.add_file(path, &below.with_extension("rs"), &below),
                    }
                }
                Item::Use(import) => flatten(&import.tree, &mut Vec::new(), &mut |path, name| match name {
                    Some(name) => drop(module.imports.insert(name, path)),
                    None => module.globs.push(path),
                }),
                item => {
                    module.items.extend(name_of(item));
                    Paths { found: &mut module.paths }.visit_item(item);
                }
            }
        }
        self.modules.insert(path, module);
    }
}

/// Every path below an item, outside tests.
struct Paths<'a> {
    found: &'a mut BTreeSet<Segments>,
}

impl Visit<'_> for Paths<'_> {
    fn visit_item(&mut self, item: &Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_test(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, import: &syn::ItemUse) {
        flatten(&import.tree, &mut Vec::new(), &mut |path, _| {
            self.found.insert(path);
        });
    }

    // `pub(in path)` imports nothing.
    fn visit_visibility(&mut self, _: &syn::Visibility) {}

    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.found.insert(segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &syn::Macro) {
        // The expansion of a macro is unknown, but its tokens contain paths.
        let text = called.tokens.to_string().replace(" :: ", "::");
        for word in text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':')) {
            let segments: Segments = word.split("::").map(str::to_owned).collect();
            if segments.len() > 1 && segments.iter().all(|segment| syn::parse_str::<syn::Ident>(segment).is_ok() || is_keyword(segment)) {
                self.found.insert(segments);
            }
        }
    }
}

fn is_keyword(segment: &str) -> bool {
    ["crate", "self", "super"].contains(&segment)
}

/// Calls `found` with each path of a `use` and its local name; without a name for `*`.
fn flatten(tree: &UseTree, before: &mut Segments, found: &mut impl FnMut(Segments, Option<String>)) {
    let mut leaf = |last: String, name: String| {
        // `self` in braces is the module itself.
        let (path, name) = if last == "self" && !before.is_empty() {
            let own = before.last().filter(|_| name == "self").cloned().unwrap_or(name);
            (before.clone(), own)
        } else {
            ([&**before, &[last]].concat(), name)
        };
        found(path, Some(name));
    };
    match tree {
        UseTree::Name(it) => leaf(it.ident.to_string(), it.ident.to_string()),
        UseTree::Rename(it) => leaf(it.ident.to_string(), it.rename.to_string()),
        UseTree::Glob(_) => found(before.clone(), None),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, found)),
        UseTree::Path(it) => {
            before.push(it.ident.to_string());
            flatten(&it.tree, before, found);
            before.pop();
        }
    }
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(it) => it.ident.to_string(),
        Item::Enum(it) => it.ident.to_string(),
        Item::Fn(it) => it.sig.ident.to_string(),
        Item::Static(it) => it.ident.to_string(),
        Item::Struct(it) => it.ident.to_string(),
        Item::Trait(it) => it.ident.to_string(),
        Item::TraitAlias(it) => it.ident.to_string(),
        Item::Type(it) => it.ident.to_string(),
        Item::Union(it) => it.ident.to_string(),
        Item::Macro(it) => it.ident.as_ref()?.to_string(),
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is =
        |attribute: &Attribute| attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|cfg| cfg == "test");
    attributes.iter().any(is)
}

/// The folder of a file in `parent`: for `src`, `engine` for `src/engine/decide.rs`, and `text` for `src/text.rs`. `None` outside `parent`.
pub fn folder_in<'a>(parent: &str, file: &'a str) -> Option<&'a str> {
    let below = file.strip_prefix(parent)?.strip_prefix('/')?;
    Some(below.split_once('/').map_or(below.trim_end_matches(".rs"), |(folder, _)| folder))
}

/// Every Rust file below these folders, with its text.
pub fn rust_files(folders: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(relative(&path), std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The names of the functions in a file.
pub fn functions(text: &str) -> Vec<String> {
    struct Names(Vec<String>);
    impl Visit<'_> for Names {
        fn visit_signature(&mut self, signature: &syn::Signature) {
            self.0.push(signature.ident.to_string());
        }
    }
    let mut names = Names(Vec::new());
    names.visit_file(&syn::parse_file(text).unwrap());
    names.0
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}
