//! Who uses whom, checked over the real dependency tree (DESIGN: the house, rules 1–4).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;

/// Compile tiers: A without Bevy, B with its ECS only, C with all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tier {
    A,
    B,
    C,
}

struct House {
    name: &'static str,
    tier: Tier,
    /// Crates of ours it may use directly.
    may_use: &'static [&'static str],
    /// Heavy outside crates that only it may name; a trailing `*` matches any ending.
    owns: &'static [&'static str],
}

const HOUSES: &[House] = &[
    House { name: "space", tier: Tier::A, may_use: &[], owns: &[] },
    House { name: "volume", tier: Tier::A, may_use: &["space"], owns: &[] },
    House { name: "metrics", tier: Tier::A, may_use: &["space", "volume"], owns: &[] },
    House { name: "dicom", tier: Tier::A, may_use: &["space", "volume"], owns: &["dicom-*"] },
    House { name: "neural", tier: Tier::A, may_use: &["space", "volume"], owns: &["candle-*"] },
    House { name: "surface", tier: Tier::A, may_use: &["space", "volume"], owns: &["meshopt"] },
    House { name: "case", tier: Tier::A, may_use: &["space", "volume", "surface"], owns: &["gltf*"] },
    House { name: "phantom", tier: Tier::A, may_use: &["space", "volume", "dicom"], owns: &[] },
    House { name: "sound", tier: Tier::A, may_use: &["space"], owns: &["kira"] },
    House {
        name: "pipeline",
        tier: Tier::A,
        may_use: &["space", "volume", "metrics", "dicom", "neural", "surface", "case", "phantom"],
        owns: &["ureq"],
    },
    House { name: "walkthrough", tier: Tier::B, may_use: &["space", "volume", "surface", "case"], owns: &[] },
    House { name: "render", tier: Tier::C, may_use: &["space", "volume", "surface", "case", "walkthrough"], owns: &[] },
    House {
        name: "headset",
        tier: Tier::C,
        may_use: &["space", "volume", "surface", "case", "walkthrough"],
        owns: &["openxr*", "bevy_mod_openxr", "bevy_mod_xr"],
    },
];

const NO_BEVY: &[&str] = &["bevy*", "wgpu*", "winit", "openxr*"];
const NO_GPU: &[&str] = &["bevy_render", "bevy_pbr", "bevy_winit", "wgpu", "wgpu-core", "wgpu-hal", "winit", "openxr*"];
/// Only programs may use it, libraries say what failed.
const PROGRAMS_ONLY: &str = "anyhow";
const PROGRAMS: &[&str] = &["vestibule", "vestibule-benches", "xtask"];

/// Licences that may be linked; each term of an expression is looked up by itself.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "CC0-1.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "MIT-0",
    "BSL-1.0",
    "OFL-1.1",
    "CDLA-Permissive-2.0",
    "bzip2-1.0.6",
    "NCSA",
    // File-level copyleft, used unchanged (symphonia-like crates do not occur without kira's decoders).
    "MPL-2.0",
];

struct Graph {
    /// Package id to name.
    names: BTreeMap<String, String>,
    licences: BTreeMap<String, String>,
    /// Package id to the ids it links in a normal build.
    uses: BTreeMap<String, Vec<String>>,
    members: BTreeMap<String, String>,
    default_members: BTreeSet<String>,
}

/// `cargo xtask deps [--write]`.
///
/// # Errors
/// Lists every broken rule.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let graph = Graph::read()?;
    let mut broken = Vec::new();
    for house in HOUSES {
        check_house(&graph, house, &mut broken);
    }
    check_owned(&graph, &mut broken);
    check_members(&graph, &mut broken);
    check_licences(&graph, &mut broken);
    let table = crate_table();
    let path = process::root().join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(&path).context("ARCHITECTURE.md")?;
    let renewed = renew_table(&text, &table)?;
    if renewed != text {
        if arguments.iter().any(|a| a == "--write") {
            std::fs::write(&path, renewed)?;
        } else {
            broken.push("ARCHITECTURE.md: the crate table is old; run `cargo xtask deps --write`".to_owned());
        }
    }
    if !broken.is_empty() {
        bail!("dependency rules broken:\n{}", broken.join("\n"));
    }
    println!("{table}");
    Ok(())
}

fn check_house(graph: &Graph, house: &House, broken: &mut Vec<String>) {
    let package = format!("vestibule-{}", house.name);
    let Some(id) = graph.members.get(&package) else {
        broken.push(format!("{package}: not in the workspace"));
        return;
    };
    for used in graph.direct(id) {
        if let Some(ours) = used.strip_prefix("vestibule-")
            && !house.may_use.contains(&ours)
        {
            broken.push(format!("{} may not use {ours}", house.name));
        }
        if used == PROGRAMS_ONLY {
            broken.push(format!("{} is a library and may not use {PROGRAMS_ONLY}", house.name));
        }
    }
    let banned: &[&str] = match house.tier {
        Tier::A => NO_BEVY,
        Tier::B => NO_GPU,
        Tier::C => &[],
    };
    for name in graph.closure(id) {
        if banned.iter().any(|pattern| matches(pattern, &name)) {
            broken.push(format!("{} is tier {} but its tree holds {name}", house.name, letter(house.tier)));
        }
    }
}

