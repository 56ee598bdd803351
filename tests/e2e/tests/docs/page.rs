//! A parsed page of the documents: its blocks, and its instructions for the test.

use std::fs;
use std::path::Path;

use e2e::paths;

/// A page.
pub struct Page {
    /// Its path, relative to the root.
    pub file: String,
    parts: Vec<Part>,
    prose: String,
}

/// The relevant parts of a page, in order.
pub enum Part {
    /// The initial state.
    Given(Vec<String>),
    /// A condition that must hold.
    Then(usize, String),
    /// A fenced block.
    Block(Block),
}

/// A fenced block.
pub struct Block {
    /// The line of its opening fence, counted from 1.
    pub line: usize,
    /// The first word after the fence.
    pub language: String,
    /// The reason why it is skipped.
    pub skip: Option<String>,
    /// The name of the file that it contains.
    pub file: Option<String>,
    /// Its content, without indentation.
    pub text: String,
}

impl Block {
    /// Whether it contains commands.
    pub fn is_shell(&self) -> bool {
        matches!(self.language.as_str(), "sh" | "bash" | "console")
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.is_shell() && self.skip.is_none()
    }

    /// Its commands.
    pub fn commands(&self) -> String {
        if self.language != "console" {
            return self.text.clone();
        }
        let commands = self.text.lines().filter_map(|line| line.strip_prefix("$ "));
        commands.flat_map(|command| [command, "\n"]).collect()
    }
}

impl Page {
    /// Parses a page.
    pub fn read(file: &str) -> Self {
        let text = fs::read_to_string(paths::workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (parts, prose) = parts(file, &text);
        Self { file: file.to_owned(), parts, prose }
    }

    /// A page without a file.
    pub fn of(name: &str, parts: Vec<Part>) -> Self {
        Self { file: name.to_owned(), parts, prose: String::new() }
    }

    /// Whether it has the help of a program, whose examples run elsewhere.
    pub fn is_help(&self) -> bool {
        matches!(self.file.as_str(), "docs/reference/flags.md" | "docs/reference/plugin.md")
    }

    /// Every page for users.
    pub fn all() -> Vec<Self> {
        let mut files = vec!["README.md".to_owned(), "SECURITY.md".to_owned(), "charts/tabular-operator/README.md".to_owned()];
        collect("docs", &mut files);
        collect("deploy", &mut files);
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// Its parts.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The commands in its sentences and lists.
    pub fn inline_commands(&self) -> impl Iterator<Item = String> {
        let spans = self.prose.split('`').skip(1).step_by(2);
        let commands = spans.filter(|span| ["kubectl ", "helm ", "tabular-operator "].iter().any(|program| span.starts_with(program)));
        // A command with two words, or three for the plugin, is only its name.
        let name = |command: &str| if command.starts_with("kubectl tabular ") { 3 } else { 2 };
        commands.filter(move |command| command.split_whitespace().count() > name(command)).map(str::to_owned)
    }

    /// Its blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.parts.iter().filter_map(|part| match part {
            Part::Block(block) => Some(block),
            Part::Given(_) | Part::Then(..) => None,
        })
    }
}

fn collect(directory: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(paths::workspace().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{directory}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&name, files);
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            files.push(name);
        }
    }
}

fn parts(file: &str, text: &str) -> (Vec<Part>, String) {
    let (mut parts, mut prose) = (Vec::new(), String::new());
    let mut open: Option<(Block, usize)> = None;
    for (index, line) in text.lines().enumerate() {
        let (bare, line_number) = (line.trim_start(), index + 1);
        let indent = line.len() - bare.len();
        match &mut open {
            Some(_) if bare.trim_end() == "```" => parts.extend(open.take().map(|(block, _)| Part::Block(block))),
            Some((block, indent)) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            None => {
                if let Some(info) = bare.strip_prefix("```") {
                    let value = |name: &str| Some(info.split_once(&format!("{name}=\""))?.1.split_once('"')?.0.to_owned());
                    let language = info.split_whitespace().next().unwrap_or_default().to_owned();
                    let (skip, file) = (value("skip"), value("file"));
                    open = Some((Block { line: line_number, language, skip, file, text: String::new() }, indent));
                } else if let Some(instruction) = comment(bare, "given:") {
                    parts.push(Part::Given(instruction.split_whitespace().map(str::to_owned).collect()));
                } else if let Some(instruction) = comment(bare, "then:") {
                    parts.push(Part::Then(line_number, instruction.to_owned()));
                } else {
                    prose.push_str(line);
                    prose.push('\n');
                }
            }
        }
    }
    assert!(open.is_none(), "{file}: a block is not closed");
    (parts, prose)
}

fn comment<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix("<!-- ")?.strip_suffix(" -->")?.strip_prefix(word).map(str::trim)
}

#[test]
fn page_is_parsed() {
    let text = "<!-- given: installed bi -->\n1. Do\n\n   ```sh\n   kubectl get \\\n     mref\n   ```\n\n```console\n$ ls\nout\n```\n\
                ```sh skip=\"no login here\"\naz login\n```\n```yaml file=\"a.yaml\"\na: 1\n```\n<!-- then: test -f a.yaml -->\n";
    let (parts, prose) = parts("a.md", text);
    assert_eq!(prose, "1. Do\n\n\n");
    let page = Page { file: "a.md".to_owned(), parts, prose };
    let blocks: Vec<&Block> = page.blocks().collect();
    assert_eq!((blocks[0].text.as_str(), blocks[0].line), ("kubectl get \\\n  mref\n", 4));
    assert_eq!(blocks[1].commands(), "ls\n");
    assert_eq!((blocks[2].skip.as_deref(), blocks[2].runs()), (Some("no login here"), false));
    assert_eq!(blocks[3].file.as_deref(), Some("a.yaml"));
    assert!(matches!(&page.parts()[0], Part::Given(words) if words.len() == 2));
    assert!(matches!(page.parts().last(), Some(Part::Then(_, command)) if command == "test -f a.yaml"));
}
