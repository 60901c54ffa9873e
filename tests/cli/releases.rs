//! The bundled roles on the releases of other distributions, where packages have other names.

use std::fs;

use super::tree::Tree;

/// Returns what the plan of role verify says on a node with this os-release(5).
fn plan(os_release: &str, arguments: &[&str]) -> String {
    let tree = Tree::new();
    fs::create_dir_all(tree.path().join("node/etc")).unwrap();
    fs::write(tree.path().join("node/etc/os-release"), os_release).unwrap();
    let output = tree.glrl(&[&["plan", "--role", "verify", "--root", "node"], arguments].concat());
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_servers_programs_are_installed_by_the_name_that_the_release_has_for_them() {
    const DEBIAN: &str = "ID=debian\nVERSION_ID=\"12\"\n";
    const NOBLE: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n";
    const JAMMY: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"\n";
    for (os_release, flavour, package) in [
        (DEBIAN, None, "mariadb-server-core"),
        (DEBIAN, Some("mysql"), "mysql-server-core"),
        (NOBLE, None, "default-mysql-server-core"),
        (NOBLE, Some("mariadb"), "mariadb-server-core"),
        (JAMMY, None, "default-mysql-server-core"),
        (JAMMY, Some("mariadb"), "mariadb-server-core-10.6"),
    ] {
        let input = flavour.map(|flavour| format!("flavour={flavour}"));
        let arguments: Vec<&str> = input.iter().flat_map(|input| ["--set", input]).collect();
        let plan = plan(os_release, &arguments);
        let named = plan.split_whitespace().any(|word| word == format!("package:{package}"));
        assert!(named, "{package} is not installed on {os_release}: {plan}");
    }
}