fn check_owned(graph: &Graph, broken: &mut Vec<String>) {
    for (package, id) in &graph.members {
        for used in graph.direct(id) {
            for house in HOUSES {
                let owner = format!("vestibule-{}", house.name);
                if *package != owner && house.owns.iter().any(|pattern| matches(pattern, &used)) {
                    broken.push(format!("{package} uses {used}, which only {} may know", house.name));
                }
            }
        }
    }
}

fn check_members(graph: &Graph, broken: &mut Vec<String>) {
    for package in graph.members.keys() {
        let known = HOUSES.iter().any(|h| package.strip_prefix("vestibule-") == Some(h.name));
        if !known && !PROGRAMS.contains(&package.as_str()) {
            broken.push(format!("{package}: has no place in the house; add it to xtask/src/deps.rs"));
        }
    }
    for house in HOUSES {
        let package = format!("vestibule-{}", house.name);
        if (house.tier == Tier::A) != graph.default_members.contains(&package) {
            broken.push(format!("{package}: default-members of Cargo.toml must hold tier A and nothing else"));
        }
    }
}

fn check_licences(graph: &Graph, broken: &mut Vec<String>) {
    let Some(app) = graph.members.get("vestibule") else { return };
    for id in graph.closure_ids(app) {
        let (name, licence) = (&graph.names[&id], &graph.licences[&id]);
        let any_of = licence.replace('/', " OR ").replace(['(', ')'], " ");
        let accepted = any_of.split(" OR ").any(|terms| terms.split(" AND ").all(|t| LICENCES.contains(&t.trim())));
        if !accepted {
            broken.push(format!("{name}: licence `{licence}` is not on the list in xtask/src/deps.rs"));
        }
    }
}

impl Graph {
    fn read() -> Result<Self> {
        let text = process::output(process::cargo().args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform=x86_64-unknown-linux-gnu",
        ]))?;
        let json: Value = serde_json::from_str(&text)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut graph = Self {
            names: BTreeMap::new(),
            licences: BTreeMap::new(),
            uses: BTreeMap::new(),
            members: BTreeMap::new(),
            default_members: BTreeSet::new(),
        };
        for package in list(&json["packages"]) {
            let id = text(&package["id"]);
            graph.names.insert(id.clone(), text(&package["name"]));
            graph.licences.insert(id, text(&package["license"]));
        }
        for node in list(&json["resolve"]["nodes"]) {
            let normal = list(&node["deps"])
                .iter()
                .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()))
                .map(|dep| text(&dep["pkg"]))
                .collect();
            graph.uses.insert(text(&node["id"]), normal);
        }
        for id in list(&json["workspace_members"]) {
            let id = text(&id);
            graph.members.insert(graph.names[&id].clone(), id);
        }
        for id in list(&json["workspace_default_members"]) {
            graph.default_members.insert(graph.names[&text(&id)].clone());
        }
        Ok(graph)
    }

    fn direct(&self, id: &str) -> Vec<String> {
        self.uses.get(id).into_iter().flatten().map(|used| self.names[used].clone()).collect()
    }

    fn closure_ids(&self, id: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id.to_owned()];
        while let Some(next) = open.pop() {
            for used in self.uses.get(&next).into_iter().flatten() {
                if seen.insert(used.clone()) {
                    open.push(used.clone());
                }
            }
        }
        seen
    }

    fn closure(&self, id: &str) -> BTreeSet<String> {
        self.closure_ids(id).iter().map(|id| self.names[id].clone()).filter(|name| name != "wgpu-types").collect()
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

fn letter(tier: Tier) -> char {
    match tier {
        Tier::A => 'A',
        Tier::B => 'B',
        Tier::C => 'C',
    }
}

fn crate_table() -> String {
    let mut table = String::from("| tier | crate | may use | alone may use |\n|---|---|---|---|\n");
    for house in HOUSES {
        let list = |items: &[&str]| if items.is_empty() { "–".to_owned() } else { items.join(", ") };
        table += &format!(
            "| {} | `{}` | {} | {} |\n",
            letter(house.tier),
            house.name,
            list(house.may_use),
            list(house.owns)
        );
    }
    table
}

fn renew_table(text: &str, table: &str) -> Result<String> {
    const START: &str = "<!-- crates: written by `cargo xtask deps --write` -->\n";
    const END: &str = "<!-- end of crates -->";
    let (before, rest) = text.split_once(START).context("ARCHITECTURE.md has no place for the crate table")?;
    let (_, after) = rest.split_once(END).context("ARCHITECTURE.md: the crate table has no end mark")?;
    Ok(format!("{before}{START}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("bevy*", "bevy_ecs"));
        assert!(matches("wgpu", "wgpu"));
        assert!(!matches("wgpu", "wgpu-types"));
    }

    #[test]
    fn table_is_put_between_its_marks() {
        let text = "a\n<!-- crates: written by `cargo xtask deps --write` -->\nold\n<!-- end of crates -->\nb";
        let renewed = renew_table(text, "new\n").unwrap();
        assert!(renewed.contains("new") && !renewed.contains("old") && renewed.ends_with('b'));
        assert!(renew_table("nothing", "new").is_err());
    }
}
